//! The first child: a function and its arguments go to another process, its return value comes back.
//!
//! In Python:
//!
//! ```python
//! p = Process(target=greet, args=("bun", 3))
//! p.start()
//! print(p.is_alive())
//! p.join()
//! print(p.exitcode)
//! ```
//!
//! What differs: nothing has to stand in `main`, the arguments are checked by the compiler, and `join` gives what the
//! function returned, for which Python needs a queue or a pipe.
//!
//! A child that has nothing to do ends at once. To see this one alive, the parent lets it wait at a *gate*: the
//! reading end of a pipe, which comes to its end when the parent drops the other one. Handles travel inside the
//! arguments like any value.
//!
//! Prints the child's greeting, whether it is alive before and after `join`, and its exit code.

use std::io::{self, PipeReader};

use ipc_core::Fd;

use super::Outcome;

fn greet(name: String, times: usize, gate: Fd<PipeReader>) -> String {
    io::read_to_string(gate.0).expect("the gate opens");
    println!("child {}: hello from another process", std::process::id());
    format!("hello {name}! ").repeat(times)
}

pub(crate) fn run() -> Outcome {
    let (gate, open) = io::pipe()?;
    let mut child = ipc_process::spawn(greet, ("bun".to_owned(), 3, Fd(gate)))?;

    println!("parent {}: started child {}", std::process::id(), child.pid());
    println!("alive before join: {}", child.is_alive());
    assert!(child.is_alive());
    assert_eq!(child.exit_code(), None);

    drop(open);
    let greeting = child.join()?;

    println!("it returned: {greeting}");
    println!("alive after join: {}, exit code: {:?}", child.is_alive(), child.exit_code());
    assert_eq!(greeting, "hello bun! hello bun! hello bun! ");
    assert!(!child.is_alive());
    assert_eq!(child.exit_code(), Some(0));
    Ok(())
}
