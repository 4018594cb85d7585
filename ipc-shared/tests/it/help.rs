//! Processes for tests: those of the harness, and fresh ones.

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
