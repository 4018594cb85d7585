//! Jobs a second through a `JoinableQueue`: put, get and done, by one thread and from one process to another.
//!
//! `cargo run --release -p ipc-queue --example joinable_speed`

use std::error::Error;
use std::time::Instant;

use ipc_queue::JoinableQueue;

const JOBS: u64 = 2_000_000;

type Item = (u64, f64, String);

fn item(number: u64) -> Item {
    (number, 1.5, "hello".to_owned())
}

fn consume(jobs: JoinableQueue<Item>, count: u64) {
    for _ in 0..count {
        jobs.get().expect("a job comes").done().expect("nothing is damaged");
    }
}

fn million(begin: Instant) -> f64 {
    JOBS as f64 / begin.elapsed().as_secs_f64() / 1e6
}

fn main() -> Result<(), Box<dyn Error>> {
    for _ in 0..3 {
        let jobs = JoinableQueue::bounded(1024)?;
        let begin = Instant::now();
        for number in 0..JOBS {
            jobs.put(item(number))?;
            jobs.get()?.done()?;
        }
        println!("one thread, one at a time: {:.2} M/s", million(begin));

        let begin = Instant::now();
        for _ in 0..JOBS / 1000 {
            for number in 0..1000 {
                jobs.put(item(number))?;
            }
            for _ in 0..1000 {
                jobs.get()?.done()?;
            }
        }
        println!("one thread, 1,000 at a time: {:.2} M/s", million(begin));

        let begin = Instant::now();
        let mut consumer = ipc_process::spawn(consume, (jobs.clone(), JOBS))?;
        for number in 0..JOBS {
            jobs.put(item(number))?;
        }
        jobs.join()?;
        consumer.join()?;
        println!("1 x 1 processes: {:.2} M/s", million(begin));

        let begin = Instant::now();
        let mut consumer = ipc_process::spawn(consume, (jobs.clone(), JOBS))?;
        jobs.put_all((0..JOBS).map(item))?;
        jobs.join()?;
        consumer.join()?;
        println!("1 x 1 processes, put_all: {:.2} M/s", million(begin));
    }
    Ok(())
}
