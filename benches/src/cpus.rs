//! Where the processes and threads of a case run.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};

/// Where two sides run.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Cpus {
    /// Where the system puts them.
    Any,
    /// Each on a CPU of its own, if there are two.
    Two,
    /// All on the same.
    One,
}

impl Cpus {
    /// Puts this thread there.
    pub(crate) fn pin(self, side: usize) {
        let index = match self {
            Cpus::Any => return,
            Cpus::Two => side,
            Cpus::One => 0,
        };
        let allowed = sched_getaffinity(None).expect("it can be asked");
        let all: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
        let mut mine = CpuSet::new();
        mine.set(all[index % all.len()]);
        sched_setaffinity(None, &mine).expect("it is allowed there");
    }

    /// Starts a process or a thread of that side, which runs where this thread did when it was started.
    pub(crate) fn start<T>(self, side: usize, start: impl FnOnce() -> T) -> T {
        let before = sched_getaffinity(None).expect("it can be asked");
        self.pin(side);
        let started = start();
        sched_setaffinity(None, &before).expect("it was there before");
        started
    }
}
