//! Memory grows with the backlog and not with what has passed, and is given back.

use ipc_queue::{JoinableQueue, Rejected};

use crate::help::{LONG, SHORT, alone, until, with_file_limit, with_little_memory};

const MIB: u64 = 1 << 20;

#[test]
fn a_long_job_does_not_keep_the_memory_of_all_that_pass() {
    let queue = JoinableQueue::unbounded().unwrap();
    let text = "x".repeat(100);
    queue.put(text.clone()).unwrap();
    let long = queue.get().unwrap();
    for _ in 0..100_000 {
        queue.put(text.clone()).unwrap();
        queue.get().unwrap().done().unwrap();
    }
    assert!(queue.stats().memory <= MIB, "{} bytes", queue.stats().memory);
    assert_eq!(*long, text);
    assert_eq!(queue.unfinished(), 1);
    long.done().unwrap();
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn many_jobs_are_found_again_after_their_records_moved() {
    let queue = JoinableQueue::unbounded().unwrap();
    queue.put_all(0..20_000_u64).unwrap();
    let mut jobs: Vec<_> = (0..10_000).map(|_| queue.get().unwrap()).collect();
    // Everything moves, several times.
    queue.put_all(20_000..100_000_u64).unwrap();
    // In an order that is neither the first nor the last.
    for index in (0..jobs.len()).rev().step_by(3) {
        jobs.swap_remove(index).done().unwrap();
    }
    let left = jobs.len();
    assert_eq!(queue.unfinished(), 90_000 + left);
    let mut numbers: Vec<u64> = jobs.iter().map(|job| **job).collect();
    numbers.sort_unstable();
    drop(jobs);
    for number in numbers {
        let job = queue.get().unwrap();
        assert_eq!((*job, job.deliveries()), (number, 2));
        job.done().unwrap();
    }
    assert_eq!(*queue.get().unwrap(), 10_000);
}

#[test]
fn the_memory_of_a_backlog_is_given_back() {
    let queue = JoinableQueue::unbounded().unwrap();
    let text = "x".repeat(1000);
    (0..20_000).for_each(|_| queue.put(text.clone()).unwrap());
    assert!(queue.stats().memory >= 16 * MIB);
    let long = queue.get().unwrap();
    for _ in 1..20_000 {
        queue.get().unwrap().done().unwrap();
    }
    until("the memory is not given back", || {
        assert!(queue.get_timeout(SHORT).is_err());
        queue.stats().memory <= 2 * MIB
    });
    long.done().unwrap();
    assert!(queue.join_timeout(LONG).unwrap());
}

#[test]
fn a_large_item_passes_through_a_small_queue() {
    let queue = JoinableQueue::bounded(1).unwrap();
    for size in [10, 100_000, 5_000_000, 0] {
        queue.put(vec!["y".repeat(size)]).unwrap();
        let job = queue.get().unwrap();
        assert_eq!(job[0].len(), size);
        job.done().unwrap();
    }
}

/// There may be no memory for a larger region, but a smaller one has room enough.
#[test]
fn a_steady_backlog_needs_no_more_memory() {
    alone(|| {
        with_file_limit(17 << 20, || {
            for live in 1..4 {
                let queue = JoinableQueue::<Vec<u8>>::unbounded().unwrap();
                let job = || vec![1; 900 << 10];
                // So that it is in a region of 8 MiB.
                (0..4).for_each(|_| queue.put(job()).unwrap());
                (live..4).for_each(|_| queue.get().unwrap().done().unwrap());
                for _ in 0..10 {
                    queue.put(job()).unwrap();
                    queue.get().unwrap().done().unwrap();
                }
            }
        });
    });
}

#[test]
fn what_was_rejected_stays_in_the_list_when_there_is_no_memory_to_take_it() {
    alone(|| {
        let queue = JoinableQueue::unbounded().unwrap().with_max_deliveries(1);
        queue.put_all(["small".to_string(), "x".repeat(100 << 20)]).unwrap();
        (0..2).for_each(|_| drop(queue.get().unwrap()));
        with_little_memory(32 << 20, || assert!(queue.take_rejected().is_err()));
        assert_eq!(queue.stats().rejected, 2);
        let lengths = |list: Vec<Rejected<String>>| {
            list.iter().map(|rejected| rejected.value.as_ref().unwrap().len()).collect::<Vec<_>>()
        };
        assert_eq!(lengths(queue.take_rejected().unwrap()), [5, 100 << 20]);
        assert_eq!(queue.stats().rejected, 0);
    });
}
