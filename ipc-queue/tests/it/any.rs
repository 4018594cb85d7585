//! Waiting for several queues at once.

use std::thread;

use ipc_queue::{JoinableQueue, Queue, Source, wait_any};

use crate::help::{LONG, SHORT, alone, fork, fork_and_stay, until};
use rustix::process::Signal;

/// What is ready of a queue and a joinable one, once `f` has done something while somebody waits for both.
fn ready_after(queue: &Queue<u32>, jobs: &JoinableQueue<u32>, f: impl FnOnce()) -> Vec<usize> {
    thread::scope(|scope| {
        let waiting = scope.spawn(|| wait_any(&[queue, jobs], Some(LONG)).unwrap());
        until("it waits for the queue", || !queue.stats().waiting_to_get.is_empty());
        until("it waits for jobs", || !jobs.stats().waiting_to_get.is_empty());
        f();
        waiting.join().unwrap()
    })
}

fn pair() -> (Queue<u32>, JoinableQueue<u32>) {
    (Queue::unbounded().unwrap(), JoinableQueue::unbounded().unwrap())
}

#[test]
fn it_ends_when_there_is_something_in_one_of_them() {
    let (queue, jobs) = pair();
    assert_eq!(ready_after(&queue, &jobs, || queue.put(1).unwrap()), [0]);
    queue.get().unwrap();
    assert_eq!(ready_after(&queue, &jobs, || jobs.put(2).unwrap()), [1]);
    queue.put(3).unwrap();
    assert_eq!(wait_any(&[&jobs, &queue], None).unwrap(), [0, 1]);
}

#[test]
fn a_closed_queue_is_ready() {
    let (queue, jobs) = pair();
    assert_eq!(ready_after(&queue, &jobs, || jobs.close().unwrap()), [1]);
    let (queue, jobs) = pair();
    assert_eq!(ready_after(&queue, &jobs, || queue.close()), [0]);
}

#[test]
fn a_closed_queue_with_a_job_that_may_come_back_is_not_ready_yet() {
    let (_, jobs) = pair();
    jobs.put(1).unwrap();
    let job = jobs.get().unwrap();
    jobs.close().unwrap();
    assert_eq!(wait_any(&[&jobs], Some(SHORT)).unwrap(), [0; 0]);
    job.done().unwrap();
    assert_eq!(wait_any(&[&jobs], Some(SHORT)).unwrap(), [0]);
}

#[test]
fn a_job_that_comes_back_is_ready() {
    let (queue, jobs) = pair();
    jobs.put(1).unwrap();
    let job = jobs.get().unwrap();
    assert_eq!(ready_after(&queue, &jobs, || drop(job)), [1]);
}

#[test]
fn the_job_of_a_killed_consumer_is_ready() {
    alone(|| {
        let (queue, jobs) = pair();
        jobs.put(1).unwrap();
        let consumer = fork_and_stay(|| std::mem::forget(jobs.get().unwrap()));
        assert_eq!(ready_after(&queue, &jobs, || consumer.kill()), [1]);
        assert_eq!(jobs.try_get().unwrap().deliveries(), 2);
        // Before threads end whose memory the killed one has had a copy of.
        drop(consumer);
    });
}

#[test]
fn a_consumer_is_ready_when_its_last_producer_is_killed() {
    alone(|| {
        let queue = Queue::<u32>::unbounded().unwrap();
        let consumer = queue.consumer().unwrap();
        let producing = fork_and_stay(|| std::mem::forget(queue.producer().unwrap()));
        assert_eq!(wait_any(&[&consumer], Some(SHORT)).unwrap(), [0; 0]);
        assert!(queue.stats().has_producers);
        producing.kill();
        assert_eq!(wait_any(&[&consumer], Some(LONG)).unwrap(), [0]);
        assert!(!queue.stats().has_producers && queue.stats().has_consumers);
    });
}

#[test]
fn a_deadline_passes_although_a_process_is_stopped_within_the_lock() {
    alone(|| {
        let (queue, jobs) = pair();
        let busy = fork(|| {
            loop {
                jobs.put(1).unwrap();
                jobs.get().unwrap().done().unwrap();
            }
        });
        until("it works", || jobs.stats().jobs > 0);
        let mut within = 0;
        while within < 5 {
            busy.stop();
            within += usize::from(jobs.put_timeout(2, SHORT).is_err());
            wait_any(&[&queue, &jobs], Some(SHORT)).unwrap();
            busy.signal(Signal::CONT);
        }
    });
}

#[test]
fn who_does_not_wait_any_more_is_not_listed() {
    let (queue, jobs) = pair();
    assert!(wait_any(&[&queue, &jobs], Some(SHORT)).unwrap().is_empty());
    assert!(queue.stats().waiting_to_get.is_empty() && jobs.stats().waiting_to_get.is_empty());
}

#[test]
fn nothing_to_wait_for_is_an_error() {
    let none: [&dyn Source; 0] = [];
    let error = wait_any(&none, None).unwrap_err().to_string();
    assert!(error.contains("wait for"), "{error}");
}
