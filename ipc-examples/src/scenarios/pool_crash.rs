//! A worker is SIGKILLed in the middle of a task.
//!
//! In Python:
//!
//! ```python
//! results = [pool.apply_async(work, (i,)) for i in range(20)]
//! os.kill(pid_of_the_worker_that_runs_the_third, signal.SIGKILL)
//! results[2].get()                     # hangs for ever
//! ```
//!
//! Here that task's result is an error that names the signal, or the task is begun anew by another worker, if that was
//! asked for. All others are done, and the pool goes on with a new worker.
//!
//! Prints what becomes of the task, and how long it took to know it.

use std::time::Instant;

use ipc_pool::{Death, Pool, TaskError};
use ipc_queue::Queue;

use super::Outcome;

const TASKS: u32 = 20;
const THIRD: u32 = 2;

/// The third one tells who runs it, and waits to be let go.
fn work(number: u32, begun: Queue<u32>, go: Queue<()>) -> u32 {
    if number == THIRD {
        begun.put(std::process::id()).expect("nobody closes it");
        go.get().expect("nobody closes it");
    }
    number * 10
}

/// Kills the worker of the third task; the result of that. All others have theirs.
fn kill_the_third(pool: &Pool, retries: u32) -> Result<Result<u32, TaskError>, Box<dyn std::error::Error>> {
    let (begun, go) = (Queue::unbounded()?, Queue::unbounded()?);
    let call = |number| pool.call(work, (number, begun.clone(), go.clone())).retries(retries);
    let give = |number| call(number).apply_async().map_err(Box::new);
    let mut results = (0..TASKS).map(give).collect::<Result<Vec<_>, _>>()?;
    let third = results.remove(THIRD as usize);

    let pid = begun.get()?;
    let worker = pool.workers().into_iter().find(|worker| worker.pid() == pid).ok_or("it is no worker")?;
    let at = Instant::now();
    worker.kill()?;
    if retries > 0 {
        println!("killed {pid}; {} runs it anew after {:.1?}", begun.get()?, at.elapsed());
        go.put(())?;
    }
    let result = third.get();
    if retries == 0 {
        println!("killed {pid}; the task has failed after {:.1?}", at.elapsed());
    }
    for (number, result) in (0..TASKS).filter(|number| *number != THIRD).zip(&results) {
        assert_eq!(result.get()?, number * 10);
    }
    Ok(result)
}

pub(crate) fn run() -> Outcome {
    let pool = Pool::new(2)?;
    let error = kill_the_third(&pool, 0)?.expect_err("its worker was killed");
    println!("{error}");
    assert!(matches!(error, TaskError::WorkerDied { death: Death::Signal(9), attempts: 1, .. }));
    assert!(error.to_string().contains("SIGKILL"));

    assert_eq!(kill_the_third(&pool, 1)?.expect("it was begun anew"), THIRD * 10);

    println!("the pool goes on: {} workers were replaced", pool.insights().restarts);
    assert_eq!(pool.insights().restarts, 2);
    assert_eq!(pool.map(|x: u32| x + 1, 0..3)?, [1, 2, 3]);
    pool.close();
    pool.join()?;
    Ok(())
}
