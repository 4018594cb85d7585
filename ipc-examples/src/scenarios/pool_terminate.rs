//! A pool that is terminated while tasks run.
//!
//! In Python:
//!
//! ```python
//! pool = Pool(3)
//! for i in range(10): pool.apply_async(time.sleep, (1000,))
//! pool.terminate()
//! pool.join()
//! ```
//!
//! The same here. In Python the results of such tasks never come, so that `get` hangs; here they say that the pool was
//! terminated. Dropping a pool does the same.
//!
//! Prints what becomes of the tasks, and that no worker is left.

use std::thread;

use ipc_pool::{Pool, TaskError};
use ipc_queue::Queue;

use super::Outcome;
use crate::system;

fn sleep(begun: Queue<()>) {
    begun.put(()).expect("nobody closes it");
    loop {
        thread::park();
    }
}

pub(crate) fn run() -> Outcome {
    let begun = Queue::unbounded()?;
    let pool = Pool::new(3)?;
    let results: Result<Vec<_>, _> = (0..10).map(|_| pool.apply_async(sleep, (begun.clone(),))).collect();
    let results = results?;
    for _ in 0..3 {
        begun.get()?;
    }
    let workers = pool.workers();
    println!("3 tasks run, {} wait", results.len() - 3);

    pool.terminate();
    pool.join()?;
    for result in &results {
        assert!(matches!(result.get(), Err(TaskError::Terminated)));
    }
    for worker in &workers {
        println!("{} is gone: exit code {:?}", worker.name(), worker.exit_code());
        assert!(!system::exists(worker.pid()));
    }
    assert!(pool.workers().is_empty());
    Ok(())
}
