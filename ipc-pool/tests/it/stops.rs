//! Workers that are stopped, and may never go on.

use std::process;

use ipc_crash_test::alone::until;
use ipc_pool::Pool;

use crate::help::{Words, get, stop};

fn wait(words: Words) -> u32 {
    words.add(0);
    words.wait(1, 1);
    process::id()
}

/// Two workers that are ready.
fn two() -> Pool {
    let pool = Pool::new(2).unwrap();
    until("they are not ready", || pool.insights().workers.iter().all(|worker| worker.start_time.is_some()));
    pool
}

/// Tasks one by one, and many at once.
fn all_are_done_by_another(pool: &Pool, stopped: u32) {
    for _ in 0..5 {
        assert_ne!(get(&pool.apply_async(process::id, ()).unwrap()).unwrap(), stopped);
    }
    let results: Vec<_> = (0..600).map(|_| pool.apply_async(process::id, ()).unwrap()).collect();
    assert!(results.iter().all(|result| get(result).unwrap() != stopped));
}

#[test]
fn what_an_idle_worker_was_given_that_is_stopped_is_done_by_another() {
    for place in 0..2 {
        let pool = two();
        let pid = pool.workers()[place].pid();
        stop(pid);
        all_are_done_by_another(&pool, pid);
        assert_eq!(pool.insights().restarts, 0);
    }
}

#[test]
fn what_a_worker_has_not_begun_that_is_stopped_in_a_task_is_done_by_another() {
    let pool = two();
    let words = Words::new();
    let begun = pool.apply_async(wait, (words.clone(),)).unwrap();
    words.wait(0, 1);
    let pid = pool.insights().workers.iter().find(|worker| worker.given > 0).unwrap().pid;
    stop(pid);
    all_are_done_by_another(&pool, pid);
    assert!(!begun.is_ready());
    assert_eq!(pool.insights().restarts, 0);
}
