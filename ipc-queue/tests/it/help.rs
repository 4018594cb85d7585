//! Processes for tests: those of the harness, and fresh ones.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use ipc_process::{Child as Spawned, Function};
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use ipc_crash_test::alone::*;

/// Runs `f` in a fresh process, with handles among its arguments.
pub(crate) fn spawn<F, Args>(f: F, args: Args) -> Spawned<F::Output>
where
    F: Function<Args, Output: Serialize + DeserializeOwned>,
    Args: Serialize + DeserializeOwned + 'static,
{
    ipc_process::spawn(f, args).unwrap_or_else(|error| panic!("{:?}", error.reason()))
}

/// What it returned.
pub(crate) fn join<R: Serialize + DeserializeOwned>(child: &mut Spawned<R>) -> R {
    match child.join_timeout(LONG) {
        Ok(Some(result)) => result,
        Ok(None) => panic!("the child hangs"),
        Err(error) => panic!("{error}"),
    }
}

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
