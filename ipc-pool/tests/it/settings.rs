//! What a builder can ask for.

use std::collections::HashSet;
use std::process;
use std::sync::OnceLock;

use ipc_pool::{Builder, Death, TaskError};

use crate::help::{Words, end, get};

static MENU: OnceLock<String> = OnceLock::new();

#[test]
fn an_initializer_has_run_in_each_worker_before_its_first_task() {
    let words = Words::new();
    let initializer = |menu: String, words: Words| {
        MENU.set(menu).unwrap();
        words.add(0);
    };
    let pool = Builder::new()
        .workers(3)
        .initializer(initializer, ("soup".to_string(), words.clone()))
        .build()
        .unwrap();
    let exit = || -> () { process::exit(1) };
    for _ in 0..3 {
        assert!(pool.apply(exit, ()).is_err());
        assert_eq!(pool.apply(|| MENU.get().cloned(), ()).unwrap().as_deref(), Some("soup"));
    }
    end(&pool);
    assert!(words.get(0) >= 4);
}

#[test]
fn the_exit_function_runs_in_each_worker_that_ends_in_order() {
    static WORDS: OnceLock<Words> = OnceLock::new();
    let words = Words::new();
    let initializer = |words: Words| WORDS.set(words).unwrap_or_else(|_| panic!("once"));
    let exit = || {
        WORDS.get().unwrap().add(0);
    };
    let builder = Builder::new().workers(2).max_tasks_per_child(5).initializer(initializer, (words.clone(),));
    let pool = builder.exit(exit).build().unwrap();
    for x in 0..20_u32 {
        assert_eq!(pool.apply(|x: u32| x, (x,)).unwrap(), x);
    }
    end(&pool);
    assert!(words.get(0) >= 4, "{} have said farewell", words.get(0));
}

#[test]
fn a_worker_does_no_more_tasks_than_it_may() {
    for most in [1, 7] {
        let pool = Builder::new().workers(2).max_tasks_per_child(most).build().unwrap();
        let results: Vec<_> = (0..50).map(|_| pool.apply_async(process::id, ()).unwrap()).collect();
        let pids: Vec<u32> = results.iter().map(|result| get(result).unwrap()).collect();
        let different: HashSet<u32> = pids.iter().copied().collect();
        for pid in &different {
            assert!(pids.iter().filter(|other| *other == pid).count() <= most as usize);
        }
        end(&pool);
    }
}

#[test]
fn a_task_that_wants_too_much_memory_dies_alone() {
    let pool = Builder::new().workers(2).memory_limit(200 << 20).build().unwrap();
    let greedy = |bytes: usize| vec![1_u8; bytes].iter().map(|&byte| u64::from(byte)).sum::<u64>();
    assert_eq!(pool.apply(greedy, (1 << 20,)).unwrap(), 1 << 20);
    match pool.apply(greedy, (1 << 30,)) {
        Err(TaskError::WorkerDied { death: Death::Signal(6), .. }) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply(greedy, (1 << 20,)).unwrap(), 1 << 20);
    end(&pool);
}

#[test]
fn insights_tell_what_the_workers_did() {
    let pool = Builder::new().workers(2).build().unwrap();
    pool.each(|x: u32| x, 0..100).chunk_size(1).map().unwrap();
    let slow = || std::thread::sleep(std::time::Duration::from_millis(20));
    pool.apply(slow, ()).unwrap();
    let insights = pool.insights();
    assert_eq!(insights.workers.len(), 2);
    assert_eq!(insights.workers.iter().map(|worker| worker.tasks).sum::<u64>(), 101);
    assert_eq!((insights.pending, insights.restarts), (0, 0));
    assert!(insights.slowest.len() == 5 && insights.slowest.is_sorted_by(|a, b| a.took >= b.took));
    assert!(insights.slowest.iter().any(|task| task.took.as_millis() >= 20));
    assert!(
        insights.workers.iter().any(|worker| worker.busy.as_millis() >= 20 && worker.start_time.is_some())
    );
    end(&pool);
    let insights = pool.insights();
    assert!(insights.tasks == 101 && insights.busy.as_millis() >= 20, "those of workers that are gone count");
}

#[test]
fn insights_are_read_as_lines() {
    let pool = Builder::new().workers(1).name("cook").build().unwrap();
    pool.apply(|x: u32| x, (1,)).unwrap();
    let insights = pool.insights().to_string();
    let lines: Vec<_> = insights.lines().collect();
    assert!(
        lines[0].starts_with("1 tasks done in ") && lines[0].ends_with("; 1 workers, 0 restarts"),
        "{insights}"
    );
    assert!(lines[1].starts_with("cook-1 (pid ") && lines[1].contains("1 tasks done, 0 given"), "{insights}");
    assert!(lines[2].contains(" for it::settings::"), "{insights}");
    assert_eq!(lines.len(), 3);
    end(&pool);
}
