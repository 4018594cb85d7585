//! A program that asks who it is before it can know.

use ipc_process_explicit::{Failure, current, spawn};

fn main() {
    assert_eq!(current().name(), "MainProcess");
    ipc_process_explicit::init();
    let mut child = spawn(|| 7, ()).unwrap();
    let error = child.join().unwrap_err();
    assert!(matches!(error.failure(), Failure::NotStarted(_)), "{error}");
    assert!(error.to_string().ends_with("`current` or `parent` was called before it had started"), "{error}");
    assert_eq!(child.exit_code(), Some(126));
}
