//! A pool, to which one task after the other is given.
//!
//! In Python:
//!
//! ```python
//! def work(i):
//!     begin = time.time(); time.sleep(0.005); return i, begin, time.time()
//!
//! pool = Pool()                        # as many as there are CPUs
//! for i in range(6): print(pool.apply(work, (i,)))
//! ```
//!
//! `apply` waits for the result, so that only one task runs at a time, whatever the pool's size: results come in order and
//! the tasks do not overlap.
//!
//! Prints each result, and by which worker.

use std::thread;
use std::time::Duration;

use ipc_pool::Builder;

use super::Outcome;

const TASKS: u32 = 6;
const WORK: Duration = Duration::from_millis(5);

/// Who did it, from when, and until when.
fn work(number: u32) -> (u32, String, Duration, Duration) {
    let begin = ipc_core::monotonic();
    thread::sleep(WORK);
    (number, ipc_process::current().name().to_owned(), begin, ipc_core::monotonic())
}

pub(crate) fn run() -> Outcome {
    let pool = Builder::new().build()?;
    let cpus = thread::available_parallelism()?.get();
    println!("{} workers for {cpus} CPUs", pool.workers().len());
    assert_eq!(pool.workers().len(), cpus);

    let mut last_end = Duration::ZERO;
    for task in 0..TASKS {
        let (number, worker, begin, end) = pool.apply(work, (task,))?;
        println!("task {number} by {worker}");
        assert_eq!(number, task);
        assert!(begin >= last_end, "two calls overlap");
        last_end = end;
    }
    pool.close();
    pool.join()?;
    assert!(pool.workers().is_empty());
    Ok(())
}
