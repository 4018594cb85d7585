//! Tasks that are given all at once; the results are taken when the pool has ended.
//!
//! In Python:
//!
//! ```python
//! pool = Pool(3)
//! results = [pool.apply_async(greet, (i,)) for i in range(10)]
//! pool.close()
//! pool.join()
//! for r in results: print(r.get())
//! ```
//!
//! The same here. `close` lets the tasks that were given be done, `join` waits for that, and the results are still there
//! afterwards.
//!
//! Prints the results, and how many workers took part.

use std::collections::HashSet;
use std::thread;
use std::time::Duration;

use ipc_pool::{Pool, Refusal};

use super::Outcome;

const TASKS: u32 = 10;

fn greet(number: u32) -> (String, u32) {
    thread::sleep(Duration::from_millis(5));
    (format!("hello {number}"), std::process::id())
}

pub(crate) fn run() -> Outcome {
    let pool = Pool::new(3)?;
    let results: Result<Vec<_>, _> = (0..TASKS).map(|number| pool.apply_async(greet, (number,))).collect();
    pool.close();
    let refused = pool.apply_async(greet, (TASKS,)).expect_err("it is closed");
    assert!(matches!(refused.refusal(), Refusal::Closed));
    pool.join()?;

    let mut workers = HashSet::new();
    for (number, result) in (0..).zip(&results?) {
        assert_eq!(result.is_successful(), Some(true));
        let (text, worker) = result.get()?;
        println!("{text}");
        assert_eq!(text, format!("hello {number}"));
        workers.insert(worker);
    }
    println!("by {} workers", workers.len());
    assert!((1..=3).contains(&workers.len()));
    Ok(())
}
