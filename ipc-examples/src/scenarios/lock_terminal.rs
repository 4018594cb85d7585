//! Several processes write to one terminal. A lock keeps together what belongs together.
//!
//! In Python:
//!
//! ```python
//! def work(lock):
//!     with lock:
//!         print(f"{os.getpid()} is running")
//!         time.sleep(1)
//!         print(f"{os.getpid()} is done")
//!
//! lock = Lock()
//! for _ in range(4):
//!     Process(target=work, args=(lock,)).start()
//! ```
//!
//! The lock is an argument like any other: a child gets a handle to the same lock. There is no `with`; the guard
//! releases the lock when it is dropped, also if the worker returns early or panics. `Mutex<()>` is a lock around
//! nothing, for things that lie outside of shared memory, such as this terminal. (It is a pipe here, so that what
//! comes out of it can be checked.)
//!
//! Prints what the terminal shows without a lock, where the order is up to chance, and with one.

use std::io::{self, PipeWriter, Write};
use std::thread;
use std::time::Duration;

use ipc_core::Fd;
use ipc_lock::{Mutex, OwnerDied};
use ipc_process::spawn;

use super::Outcome;

const WORKERS: u32 = 4;

fn work(number: u32, lock: Option<Mutex<()>>, mut terminal: Fd<PipeWriter>) {
    // A worker that died with the lock leaves nothing that had to be repaired, so that is not asked about.
    let _guard = lock.as_ref().map(|lock| lock.lock().unwrap_or_else(OwnerDied::into_inner));
    terminal.0.write_all(format!("{number} is running\n").as_bytes()).expect("somebody reads");
    thread::sleep(Duration::from_millis(10));
    terminal.0.write_all(format!("{number} is done\n").as_bytes()).expect("somebody reads");
}

/// Runs the workers; gives what they wrote.
fn show(lock: Option<&Mutex<()>>) -> Result<Vec<String>, Box<dyn std::error::Error>> {
    let (terminal, writer) = io::pipe()?;
    let mut workers = Vec::new();
    for number in 1..=WORKERS {
        workers.push(spawn(work, (number, lock.cloned(), Fd(writer.try_clone()?)))?);
    }
    drop(writer);
    let lines: Vec<_> = io::read_to_string(terminal)?.lines().map(str::to_owned).collect();
    for worker in &mut workers {
        worker.join()?;
    }
    println!("{}:", if lock.is_some() { "with a lock" } else { "without a lock" });
    lines.iter().for_each(|line| println!("    {line}"));
    Ok(lines)
}

pub(crate) fn run() -> Outcome {
    show(None)?;

    let lock = Mutex::new(())?;
    let lines = show(Some(&lock))?;
    assert_eq!(lines.len(), 2 * WORKERS as usize);
    for pair in lines.chunks(2) {
        let number = pair[0].strip_suffix(" is running").ok_or("a worker is done that was not running")?;
        assert_eq!(pair[1], format!("{number} is done"));
    }
    Ok(())
}
