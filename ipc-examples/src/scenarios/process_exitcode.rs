//! The four ways in which a child ends, and how the parent learns of each.
//!
//! In Python:
//!
//! ```python
//! for target in (returns, raises, exits, killed):
//!     p = Process(target=target)
//!     p.start()
//!     p.join()
//!     print(p.exitcode)             # 0, 1, 3, -9
//! ```
//!
//! The exit codes are the same but for a panic, which is 101 in every Rust program where Python has 1. What Python
//! only prints in the child, `join` tells the parent: the message of the panic and where it happened.
//!
//! Prints the exit code of each child and what `join` said.

use std::thread;

use ipc_process::{Child, Failure, spawn};

use super::Outcome;

fn returns() -> u32 {
    42
}

fn panics() -> u32 {
    panic!("the soup is cold")
}

fn exits() -> u32 {
    std::process::exit(3)
}

fn waits() -> u32 {
    loop {
        thread::park();
    }
}

/// Waits for the end; gives the exit code and the reason why there is no result.
fn end_of(child: &mut Child<u32>) -> (Option<i32>, Failure) {
    let error = child.join().expect_err("it does not return");
    println!("{:>4}  {error}", child.exit_code().expect("it has ended"));
    (child.exit_code(), error.failure().clone())
}

pub(crate) fn run() -> Outcome {
    let mut child = spawn(returns, ())?;
    let result = child.join()?;
    println!("{:>4}  returned {result}", child.exit_code().expect("it has ended"));
    assert_eq!((result, child.exit_code()), (42, Some(0)));

    let (code, failure) = end_of(&mut spawn(panics, ())?);
    assert_eq!(code, Some(101));
    let Failure::Panicked(panic) = failure else { panic!("{failure:?} is no panic") };
    assert_eq!(panic.message, "the soup is cold");
    assert!(panic.location.is_some_and(|place| place.contains("process_exitcode.rs")));

    let (code, failure) = end_of(&mut spawn(exits, ())?);
    assert_eq!((code, failure), (Some(3), Failure::Exited { code: 3 }));

    let mut child = spawn(waits, ())?;
    child.kill()?;
    let (code, failure) = end_of(&mut child);
    assert_eq!((code, failure), (Some(-9), Failure::Killed { signal: 9 }));
    Ok(())
}
