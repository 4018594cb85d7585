//! Every operation of a queue of jobs as a kill test: each with a survivor that checks the contract.

mod joinable;
mod joinable_waits;

use std::time::Duration;

use ipc_crash_test::case::{Case, Entry, RECOVERY, Walk};
use ipc_queue::JoinableQueue;

/// Within this time a survivor must have what the dead held. The contract says 100 ms; a busy machine takes longer,
/// and the report counts those that did.
const SOON: Duration = Duration::from_secs(1);

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    warm_up();
    [joinable::CASES, joinable_waits::CASES].into_iter().flatten().map(Case::new).collect()
}

/// Does once, in the process that forks all others, what every process does once.
fn warm_up() {
    let name = format!("warm-up-{}", std::process::id());
    let queue = JoinableQueue::<u64>::create_unbounded(&name).unwrap();
    queue.put(1).unwrap();
    assert!(queue.try_get().is_ok());
    assert!(!queue.join_timeout(Duration::from_millis(1)).unwrap());
}
