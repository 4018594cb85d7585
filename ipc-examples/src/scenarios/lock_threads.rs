//! A lock between processes is one between the threads of a process, too.
//!
//! In Python:
//!
//! ```python
//! count = 100
//!
//! def work():
//!     global count
//!     with lock:
//!         count -= 1
//!
//! threads = [Thread(target=work) for _ in range(100)]
//! for t in threads: t.start()
//! for t in threads: t.join()
//! print(count)                      # 0
//! ```
//!
//! Python has one kind of lock for threads and another for processes; this one serves both at once. To show it, the
//! threads share the counter with a child process that counts as well. Who needs a lock between threads only is better
//! off with `std::sync::Mutex`, which needs no shared memory.
//!
//! Prints the counter at the end.

use std::thread;

use ipc_lock::Mutex;
use ipc_process::spawn;

use super::Outcome;

const THREADS: u32 = 100;
const PER_THREAD: u32 = 1000;

fn count_down(counter: &Mutex<u32>) {
    *counter.lock().expect("nobody dies with the lock") -= 1;
}

fn in_threads(counter: Mutex<u32>) {
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..PER_THREAD).for_each(|_| count_down(&counter)));
        }
    });
}

pub(crate) fn run() -> Outcome {
    let counter = Mutex::new(THREADS)?;
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| count_down(&counter));
        }
    });
    let left = *counter.lock().expect("nobody dies with the lock");
    println!("{THREADS} threads counted down from {THREADS} to {left}");
    assert_eq!(left, 0);

    let start = 2 * THREADS * PER_THREAD;
    *counter.lock().expect("nobody dies with the lock") = start;
    let mut child = spawn(in_threads, (counter.clone(),))?;
    in_threads(counter.clone());
    child.join()?;
    let left = *counter.lock().expect("nobody dies with the lock");
    println!("{THREADS} threads in each of two processes counted down from {start} to {left}");
    assert_eq!(left, 0);
    Ok(())
}
