//! join waits until all is done, and for nobody who is dead.

use std::thread;
use std::time::Instant;

use ipc_queue::JoinableQueue;

use crate::help::{Gate, LONG, SHORT, alone, fork, fork_and_stay, join, past, spawn, until};

#[test]
fn join_returns_at_once_when_nothing_was_put() {
    JoinableQueue::<u64>::unbounded().unwrap().join().unwrap();
}

#[test]
fn join_waits_for_all_and_not_only_for_the_last_to_be_got() {
    let queue = JoinableQueue::unbounded().unwrap();
    queue.put_all([1, 2]).unwrap();
    let jobs = [queue.get().unwrap(), queue.get().unwrap()];
    assert!(!queue.join_timeout(SHORT).unwrap());
    assert!(!queue.join_deadline(past()).unwrap());
    thread::scope(|scope| {
        let joiner = scope.spawn(|| queue.join().unwrap());
        until("nobody joins", || !queue.stats().waiting_to_join.is_empty());
        let [one, two] = jobs;
        two.done().unwrap();
        assert!(!joiner.is_finished());
        one.done().unwrap();
    });
    assert!(queue.join_deadline(Instant::now() + LONG).unwrap());
}

#[test]
fn join_sees_a_moment_in_which_all_was_done() {
    let queue = JoinableQueue::unbounded().unwrap();
    queue.put(1).unwrap();
    thread::scope(|scope| {
        let joiners = [(); 3].map(|()| scope.spawn(|| queue.join_timeout(LONG).unwrap()));
        until("they do not join", || queue.stats().waiting_to_join.len() == 3);
        queue.get().unwrap().done().unwrap();
        // There is something to do again before they can look.
        queue.put(2).unwrap();
        assert!(joiners.into_iter().all(|joiner| joiner.join().unwrap()));
    });
    assert_eq!(queue.unfinished(), 1);
}

fn consume(queue: JoinableQueue<u64>) -> u64 {
    let mut sum = 0;
    for job in queue.iter() {
        let job = job.unwrap();
        sum += *job;
        job.done().unwrap();
    }
    sum
}

#[test]
fn join_waits_for_several_consumers_in_several_processes() {
    let queue = JoinableQueue::bounded(4).unwrap();
    let mut consumers = [(); 3].map(|()| spawn(consume, (queue.clone(),)));
    for number in 1..=1000 {
        queue.put(number).unwrap();
    }
    queue.join().unwrap();
    assert_eq!((queue.len(), queue.unfinished()), (0, 0));
    queue.close().unwrap();
    assert_eq!(consumers.iter_mut().map(join).sum::<u64>(), 500_500);
}

#[test]
fn join_returns_when_a_killed_consumers_job_was_done_by_another() {
    alone(|| {
        let queue = JoinableQueue::unbounded().unwrap();
        queue.put(1).unwrap();
        let consumer = fork_and_stay(|| std::mem::forget(queue.get().unwrap()));
        let joiner = fork(|| queue.join().unwrap());
        until("nobody joins", || !queue.stats().waiting_to_join.is_empty());
        consumer.kill();
        // Nobody is left who would do it.
        assert!(!queue.join_timeout(SHORT * 5).unwrap());
        assert_eq!(queue.unfinished(), 1);
        let job = queue.get_timeout(LONG).unwrap();
        assert_eq!(job.deliveries(), 2);
        job.done().unwrap();
        joiner.join();
    });
}

#[test]
fn the_one_who_joins_gives_a_dead_consumers_job_to_one_who_waits() {
    alone(|| {
        let queue = JoinableQueue::unbounded().unwrap();
        queue.put(1).unwrap();
        let consumer = fork_and_stay(|| std::mem::forget(queue.get().unwrap()));
        let other = fork(|| queue.get().unwrap().done().unwrap());
        let joiner = fork(|| queue.join().unwrap());
        until("they do not wait", || {
            let stats = queue.stats();
            !stats.waiting_to_join.is_empty() && !stats.waiting_to_get.is_empty()
        });
        consumer.kill();
        joiner.join();
        other.join();
    });
}

#[test]
fn join_is_not_fooled_by_a_limit_of_deliveries() {
    alone(|| {
        let queue = JoinableQueue::unbounded().unwrap().with_max_deliveries(1);
        queue.put(1).unwrap();
        let consumer = fork_and_stay(|| std::mem::forget(queue.get().unwrap()));
        let joiner = fork(|| queue.join().unwrap());
        until("nobody joins", || !queue.stats().waiting_to_join.is_empty());
        consumer.kill();
        // Rejected counts as finished.
        joiner.join();
        assert_eq!(queue.rejected().unwrap().len(), 1);
    });
}

#[test]
fn the_end_comes_to_all_when_the_last_job_is_done() {
    alone(|| {
        let queue = JoinableQueue::unbounded().unwrap();
        queue.put(1).unwrap();
        queue.close().unwrap();
        let (got, go) = (Gate::new(), Gate::new());
        let worker = fork(|| {
            let job = queue.get().unwrap();
            got.open();
            go.pass();
            job.done().unwrap();
        });
        got.pass();
        let others = [(); 2].map(|()| fork(|| assert!(queue.get().is_err())));
        until("they do not wait", || queue.stats().waiting_to_get.len() == 2);
        go.open();
        others.into_iter().for_each(|other| other.join());
        worker.join();
    });
}

#[test]
fn when_the_last_job_of_a_closed_queue_comes_back_one_gets_it_and_then_all_come_to_the_end() {
    alone(|| {
        let queue = JoinableQueue::unbounded().unwrap();
        queue.put(1_u64).unwrap();
        queue.close().unwrap();
        let worker = fork_and_stay(|| std::mem::forget(queue.get().unwrap()));
        let others = [(); 2].map(|()| fork(|| _ = consume(queue.clone())));
        until("they do not wait", || queue.stats().waiting_to_get.len() == 2);
        worker.kill();
        others.into_iter().for_each(|other| other.join());
        assert_eq!(queue.unfinished(), 0);
    });
}
