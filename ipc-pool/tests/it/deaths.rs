//! Workers that die.

use std::process;

use ipc_crash_test::soak::Random;
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
    assert_eq!(pool.insights().restarts, 1, "{:?}", pool.insights());
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

#[test]
fn a_worker_killed_while_it_is_idle_costs_nothing() {
    let pool = Pool::new(2).unwrap();
    for round in 0..20_u64 {
        assert_eq!(pool.map(|x: u64| x, 0..10).unwrap().len(), 10);
        let workers = pool.workers();
        workers[round as usize % workers.len()].kill().unwrap();
        assert_eq!(pool.apply(|x: u64| x, (round,)).unwrap(), round);
    }
    end(&pool);
    assert!(pool.insights().restarts >= 10);
}

#[test]
fn all_workers_killed_at_once_again_and_again_cost_only_what_they_ran() {
    let pool = Pool::new(4).unwrap();
    let words = Words::new();
    for _ in 0..10 {
        words.set(0, 0);
        let running: Vec<_> =
            (0..4).map(|_| pool.apply_async(wait_for_death, (words.clone(),)).unwrap()).collect();
        words.wait(0, 4);
        let waiting: Vec<_> = (0..50_u64).map(|x| pool.apply_async(|x: u64| x, (x,)).unwrap()).collect();
        pool.workers().iter().for_each(|worker| worker.kill().unwrap());
        for result in &running {
            assert!(matches!(get(result), Err(TaskError::WorkerDied { death: Death::Signal(9), .. })));
        }
        for (x, result) in (0..).zip(&waiting) {
            assert_eq!(get(result).unwrap(), x);
        }
    }
    end(&pool);
}

#[test]
fn the_largest_is_killed_and_the_others_go_on() {
    let pool = Builder::new().workers(3).retries(1).build().unwrap();
    let words = Words::new();
    let grow = |words: Words, megabytes: usize| {
        let memory = vec![1_u8; megabytes << 20];
        words.add(0);
        words.wait(1, 1);
        memory.len() >> 20
    };
    let sizes = [1, 200, 2];
    let results: Vec<_> =
        sizes.map(|size| pool.apply_async(grow, (words.clone(), size)).unwrap()).into_iter().collect();
    words.wait(0, 3);
    let resident = |pid: u32| -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).unwrap();
        statm.split(' ').nth(1).unwrap().parse().unwrap()
    };
    pool.workers().iter().max_by_key(|worker| resident(worker.pid())).unwrap().kill().unwrap();
    words.wait(0, 4);
    words.set(1, 1);
    assert_eq!(results.iter().map(|result| get(result).unwrap()).collect::<Vec<_>>(), sizes);
    end(&pool);
}

#[test]
fn in_a_chunk_the_item_that_killed_its_worker_fails_and_no_other_is_lost() {
    let words = Words::new();
    let item = |x: u64| {
        if x == 40 {
            process::abort();
        }
        x
    };
    let pool = Pool::new(2).unwrap();
    let results: Vec<_> = pool.each(item, 0..100).chunk_size(50).imap().unwrap().collect();
    assert_eq!(results.len(), 100);
    assert!(matches!(results[40], Err(TaskError::WorkerDied { death: Death::Signal(6), .. })));
    for (x, result) in (0..).zip(&results) {
        match result {
            Ok(value) => assert_eq!(*value, x),
            // What was done within the same few milliseconds went with it.
            Err(TaskError::WorkerDied { .. }) => assert!(x <= 40),
            Err(error) => panic!("{error}"),
        }
    }
    end(&pool);

    let pool = Builder::new().workers(2).retries(1).build().unwrap();
    let once = |words: Words, x: u64| {
        if x == 40 && words.add(0) == 0 {
            process::abort();
        }
        x
    };
    let with_words = (0..100).map(|x| (words.clone(), x));
    assert_eq!(pool.starmap(once, with_words).unwrap(), (0..100).collect::<Vec<_>>());
    end(&pool);
}

#[test]
fn killed_at_random_with_retries_every_result_is_there() {
    let pool = Builder::new().workers(3).retries(100).build().unwrap();
    let mut random = Random::of_this_run();
    for _ in 0..5 {
        let map = pool.map_async(|x: u64| x * x, 0..20_000).unwrap();
        let singles: Vec<_> = (0..500).map(|x| pool.apply_async(|x: u64| x + 1, (x,)).unwrap()).collect();
        for _ in 0..10 {
            let workers = pool.workers();
            if !workers.is_empty() {
                workers[random.below(workers.len() as u64) as usize].kill().unwrap();
            }
            for _ in 0..random.below(2000) {
                std::thread::yield_now();
            }
        }
        assert!(get(&map).unwrap().into_iter().eq((0..20_000).map(|x| x * x)));
        assert!((0..).zip(&singles).all(|(x, result)| get(result).unwrap() == x + 1));
    }
    end(&pool);
}

#[test]
fn a_pool_ends_whose_workers_all_died_just_before() {
    for _ in 0..20 {
        let pool = Pool::new(2).unwrap();
        pool.apply(|| (), ()).unwrap();
        pool.workers().iter().for_each(|worker| worker.kill().unwrap());
        end(&pool);
    }
}
