//! Processes for tests: those of the harness, and fresh ones.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub(crate) use ipc_crash_test::alone::*;
pub(crate) use ipc_crash_test::fresh::*;

/// Waits until a process is asleep in its wait for the queue to move.
pub(crate) fn until_asleep(what: &str, waiting: impl Fn() -> Vec<ipc_core::Participant>) {
    until(what, || !waiting().is_empty());
}

/// Runs `f` while this process can have only so many more bytes of memory. For tests that run [`alone`].
pub(crate) fn with_little_memory(bytes: u64, f: impl FnOnce()) {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    let old = getrlimit(Resource::As);
    let new = pages * rustix::param::page_size() as u64 + bytes;
    setrlimit(Resource::As, Rlimit { current: Some(new), ..old }).unwrap();
    f();
    setrlimit(Resource::As, old).unwrap();
}
