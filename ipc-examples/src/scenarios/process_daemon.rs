//! When a process ends, its daemons are ended and its other children are waited for.
//!
//! In Python:
//!
//! ```python
//! d = Process(target=forever, daemon=True)
//! n = Process(target=work)
//! d.start()
//! n.start()
//! print("main done")                # d is terminated now, n is waited for
//! ```
//!
//! To see all of it, "main" is a child here: the scenario looks on from outside. Python refuses `p.daemon = True`
//! after the start at run time; here it cannot be written down, since only the builder has `daemon`:
//!
//! ```compile_fail,E0599
//! let child = ipc_process::spawn(|| (), ()).unwrap();
//! child.daemon(true);
//! ```
//!
//! A daemon may not have children of its own, as nobody would end them; trying it is an error that says so.
//!
//! Prints the log of the three processes in order, and that error.

use std::io::{self, BufRead, BufReader, PipeWriter, Write};
use std::thread;
use std::time::Duration;

use ipc_core::Fd;
use ipc_process::{Builder, Reason, spawn};

use super::Outcome;
use crate::system;

fn forever(mut log: Fd<PipeWriter>) {
    log.0.write_all(b"daemon runs\n").expect("the log is open");
    loop {
        thread::park();
    }
}

fn work(mut log: Fd<PipeWriter>) {
    // Long enough that main is done first.
    thread::sleep(Duration::from_millis(50));
    log.0.write_all(b"child done\n").expect("the log is open");
}

/// Starts both, returns when the daemon runs, and does not wait for either. Returns their pids.
fn main(mut log: Fd<PipeWriter>) -> (u32, u32) {
    let (started, writer) = io::pipe().expect("a pipe");
    let daemon = Builder::new().daemon(true).spawn(forever, (Fd(writer),)).expect("a daemon");
    let mut line = String::new();
    BufReader::new(started).read_line(&mut line).expect("the daemon says that it runs");
    log.0.write_all(line.as_bytes()).expect("the log is open");

    let copy = Fd(log.0.try_clone().expect("a descriptor"));
    let child = spawn(work, (copy,)).expect("a child");
    log.0.write_all(b"main done\n").expect("the log is open");
    (daemon.pid(), child.pid())
}

fn daemon_with_a_child() -> Result<(), String> {
    match spawn(|| (), ()) {
        Err(error) if matches!(error.reason(), Reason::Daemon) => Err(error.to_string()),
        other => panic!("{other:?} is not the error for daemons"),
    }
}

pub(crate) fn run() -> Outcome {
    let (log, writer) = io::pipe()?;
    let mut main = spawn(main, (Fd(writer),))?;
    let (daemon, child) = main.join()?;

    // Both are gone as soon as main has ended; nothing has to be waited for.
    assert!(!system::exists(daemon), "the daemon lives on");
    assert!(!system::exists(child), "the child was not waited for");
    let lines = io::read_to_string(log)?;
    print!("{lines}");
    assert_eq!(lines, "daemon runs\nmain done\nchild done\n");

    let mut daemon = Builder::new().daemon(true).spawn(daemon_with_a_child, ())?;
    let error = daemon.join()?.expect_err("a daemon cannot have children");
    println!("a daemon that starts a child is told: {error}");
    assert!(error.contains("daemon"));
    Ok(())
}
