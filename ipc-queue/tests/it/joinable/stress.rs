//! Many threads of several processes at once: everything is done, and nothing twice.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::thread;

use ipc_core::{Segment, Spec};
use ipc_queue::JoinableQueue;

use crate::help::{join, spawn};

const THREADS: u64 = 4;
const EACH: u64 = 3000;
/// Processes that put and get, beside this one.
const PROCESSES: u64 = 2;

fn work(queue: &JoinableQueue<u64>, done: &[AtomicU32], first: u64) {
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || {
                let first = first + thread * EACH;
                (first..first + EACH).for_each(|number| queue.put(number).unwrap());
            });
            scope.spawn(move || {
                let mut seen = 0_u64;
                for job in queue.iter() {
                    let job = job.unwrap();
                    seen += 1;
                    // Some come back, the first time.
                    if seen.is_multiple_of(7) && job.deliveries() == 1 {
                        continue;
                    }
                    done[*job as usize].fetch_add(1, Relaxed);
                    job.done().unwrap();
                }
            });
        }
    });
}

#[test]
fn with_many_threads_and_processes_every_job_is_done_exactly_once() {
    let count = PROCESSES * THREADS * EACH;
    let segment = Segment::anonymous(&Spec::new("done", 1).len(count * 4)).unwrap();
    let queue = JoinableQueue::bounded(64).unwrap();
    let child = |queue: JoinableQueue<u64>, segment: Segment, first: u64| {
        work(&queue, segment.slice(0, (PROCESSES * THREADS * EACH) as usize).unwrap(), first);
    };
    let children =
        (0..PROCESSES).map(|number| spawn(child, (queue.clone(), segment.clone(), number * THREADS * EACH)));
    let mut children: Vec<_> = children.collect();
    let done: &[AtomicU32] = segment.slice(0, count as usize).unwrap();
    let sum = || done.iter().map(|done| u64::from(done.load(Relaxed))).sum::<u64>();
    crate::help::until("they hang", || sum() >= count);
    queue.join().unwrap();
    queue.close().unwrap();
    children.iter_mut().for_each(join);
    assert!(done.iter().all(|done| done.load(Relaxed) == 1));
    assert_eq!((queue.len(), queue.unfinished()), (0, 0));
}
