//! Fresh processes, as users start them: for the tests of crates whose handles travel.

use ipc_process::{Child, Function};
use serde::{Serialize, de::DeserializeOwned};

use crate::alone::LONG;

/// Runs `f` in a fresh process, with handles among its arguments.
pub fn spawn<F, Args>(f: F, args: Args) -> Child<F::Output>
where
    F: Function<Args, Output: Serialize + DeserializeOwned>,
    Args: Serialize + DeserializeOwned + 'static,
{
    ipc_process::spawn(f, args).unwrap_or_else(|error| panic!("{:?}", error.reason()))
}

/// What it returned.
pub fn join<R: Serialize + DeserializeOwned>(child: &mut Child<R>) -> R {
    match child.join_timeout(LONG) {
        Ok(Some(result)) => result,
        Ok(None) => panic!("the child hangs"),
        Err(error) => panic!("{error}"),
    }
}
