//! Tasks that take too long.

use std::time::Duration;

use ipc_pool::{Builder, Pool, TaskError};
use rustix::process::{Pid, Signal, kill_process};

use crate::help::{Words, end, get};

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

#[test]
fn who_waits_for_a_worker_is_not_late() {
    let pool = Builder::new().workers(1).timeout(Duration::from_secs(1)).build().unwrap();
    let words = Words::new();
    let pause = |words: Words| {
        words.add(0);
        std::thread::sleep(Duration::from_millis(30));
    };
    // Together they take longer than each may.
    let results: Vec<_> = (0..50).map(|_| pool.apply_async(pause, (words.clone(),)).unwrap()).collect();
    results.iter().for_each(|result| get(result).unwrap());
    assert_eq!(words.get(0), 50);
    end(&pool);
}

#[test]
fn in_a_chunk_the_item_that_runs_too_long_is_killed_and_no_other() {
    let pool = Pool::new(2).unwrap();
    let words = Words::new();
    let item = |words: Words, x: u32| {
        if x == 3 {
            for_ever(words);
        }
        x
    };
    let items = (0..8).map(|x| (words.clone(), x));
    let each = pool.star_each(item, items).chunk_size(8).timeout(LIMIT);
    for (x, result) in (0..).zip(each.imap().unwrap()) {
        match result {
            Ok(value) => assert_eq!(value, x),
            Err(TaskError::TimedOut { .. }) => assert_eq!(x, 3),
            Err(error) => panic!("{error}"),
        }
    }
    let plain = |x: u32| {
        if x == 3 {
            loop {
                std::thread::park();
            }
        }
        x
    };
    for (x, result) in (0..).zip(pool.each(plain, 0..8).chunk_size(8).timeout(LIMIT).imap().unwrap()) {
        match result {
            Ok(value) => assert_eq!(value, x),
            Err(TaskError::TimedOut { .. }) => assert_eq!(x, 3),
            Err(error) => panic!("{error}"),
        }
    }
    end(&pool);
}

#[test]
fn a_stopped_worker_is_killed_when_its_time_is_over() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let result = pool.call(for_ever, (words.clone(),)).timeout(LIMIT * 4).apply_async().unwrap();
    words.wait(0, 1);
    let pid = pool.workers()[0].pid();
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::STOP).unwrap();
    assert!(matches!(get(&result), Err(TaskError::TimedOut { .. })));
    assert_eq!(pool.apply(|x: u32| x, (5,)).unwrap(), 5);
    end(&pool);
}
