//! Tasks that take too long.

use std::process;
use std::sync::OnceLock;
use std::time::Duration;

use ipc_pool::{Builder, Pool, TaskError};

use crate::help::{Words, end, get, stop};

const LIMIT: Duration = Duration::from_millis(50);

fn for_ever(words: Words) {
    words.add(0);
    words.wait(1, u32::MAX);
}

#[test]
fn a_task_that_runs_too_long_is_killed_and_no_other() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let before: Vec<_> = (0..5_u32).map(|x| pool.apply_async(|x: u32| x, (x,)).unwrap()).collect();
    let late = pool.call(for_ever, (words.clone(),)).timeout(LIMIT).apply_async().unwrap();
    let after: Vec<_> = (0..5_u32).map(|x| pool.apply_async(|x: u32| x, (x,)).unwrap()).collect();
    match get(&late) {
        Err(TaskError::TimedOut { limit, .. }) => assert_eq!(limit, LIMIT),
        other => panic!("{other:?}"),
    }
    for results in [before, after] {
        assert_eq!(results.iter().map(|result| get(result).unwrap()).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    }
    assert_eq!(words.get(0), 1);
    end(&pool);
}

/// Milliseconds on the monotonic clock.
fn now() -> u32 {
    ipc_core::monotonic().as_millis() as u32
}

#[test]
fn who_waits_for_a_worker_is_not_late() {
    let limit = Duration::from_secs(1);
    let pool = Builder::new().workers(1).timeout(limit).build().unwrap();
    let words = Words::new();
    let pause = |words: Words, x: u64| {
        words.set(x, now());
        std::thread::sleep(Duration::from_millis(150));
    };
    // Together they take longer than each may.
    let results: Vec<_> = (0..10).map(|x| pool.apply_async(pause, (words.clone(), x)).unwrap()).collect();
    for (x, result) in (0..).zip(&results) {
        // The machine may have stood still meanwhile.
        if let Err(error) = get(result) {
            assert!(matches!(error, TaskError::TimedOut { .. }), "{error}");
            assert!(now() - words.get(x) >= limit.as_millis() as u32, "it was given no time");
        }
    }
    end(&pool);
}

/// Item 3 never ends; each notes when it was begun, and how often.
fn third_for_ever(words: Words, x: u32) -> u32 {
    words.set(u64::from(x), now());
    words.add(8 + u64::from(x));
    if x == 3 {
        loop {
            std::thread::park();
        }
    }
    x
}

#[test]
fn in_a_chunk_the_item_that_runs_too_long_is_killed_and_no_other() {
    let pool = Pool::new(2).unwrap();
    let words = Words::new();
    let items = (0..8).map(|x| (words.clone(), x));
    let results: Vec<_> =
        pool.star_each(third_for_ever, items).chunk_size(8).timeout(LIMIT).imap().unwrap().collect();
    check_third(&words, results);

    static WORDS: OnceLock<Words> = OnceLock::new();
    let words = Words::new();
    let open = |words: Words| drop(WORDS.set(words));
    let pool = Builder::new().workers(2).initializer(open, (words.clone(),)).build().unwrap();
    let plain = |x: u32| third_for_ever(WORDS.get().unwrap().clone(), x);
    // Without handles, so that they are one order.
    let results: Vec<_> = pool.each(plain, 0..8).chunk_size(8).timeout(LIMIT).imap().unwrap().collect();
    check_third(&words, results);
    end(&pool);
}

fn check_third(words: &Words, results: Vec<Result<u32, TaskError>>) {
    assert_eq!(results.len(), 8);
    for (x, result) in (0..).zip(results) {
        let begun = words.get(8 + u64::from(x));
        match result {
            Ok(value) => assert_eq!((value, begun), (x, 1), "{x} was not begun once"),
            // Another one only if the machine has stood still, maybe just before it came to the function.
            Err(TaskError::TimedOut { .. }) => {
                assert!(now() - words.get(u64::from(x)) >= LIMIT.as_millis() as u32, "{x} was given no time");
                assert!(begun <= 1, "{x} was begun {begun} times");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn a_worker_that_is_stopped_before_it_begins_is_replaced() {
    let pool = Pool::new(1).unwrap();
    assert_eq!(pool.apply(|x: u32| x, (4,)).unwrap(), 4);
    let pid = pool.workers()[0].pid();
    stop(pid);
    let task = pool.call(process::id, ()).timeout(Duration::from_secs(5)).apply_async().unwrap();
    assert_ne!(get(&task).unwrap(), pid);
    end(&pool);
}

#[test]
fn a_stopped_worker_is_killed_when_its_time_is_over() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let result = pool.call(for_ever, (words.clone(),)).timeout(LIMIT * 4).apply_async().unwrap();
    words.wait(0, 1);
    let pid = pool.workers()[0].pid();
    stop(pid);
    assert!(matches!(get(&result), Err(TaskError::TimedOut { .. })));
    assert_eq!(pool.apply(|x: u32| x, (5,)).unwrap(), 5);
    end(&pool);
}
