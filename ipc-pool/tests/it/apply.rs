//! One task at a time, or many.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use ipc_pool::{Builder, Pool, PoolError, Refusal, TaskError};

use crate::help::{LONG, Words, end, get};

fn square(x: u64) -> u64 {
    x * x
}

#[test]
fn a_task_returns_what_its_function_returns() {
    let pool = Pool::new(2).unwrap();
    assert_eq!(pool.apply(square, (7,)).unwrap(), 49);
    assert_eq!(pool.apply(|| "hello".to_string(), ()).unwrap(), "hello");
    assert_eq!(pool.apply(|a: u8, b: String| format!("{a}{b}"), (1, "x".to_string())).unwrap(), "1x");
    end(&pool);
}

#[test]
fn results_can_be_got_after_the_pool_was_closed_and_joined() {
    let pool = Pool::new(2).unwrap();
    let results: Vec<_> = (0..100).map(|x| pool.apply_async(square, (x,)).unwrap()).collect();
    end(&pool);
    for (x, result) in (0..).zip(&results) {
        assert!(result.is_ready());
        assert_eq!(result.is_successful(), Some(true));
        assert_eq!(result.get().unwrap(), x * x);
        assert!(matches!(result.get(), Err(TaskError::AlreadyTaken)));
        assert_eq!(result.is_successful(), Some(true));
    }
}

#[test]
fn a_hundred_thousand_tasks_can_wait() {
    let pool = Pool::new(2).unwrap();
    let count = 100_000;
    let results: Vec<_> = (0..count).map(|x| pool.apply_async(square, (x,)).unwrap()).collect();
    for (x, result) in (0..).zip(&results) {
        assert_eq!(get(result).unwrap(), x * x);
    }
    end(&pool);
}

#[test]
fn a_result_that_is_not_there_is_none() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let result = pool.apply_async(|words: Words| words.wait(0, 1), (words.clone(),)).unwrap();
    assert!(!result.is_ready());
    assert_eq!(result.is_successful(), None);
    assert!(result.try_get().unwrap().is_none());
    assert!(result.get_timeout(std::time::Duration::from_millis(1)).unwrap().is_none());
    words.set(0, 1);
    assert!(result.wait_timeout(LONG));
    assert!(result.try_get().unwrap().is_some());
}

#[test]
fn one_worker_and_more_workers_than_cpus_are_pools() {
    for workers in [1, 16] {
        let pool = Pool::new(workers).unwrap();
        assert_eq!(pool.workers().len(), workers);
        assert_eq!(pool.map(square, 0..1000).unwrap(), (0..1000).map(square).collect::<Vec<_>>());
        end(&pool);
    }
    assert!(matches!(Pool::new(0), Err(PoolError::NoWorkers)));
}

#[test]
fn a_closed_pool_refuses_and_hands_the_arguments_back() {
    let pool = Pool::new(1).unwrap();
    assert!(pool.join().is_err(), "it is still open");
    pool.close();
    let refused = pool.apply_async(|text: String| text, ("mine".to_string(),)).unwrap_err();
    assert!(matches!(refused.refusal(), Refusal::Closed));
    assert_eq!(refused.into_args().0, "mine");
    assert!(pool.map(square, 0..3).is_err());
    assert!(pool.imap(square, 0..3).is_err());
    pool.join().unwrap();
    pool.join().unwrap();
}

#[test]
fn callbacks_have_run_when_the_pool_is_joined() {
    let pool = Pool::new(2).unwrap();
    let list = Arc::new(Mutex::new(Vec::new()));
    for x in 0..10_u64 {
        let (good, bad) = (Arc::clone(&list), Arc::clone(&list));
        let call = pool
            .call(|x: u64| assert!(x != 5), (x,))
            .callback(move |()| good.lock().unwrap().push((x, true)))
            .error_callback(move |_| bad.lock().unwrap().push((x, false)));
        drop(call.apply_async().unwrap());
    }
    end(&pool);
    let mut list = list.lock().unwrap().clone();
    list.sort_unstable();
    assert_eq!(list, (0..10).map(|x| (x, x != 5)).collect::<Vec<_>>());
}

#[test]
fn a_callback_that_panics_spoils_its_result_alone() {
    let pool = Pool::new(1).unwrap();
    let call = pool.call(square, (3,)).callback(|_| panic!("no appetite"));
    let spoilt = call.apply_async().unwrap();
    match get(&spoilt) {
        Err(TaskError::Callback(why)) => assert!(why.contains("no appetite"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.call(square, (3,)).callback(|_| {}).apply().unwrap(), 9);
    assert_eq!(pool.apply(square, (4,)).unwrap(), 16);
    end(&pool);
}

#[test]
fn a_callback_may_use_its_pool() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let again = Arc::clone(&pool);
    let result = Arc::new(Mutex::new(0));
    let there = Arc::clone(&result);
    let call = pool
        .call(square, (3,))
        .callback(move |&nine| *there.lock().unwrap() = again.apply(square, (nine,)).unwrap());
    assert_eq!(get(&call.apply_async().unwrap()).unwrap(), 9);
    assert_eq!(*result.lock().unwrap(), 81);
}

#[test]
fn a_callback_that_waits_for_one_behind_it_has_an_error() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let again = Arc::clone(&pool);
    let (there, results) = channel();
    let waits = move |_: &u64| {
        let behind = again.call(square, (4,)).callback(|_| {}).apply_async().unwrap();
        behind.wait();
        there.send((behind.get(), again.call(square, (4,)).callback(|_| {}).apply())).unwrap();
    };
    assert_eq!(get(&pool.call(square, (3,)).callback(waits).apply_async().unwrap()).unwrap(), 9);
    let results = results.recv().unwrap();
    assert!(matches!(results, (Err(TaskError::WaitsForItself), Err(TaskError::WaitsForItself))));
    end(&pool);
}

#[test]
fn workers_have_names_and_numbers() {
    let pool = Builder::new().workers(2).name("cook").build().unwrap();
    let mut names: Vec<_> = pool.workers().iter().map(|worker| worker.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["cook-1", "cook-2"]);
    assert!(pool.apply(|| ipc_process::current().name().to_owned(), ()).unwrap().starts_with("cook-"));
    end(&pool);
}
