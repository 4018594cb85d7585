//! Every operation of every primitive as a kill test: each with a survivor that checks the contract.

mod barrier;
mod condvar;
mod event;
mod handles;
mod mutex;
mod reentrant;
mod rwlock;
mod scene;
mod semaphore;

use std::time::Duration;

use ipc_crash_test::{KillTest, Report};

use scene::Scene;

/// Within this time a survivor must have what the dead held. The contract says 100 ms; a busy machine takes longer,
/// and the report counts those that did.
const SOON: Duration = Duration::from_secs(1);

/// An operation, and how densely it is walked.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Kills at every n-th instruction: in the full table, and in its short form.
    strides: [u64; 2],
    run: fn(Walk) -> Report,
}

/// One walk over one case.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    name: &'static str,
    stride: u64,
}

impl Walk {
    /// A test of which the victim, the recoverer, the waiters and the check are still missing.
    fn of<'a, L>(self, setup: impl Fn() -> Scene<L> + 'a) -> KillTest<'a, Scene<L>> {
        KillTest::new(self.name, setup).stride(self.stride)
    }
}

impl Case {
    pub(crate) fn stride(&self, quick: bool) -> u64 {
        self.strides[usize::from(quick)]
    }

    /// Walks with the stride of the full table or of its short form, times `coarser`.
    pub(crate) fn run(&self, quick: bool, coarser: u64) -> Report {
        (self.run)(Walk { name: self.name, stride: self.stride(quick) * coarser })
    }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    scene::warm_up();
    [
        mutex::CASES,
        reentrant::CASES,
        rwlock::CASES,
        semaphore::CASES,
        condvar::CASES,
        event::CASES,
        barrier::CASES,
        handles::CASES,
    ]
    .into_iter()
    .flatten()
    .map(|&(name, strides, run)| Case { name, strides, run })
    .collect()
}

type Entry = (&'static str, [u64; 2], fn(Walk) -> Report);
