//! Keeps the tracer and its children on one CPU: a step that changes CPU costs about three times as much.

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

const THIS_THREAD: Pid = Pid::from_raw(0);

/// Binds the calling thread, and the children that it forks, to the CPU it runs on; restores the old set on drop.
pub(crate) struct Pinned {
    before: Option<CpuSet>,
}

impl Pinned {
    /// Where the system does not permit it, the walk is only slower.
    pub(crate) fn to_current_cpu() -> Self {
        let before = sched_getaffinity(THIS_THREAD).and_then(|before| {
            let mut one = CpuSet::new();
            one.set(sched_getcpu()?)?;
            sched_setaffinity(THIS_THREAD, &one)?;
            Ok(before)
        });
        Self { before: before.ok() }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = sched_setaffinity(THIS_THREAD, before);
        }
    }
}
