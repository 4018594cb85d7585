//! A child that has ended stays in the system's table, as a zombie, until its parent takes its status.
//!
//! In Python:
//!
//! ```python
//! p = Process(target=work)
//! p.start()
//! time.sleep(1)                     # ended, and a zombie: see ps
//! p.join()                          # or active_children(), or the next start()
//! print(p.pid)                      # still known
//! ```
//!
//! The same holds here, and more: asking a child whether it is alive takes the status too, a handle may be dropped
//! without a thought, and what is left at the end of the program is cleared away then.
//!
//! The scenario waits on the child's pidfd, a descriptor that becomes readable when the process ends. Waiting on it
//! takes no status, so the zombie can be looked at.
//!
//! Prints the state of a child's pid before and after each of the three ways.

use std::time::Duration;

use ipc_process::{Child, active_children, spawn};

use super::Outcome;
use crate::system;

/// Starts a child and waits until it is a zombie.
fn zombie() -> Result<Child<u32>, Box<dyn std::error::Error>> {
    let child = spawn(std::process::id, ())?;
    assert!(system::wait_for_end(&child, Duration::from_secs(10))?, "it does not end");
    assert!(system::is_zombie(child.pid()), "ended and not joined, it is a zombie");
    println!("{} has ended and is a zombie", child.pid());
    Ok(child)
}

fn assert_gone(pid: u32, by: &str) {
    assert!(!system::exists(pid), "{by} leaves the zombie");
    println!("{pid} is gone after {by}");
}

pub(crate) fn run() -> Outcome {
    let mut first = zombie()?;
    let pid = first.join()?;
    assert_gone(pid, "join");
    assert_eq!(first.pid(), pid, "the pid stays readable");

    // Dropping the handle does nothing to the child. Asking for the children that live clears the others away.
    let dropped = zombie()?.pid();
    assert!(active_children().is_empty());
    assert_gone(dropped, "active_children");

    let dropped = zombie()?.pid();
    let mut next = spawn(std::process::id, ())?;
    assert_gone(dropped, "the next start");
    let pid = next.join()?;
    assert_gone(pid, "join");
    Ok(())
}
