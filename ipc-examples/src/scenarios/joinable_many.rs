//! Ten producers and five daemon consumers: `join` returns when exactly everything is done.
//!
//! In Python:
//!
//! ```python
//! jobs = JoinableQueue(20)
//! producers = [Process(target=produce, args=(n, jobs)) for n in range(10)]
//! consumers = [Process(target=consume, args=(jobs,), daemon=True) for _ in range(5)]
//! for p in consumers + producers: p.start()
//! for p in producers: p.join()
//! jobs.join()
//! ```
//!
//! Here the consumers can also be told that it is over: after `close` they get what is left, and then the end. So each
//! returns what it did, and nobody has to be a daemon; the last one comes to the end only when no job can come back.
//!
//! Prints how many jobs each consumer did.

use ipc_process::{Builder, spawn};
use ipc_queue::JoinableQueue;

use super::Outcome;

const PRODUCERS: u64 = 10;
const CONSUMERS: usize = 5;
const EACH: u64 = 200;

fn produce(producer: u64, jobs: JoinableQueue<u64>) {
    for number in 0..EACH {
        jobs.put(producer * EACH + number).expect("the queue is open");
    }
}

/// Says how many it did, and their sum.
fn consume(jobs: JoinableQueue<u64>) -> (u64, u64) {
    let (mut count, mut sum) = (0, 0);
    for job in jobs.iter() {
        let job = job.expect("it is a number");
        count += 1;
        sum += *job;
        job.done().expect("the queue is whole");
    }
    (count, sum)
}

pub(crate) fn run() -> Outcome {
    let jobs = JoinableQueue::bounded(20)?;
    let mut consumers = Vec::new();
    for _ in 0..CONSUMERS {
        consumers.push(Builder::new().daemon(true).spawn(consume, (jobs.clone(),))?);
    }
    let mut producers = Vec::new();
    for producer in 0..PRODUCERS {
        producers.push(spawn(produce, (producer, jobs.clone()))?);
    }
    for producer in &mut producers {
        producer.join()?;
    }
    jobs.join()?;
    assert_eq!((jobs.len(), jobs.unfinished()), (0, 0));
    assert!(consumers.iter().all(|consumer| consumer.is_alive()));

    jobs.close()?;
    let (mut count, mut sum) = (0, 0);
    for consumer in &mut consumers {
        let (its_count, its_sum) = consumer.join()?;
        println!("a consumer did {its_count} jobs");
        count += its_count;
        sum += its_sum;
    }
    let all = PRODUCERS * EACH;
    println!("{count} of {all} jobs were done");
    assert_eq!((count, sum), (all, (0..all).sum()));
    Ok(())
}
