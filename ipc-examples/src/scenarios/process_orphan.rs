//! The parent is killed with SIGKILL, so that it cannot see to anything. What becomes of its children?
//!
//! In Python:
//!
//! ```python
//! def parent():
//!     Process(target=forever).start()
//!     Process(target=forever, daemon=True).start()
//!     os.kill(os.getpid(), signal.SIGKILL)
//! ```
//!
//! Python's daemons live on, since it ends them in the parent's exit handler, which a kill leaves out. Here each daemon
//! watches its parent by a pidfd and ends by itself. A normal child lives on in both, with a new parent from the
//! system's point of view.
//!
//! Prints the pids, how soon the daemon was gone, and the orphan's parents.

use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::os::unix::process::parent_id;
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::Fd;
use ipc_process::{Builder, parent, spawn};

use super::Outcome;
use crate::system;

/// A daemon is gone within a second of its parent, and mostly within one millisecond. Machines may be busy, though.
const SOON: Duration = Duration::from_secs(5);

fn family(log: Fd<PipeWriter>, gate: Fd<PipeReader>) {
    let copy = Fd(log.0.try_clone().expect("a descriptor"));
    let _daemon = Builder::new().daemon(true).spawn(daemon, (copy,)).expect("a daemon");
    let _child = spawn(child, (log, gate)).expect("a child");
    forever()
}

fn daemon(mut log: Fd<PipeWriter>) {
    log.0.write_all(format!("daemon {}\n", std::process::id()).as_bytes()).expect("the log is open");
    forever()
}

fn child(mut log: Fd<PipeWriter>, gate: Fd<PipeReader>) {
    log.0.write_all(format!("child {}\n", std::process::id()).as_bytes()).expect("the log is open");
    parent().expect("a child has a parent").wait();
    log.0.write_all(format!("orphan {}\n", parent_id()).as_bytes()).expect("the log is open");
    // It lives until the scenario opens the gate, or has ended.
    io::read_to_string(gate.0).expect("the gate opens");
}

fn forever() {
    loop {
        thread::park();
    }
}

/// The number in the next line that starts with `word`.
fn number(lines: &[String], word: &str) -> Option<u32> {
    lines.iter().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

pub(crate) fn run() -> Outcome {
    let (log, writer) = io::pipe()?;
    let (gate, open) = io::pipe()?;
    let mut family = spawn(family, (Fd(writer), Fd(gate)))?;

    let mut log = BufReader::new(log).lines();
    let lines = log.by_ref().take(2).collect::<Result<Vec<_>, _>>()?;
    let daemon = number(&lines, "daemon").ok_or("no daemon")?;
    let child = number(&lines, "child").ok_or("no child")?;
    let (daemon_end, child_end) = (system::watch(daemon)?, system::watch(child)?);
    println!("parent {}, daemon {daemon}, child {child}", family.pid());

    family.kill()?;
    let killed = Instant::now();
    assert_eq!(family.join().expect_err("it was killed").signal(), Some(9));
    assert!(system::wait_for_end(&daemon_end, SOON)?, "the daemon outlives its parent");
    println!("the daemon was gone after {:.1?}", killed.elapsed());

    let new_parent = number(&[log.next().ok_or("the orphan is silent")??], "orphan").ok_or("no orphan")?;
    println!("the child's parent was {} and is {new_parent}", family.pid());
    assert_ne!(new_parent, family.pid());
    assert!(!system::wait_for_end(&child_end, Duration::ZERO)?, "the child ended with its parent");

    drop(open);
    assert!(system::wait_for_end(&child_end, SOON)?, "the child ends when it is told to");
    Ok(())
}
