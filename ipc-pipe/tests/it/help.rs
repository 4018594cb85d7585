//! Processes for tests: those of the harness, and fresh ones.

use ipc_pipe::Stats;
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

/// Waits until so many sleep in their wait for a message.
pub(crate) fn until_receiving(count: usize, stats: impl Fn() -> Stats) {
    until("they wait for a message", || stats().waiting_to_receive.len() == count);
}

/// Waits until somebody sleeps in a wait for room.
pub(crate) fn until_sending(stats: impl Fn() -> Stats) {
    until("somebody waits for room", || !stats().waiting_to_send.is_empty());
}
