//! A program that forgot to call `init`: its children run its main, but no children of their own.

use ipc_process_explicit::{Failure, Reason, spawn};

fn main() {
    match spawn(|| 7, ()) {
        Ok(mut child) => {
            let error = child.join().unwrap_err();
            assert_eq!(error.failure(), &Failure::Exited { code: 42 });
        }
        Err(error) => {
            assert!(matches!(error.reason(), Reason::NotInitialised));
            assert!(error.to_string().ends_with("its main did not call ipc_process::init() first"));
            std::process::exit(42);
        }
    }
}
