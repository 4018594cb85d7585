//! How pools end, and what is left.

use std::fs;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use ipc_crash_test::alone::alone;
use ipc_pool::{Builder, Pool, TaskError};

use crate::help::{LONG, Words, end, get};

fn wait(words: Words) {
    words.add(0);
    words.wait(1, u32::MAX);
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn join_waits_for_all_tasks() {
    let pool = Pool::new(2).unwrap();
    let words = Words::new();
    for _ in 0..100 {
        drop(pool.apply_async(|words: Words| words.add(0), (words.clone(),)).unwrap());
    }
    pool.close();
    pool.join().unwrap();
    assert_eq!(words.get(0), 100);
    assert!(pool.workers().is_empty());
}

#[test]
fn join_gives_up_when_its_time_is_over() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let result = pool.apply_async(|words: Words| words.wait(1, 1), (words.clone(),)).unwrap();
    pool.close();
    assert!(!pool.join_timeout(Duration::from_millis(1)).unwrap());
    words.set(1, 1);
    assert!(pool.join_timeout(LONG).unwrap());
    get(&result).unwrap();
}

#[test]
fn a_terminated_pool_ends_running_tasks_and_tells_those_who_wait() {
    let pool = Pool::new(2).unwrap();
    let words = Words::new();
    let results: Vec<_> = (0..10).map(|_| pool.apply_async(wait, (words.clone(),)).unwrap()).collect();
    words.wait(0, 2);
    let workers = pool.workers();
    pool.terminate();
    assert!(pool.join_timeout(LONG).unwrap());
    for result in &results {
        assert!(matches!(get(result), Err(TaskError::Terminated)));
    }
    assert!(workers.iter().all(|worker| worker.exit_code() == Some(-9)));
    assert!(pool.apply(|| (), ()).is_err());
}

#[test]
fn a_dropped_pool_leaves_no_result_pending() {
    let words = Words::new();
    let pool = Pool::new(2).unwrap();
    let results: Vec<_> = (0..10).map(|_| pool.apply_async(wait, (words.clone(),)).unwrap()).collect();
    let map = pool.map_async(wait, (0..10).map(|_| words.clone())).unwrap();
    words.wait(0, 2);
    drop(pool);
    for result in &results {
        assert!(matches!(get(result), Err(TaskError::Terminated)));
    }
    assert!(matches!(get(&map), Err(TaskError::Terminated)));
}

#[test]
fn a_pool_may_be_dropped_by_its_own_callback() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let mine = Arc::clone(&pool);
    let result = pool.call(|| (), ()).callback(move |()| drop(mine)).apply_async().unwrap();
    drop(pool);
    // The last handle went with the pool or with the callback.
    let _ = get(&result);
}

#[test]
fn a_pool_may_be_dropped_with_what_tells_of_progress() {
    alone(|| {
        drop(Pool::new(1).unwrap());
        let before = threads();
        let words = Words::new();
        let pool = Arc::new(Pool::new(1).unwrap());
        let mine = Arc::clone(&pool);
        let each = pool.each(|words: Words| words.wait(1, 1), [words.clone()]);
        drop(each.on_progress(move |_| assert_eq!(mine.workers().len(), 1)).map_async().unwrap());
        drop(pool);
        // The thread that takes the report has the last handle, or the one that runs callbacks.
        words.set(1, 1);
        ipc_crash_test::alone::until("a thread is left", || threads() == before);
    });
}

#[test]
fn join_waits_for_callbacks_no_longer_than_it_may() {
    let pool = Pool::new(1).unwrap();
    let (go, gate) = channel::<()>();
    let called = Arc::new(AtomicBool::new(false));
    let says = Arc::clone(&called);
    let callback = move |&(): &()| {
        let _ = gate.recv();
        says.store(true, Ordering::SeqCst);
    };
    drop(pool.call(|| (), ()).callback(callback).apply_async().unwrap());
    pool.close();
    assert!(!pool.join_timeout(Duration::from_millis(50)).unwrap());
    thread::scope(|scope| {
        let joins: Vec<_> = (0..2).map(|_| scope.spawn(|| pool.join())).collect();
        go.send(()).unwrap();
        for join in joins {
            join.join().unwrap().unwrap();
            assert!(called.load(Ordering::SeqCst), "it was still to be called");
        }
    });
}

#[test]
fn nothing_is_left_of_a_pool() {
    alone(|| {
        // What every process has once.
        drop(Pool::new(1).unwrap());
        let before = threads();
        for round in 0..6 {
            let words = Words::new();
            let pool = Builder::new().workers(3).retries(1).build().unwrap();
            assert_eq!(pool.map(|x: u32| x, 0..100).unwrap().len(), 100);
            drop(pool.call(|x: u32| x, (1,)).callback(|_| {}).apply_async().unwrap());
            drop(pool.apply_async(|words: Words| words.add(0), (words.clone(),)).unwrap());
            pool.workers()[0].kill().unwrap();
            let exit = || -> () { process::exit(3) };
            assert!(pool.apply(exit, ()).is_err());
            match round % 3 {
                0 => end(&pool),
                1 => pool.terminate(),
                _ => {}
            }
        }
        ipc_crash_test::alone::until("a thread is left", || threads() == before);
    });
}

#[test]
fn a_failed_start_leaves_nothing() {
    alone(|| {
        drop(Pool::new(1).unwrap());
        let before = threads();
        let panics = |_: u32| -> () { panic!("no") };
        assert!(Builder::new().workers(2).initializer(panics, (1,)).build().is_err());
        ipc_crash_test::alone::until("a thread is left", || threads() == before);
    });
}
