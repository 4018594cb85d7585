//! Workers that die.

use std::process;

use ipc_pool::{Builder, Death, Pool, TaskError};

use crate::help::{Words, end, get};

/// Says that it is there, and waits to be killed.
fn wait_for_death(words: Words) {
    words.add(0);
    words.wait(1, u32::MAX);
}

fn pid() -> u32 {
    process::id()
}

#[test]
fn a_killed_task_says_so_and_no_other_is_harmed() {
    let pool = Pool::new(2).unwrap();
    let words = Words::new();
    let victim = pool.apply_async(wait_for_death, (words.clone(),)).unwrap();
    let others: Vec<_> = (0..100_u64).map(|x| pool.apply_async(|x: u64| x, (x,)).unwrap()).collect();
    words.wait(0, 1);
    for (x, other) in (0..).zip(&others) {
        assert_eq!(get(other).unwrap(), x);
    }
    let pids: Vec<_> = pool.workers().iter().map(|worker| worker.pid()).collect();
    let idle = pool.apply(pid, ()).unwrap();
    let busy = pool.workers().into_iter().find(|worker| worker.pid() != idle).unwrap();
    busy.kill().unwrap();
    match get(&victim) {
        Err(TaskError::WorkerDied { death: Death::Signal(9), pid, attempts: 1 }) => {
            assert_eq!(pid, busy.pid());
            assert!(pids.contains(&pid));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.map(|x: u64| x, 0..100).unwrap(), (0..100).collect::<Vec<_>>());
    end(&pool);
    assert_eq!(pool.insights().restarts, 1);
}

#[test]
fn a_killed_task_is_begun_anew_if_that_was_asked_for() {
    let pool = Builder::new().workers(1).retries(2).build().unwrap();
    let words = Words::new();
    let task = |words: Words| {
        if words.add(0) < 2 {
            process::abort();
        }
        words.get(0)
    };
    assert_eq!(get(&pool.apply_async(task, (words.clone(),)).unwrap()).unwrap(), 3);
    let exit = |code: i32| -> () { process::exit(code) };
    match get(&pool.apply_async(exit, (7,)).unwrap()) {
        Err(TaskError::WorkerDied { death: Death::Code(7), attempts: 3, .. }) => {}
        other => panic!("{other:?}"),
    }
    end(&pool);
}
