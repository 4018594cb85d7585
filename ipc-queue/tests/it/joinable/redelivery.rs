//! What was not marked done is handed out again, whatever became of who had it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use ipc_queue::{JoinableQueue, TryGetError};

use crate::help::{Gate, LONG, SHORT, alone, fork, fork_and_stay, join, spawn, until};

fn with(items: impl IntoIterator<Item = u64>) -> JoinableQueue<u64> {
    let queue = JoinableQueue::unbounded().unwrap();
    queue.put_all(items).unwrap();
    queue
}

#[test]
fn a_dropped_job_is_handed_out_again_before_all_others() {
    let queue = with(1..=4);
    let jobs = [(); 3].map(|()| queue.get().unwrap());
    let [one, two, three] = jobs;
    drop(three);
    drop(one);
    let order: Vec<_> = (0..3).map(|_| queue.get().unwrap()).collect();
    let seen: Vec<_> = order.iter().map(|job| (**job, job.deliveries())).collect();
    assert_eq!(seen, [(1, 2), (3, 2), (4, 1)]);
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    drop((two, order));
    assert_eq!(queue.len(), 4);
}

#[test]
fn a_receipt_that_is_dropped_gives_the_job_back() {
    let queue = with([1]);
    let (value, receipt) = queue.get().unwrap().into_parts();
    assert_eq!((value, receipt.deliveries()), (1, 1));
    drop(receipt);
    assert_eq!(queue.get().unwrap().deliveries(), 2);
}

#[test]
fn a_job_comes_back_when_its_consumer_panics() {
    let queue = with([1]);
    let consumer = || {
        let job = queue.get().unwrap();
        assert_eq!(*job, 2, "on purpose");
        job.done().unwrap();
    };
    assert!(catch_unwind(AssertUnwindSafe(consumer)).is_err());
    assert_eq!((queue.len(), queue.get().unwrap().deliveries()), (1, 2));
}

#[test]
fn a_job_can_be_done_in_another_thread() {
    let queue = with([1, 2]);
    let (one, two) = (queue.get().unwrap(), queue.get().unwrap());
    thread::scope(|scope| {
        scope.spawn(move || one.done().unwrap());
        scope.spawn(move || drop(two));
    });
    assert_eq!(*queue.get().unwrap(), 2);
    assert_eq!(queue.unfinished(), 1);
}

#[test]
fn a_killed_consumer_takes_nothing_with_it() {
    alone(|| {
        let queue = with(1..=100);
        let consumer = fork_and_stay(|| {
            for number in 1..=60 {
                let job = queue.get().unwrap();
                // Every third is marked done.
                if number % 3 == 0 { job.done().unwrap() } else { std::mem::forget(job) }
            }
        });
        assert_eq!((queue.len(), queue.unfinished()), (40, 80));
        // It stays a zombie until the end of this test.
        consumer.kill();
        // Who gets or joins notices; to see the order, before anything is got.
        until("nobody notices", || !queue.join_timeout(SHORT).unwrap() && queue.len() == 80);
        for number in (1..=100).filter(|number| *number > 60 || number % 3 != 0) {
            let job = queue.get_timeout(LONG).unwrap();
            assert_eq!((*job, job.deliveries()), (number, if number > 60 { 1 } else { 2 }));
            job.done().unwrap();
        }
        assert!(queue.join_timeout(LONG).unwrap());
    });
}

#[test]
fn who_finds_nothing_looks_at_once_whether_a_consumer_died() {
    alone(|| {
        let queue = with([1]);
        let consumer = fork_and_stay(|| std::mem::forget(queue.get().unwrap()));
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        consumer.kill();
        assert_eq!(queue.try_get().unwrap().deliveries(), 2);
    });
}

#[test]
fn who_waits_gets_the_job_of_a_killed_consumer() {
    alone(|| {
        let queue = with([1]);
        let consumer = fork_and_stay(|| std::mem::forget(queue.get().unwrap()));
        let other = fork(|| queue.get().unwrap().done().unwrap());
        until("nobody waits", || !queue.stats().waiting_to_get.is_empty());
        consumer.kill();
        other.join();
        assert!(queue.join_timeout(LONG).unwrap());
    });
}

#[test]
fn a_killed_consumer_is_noticed_while_nobody_waits() {
    alone(|| {
        let queue = with(0..1000);
        let consumer = fork_and_stay(|| std::mem::forget(queue.get().unwrap()));
        consumer.kill();
        let begin = std::time::Instant::now();
        let mut found = false;
        while !found && begin.elapsed() < LONG {
            queue.put(7).unwrap();
            let job = queue.get().unwrap();
            found = job.deliveries() == 2;
            assert!(!found || *job == 0);
            job.done().unwrap();
        }
        assert!(found, "nobody looks");
    });
}

#[test]
fn an_exit_gives_the_jobs_back_too() {
    let queue = with([1]);
    fn consumer(queue: JoinableQueue<u64>) {
        std::mem::forget(queue.get().unwrap());
        std::process::exit(0);
    }
    let mut child = spawn(consumer, (queue.clone(),));
    let _ = child.join();
    assert_eq!(queue.get_timeout(LONG).unwrap().deliveries(), 2);
}

#[test]
fn a_stopped_consumer_keeps_its_job() {
    alone(|| {
        let queue = with([1]);
        let gate = Gate::new();
        let consumer = fork(|| {
            let job = queue.get().unwrap();
            gate.pass();
            job.done().unwrap();
        });
        until("nobody got it", || queue.is_empty());
        consumer.stop();
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        assert!(queue.get_timeout(SHORT * 3).is_err());
        consumer.signal(rustix::process::Signal::CONT);
        gate.open();
        consumer.join();
        assert!(queue.join_timeout(LONG).unwrap());
    });
}

#[test]
fn a_forked_child_has_copies_of_jobs_that_mean_nothing() {
    alone(|| {
        let queue = with([1, 2]);
        let (one, two) = (queue.get().unwrap(), queue.get().unwrap());
        let mut copies = Some((one, two));
        fork(|| {
            let (one, two) = copies.take().unwrap();
            let error = one.done().unwrap_err();
            assert!(error.to_string().contains("process"), "{error}");
            drop(two);
        })
        .join();
        assert_eq!((queue.len(), queue.unfinished()), (0, 2));
        let (one, two) = copies.take().unwrap();
        one.done().unwrap();
        drop(two);
        assert_eq!((queue.len(), queue.unfinished()), (1, 1));
    });
}

#[test]
fn at_the_limit_of_deliveries_a_job_is_rejected_and_counts_as_finished() {
    let queue = with([1, 2]).with_max_deliveries(3);
    for delivery in 1..=3 {
        let job = queue.get().unwrap();
        assert_eq!((*job, job.deliveries()), (1, delivery));
    }
    assert_eq!((queue.len(), queue.unfinished(), queue.stats().rejected), (1, 1, 1));
    queue.get().unwrap().done().unwrap();
    queue.join().unwrap();
    let rejected = queue.rejected().unwrap();
    assert_eq!((*rejected[0].value.as_ref().unwrap(), rejected[0].deliveries), (1, 3));
    assert_eq!(queue.rejected().unwrap().len(), 1, "to look at them leaves them there");
    assert_eq!(queue.take_rejected().unwrap().len(), 1);
    assert!(queue.rejected().unwrap().is_empty());
}

#[test]
fn a_job_that_kills_its_consumers_is_rejected_in_the_end() {
    alone(|| {
        let queue = with([1]).with_max_deliveries(3);
        let deaths = (0..3).map(|_| fork_and_stay(|| std::mem::forget(queue.get_timeout(LONG).unwrap())));
        deaths.for_each(drop);
        // It counts as finished as soon as somebody notices.
        assert!(queue.join_timeout(LONG).unwrap());
        assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
        assert_eq!(*queue.rejected().unwrap()[0].value.as_ref().unwrap(), 1);
    });
}

#[test]
fn a_handle_travels_and_the_child_has_jobs_of_its_own() {
    let queue = with([20, 22]);
    let consumer = |queue: JoinableQueue<u64>| {
        let jobs = [(); 2].map(|()| queue.get().unwrap());
        let sum: u64 = jobs.iter().map(|job| **job).sum();
        jobs.into_iter().for_each(|job| job.done().unwrap());
        sum
    };
    assert_eq!(join(&mut spawn(consumer, (queue.clone(),))), 42);
    queue.join().unwrap();
}
