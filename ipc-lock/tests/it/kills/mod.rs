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

pub(crate) use ipc_crash_test::case::{Case, Entry, RECOVERY, Walk};

/// Within this time a survivor must have what the dead held. The contract says 100 ms; a busy machine takes longer,
/// and the report counts those that did.
const SOON: Duration = Duration::from_secs(1);

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
    .map(Case::new)
    .collect()
}
