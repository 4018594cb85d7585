//! Callbacks: what the parent does with each result as it comes.
//!
//! In Python:
//!
//! ```python
//! results, errors = [], []
//! pool = Pool(2)
//! for i in range(10):
//!     pool.apply_async(root, (i - 5,), callback=results.append, error_callback=errors.append)
//! pool.close()
//! pool.join()
//! ```
//!
//! The same here: callbacks run in the parent, in a thread of the pool's own, so that the list is behind a lock. When
//! `join` returns, all have run. In Python a callback that raises ends that thread, and every later result hangs; here it
//! spoils its own result.
//!
//! Prints what was collected.

use std::sync::{Arc, Mutex};

use ipc_pool::{Pool, TaskError};

use super::Outcome;

fn root(x: i64) -> i64 {
    u64::try_from(x).expect("there is none").isqrt() as i64
}

pub(crate) fn run() -> Outcome {
    let (results, errors) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let pool = Pool::new(2)?;
    for number in 0..10 {
        let (results, errors) = (Arc::clone(&results), Arc::clone(&errors));
        let call = pool
            .call(root, (number - 5,))
            .callback(move |&root| results.lock().expect("nobody panics with it").push(root))
            .error_callback(move |error| {
                errors.lock().expect("nobody panics with it").push(error.to_string());
            });
        drop(call.apply_async()?);
    }
    let spoilt = pool.call(root, (9,)).callback(|_| panic!("a callback of little use")).apply_async()?;
    pool.close();
    pool.join()?;

    let mut results = results.lock().expect("nobody panics with it").clone();
    results.sort_unstable();
    println!("results: {results:?}");
    assert_eq!(results, [0, 1, 1, 1, 2]);
    let errors = errors.lock().expect("nobody panics with it");
    println!("{} errors, such as: {}", errors.len(), errors[0]);
    assert_eq!(errors.len(), 5);
    assert!(errors.iter().all(|error| error.contains("there is none")));
    assert!(matches!(spoilt.get(), Err(TaskError::Callback(why)) if why.contains("little use")));
    Ok(())
}
