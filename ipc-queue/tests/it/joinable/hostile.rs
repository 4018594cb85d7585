//! Whatever another process writes into a queue: an error or garbage items, no crash, and calls with a deadline come back.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ipc_queue::{Job, JoinableQueue};

use crate::help::alone;

const MOMENT: Duration = Duration::from_micros(50);

/// No operation with a deadline of a moment takes that long, one within a stopped owner's lock included.
const LIMIT: Duration = Duration::from_secs(10);

/// Where the lock's word is: if it says that this process has the lock, calls without a deadline wait for that.
const LOCK: u64 = 40;

/// Where the items begin in a small queue.
const ITEMS: u64 = 1 << 14;

type Item = (u64, String);

fn put(queue: &JoinableQueue<Item>) {
    for number in 0..3 {
        let _ = queue.try_put((number, "x".repeat(50)));
    }
}

/// Everything that can be done with the queue, of which nothing waits for long. What must not be dropped before the lock is in
/// order.
fn operations(queue: &JoinableQueue<Item>, is_lock: bool) -> Vec<Job<Item>> {
    put(queue);
    let jobs = [queue.try_get().ok(), queue.get_timeout(MOMENT).ok()];
    let _ = queue.put_timeout((7, "y".repeat(100)), MOMENT);
    let _ = queue.join_timeout(MOMENT);
    let _ = (queue.len(), queue.unfinished(), queue.is_full(), queue.capacity(), queue.max_deliveries());
    let _ = (queue.stats(), queue.is_closed());
    if is_lock {
        return jobs.into_iter().flatten().collect();
    }
    let [one, two] = jobs;
    let _ = one.map(|job| job.done());
    // What there is at the end of the memory makes the records move.
    for _ in 0..3 {
        let _ = queue.try_put((8, "z".repeat(6000)));
        let _ = queue.try_get().map(|job| job.done());
    }
    drop(two);
    let _ = (queue.rejected(), queue.take_rejected());
    let _ = queue.try_get();
    let _ = queue.join_timeout(MOMENT);
    Vec::new()
}

fn survives(offsets: impl Fn(&JoinableQueue<Item>) -> Vec<u64>) {
    let queue = JoinableQueue::bounded(16).unwrap().with_max_deliveries(3);
    put(&queue);
    // One is out, one came back, one is rejected.
    let out = queue.get().unwrap();
    for _ in 0..3 {
        drop(queue.get().unwrap());
    }
    put(&queue);
    drop(queue.get().unwrap());
    let segment = queue.segment();
    let bytes: &[AtomicU8] = segment.slice(0, (2 * ITEMS) as usize).unwrap();
    let pristine: Vec<u8> = bytes.iter().map(|byte| byte.load(Relaxed)).collect();
    let restore = || bytes.iter().zip(&pristine).for_each(|(byte, value)| byte.store(*value, Relaxed));
    let run = |what: String, offset: u64| {
        let begin = Instant::now();
        let kept = operations(&queue, (LOCK..LOCK + 8).contains(&offset));
        assert!(begin.elapsed() < LIMIT, "{what}: took {:?}", begin.elapsed());
        restore();
        drop(kept);
        restore();
    };
    let mut random = 88_172_645_463_325_252_u64;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for offset in offsets(&queue) {
        for value in [0, 0xff, next() as u8 | 1] {
            bytes[offset as usize].store(value, Relaxed);
            run(format!("byte {offset} = {value}"), offset);
        }
        if offset.is_multiple_of(8) {
            let me = u64::from(segment.me().unwrap().word());
            let (small, large) = (ITEMS + 8, 1 << 33);
            for value in
                [u64::MAX, 1, 1 << 63, me, me << 32 | 5, small, 2 * ITEMS, large, u64::MAX - 7, next()]
            {
                if (LOCK..LOCK + 8).contains(&offset) && value as u32 == me as u32 {
                    continue;
                }
                segment.at::<AtomicU64>(offset).unwrap().store(value, Relaxed);
                run(format!("word {offset} = {value:#x}"), offset);
            }
        }
    }
    // All of it, and parts of it.
    for value in [0, 0xff, 0x55, next() as u8] {
        for range in [0..LOCK, LOCK + 8..768, 768..ITEMS, ITEMS..2 * ITEMS, LOCK + 8..2 * ITEMS] {
            let range = range.start as usize..range.end as usize;
            bytes[range.clone()].iter().for_each(|byte| byte.store(value, Relaxed));
            run(format!("all of {range:?} = {value}"), 0);
        }
    }
    // Now and then everywhere.
    for round in 0..300 {
        for _ in 0..next() % 30 {
            let offset = (next() % (2 * ITEMS)) as usize;
            if !(LOCK as usize..LOCK as usize + 4).contains(&offset) {
                bytes[offset].store(next() as u8, Relaxed);
            }
        }
        run(format!("round {round}"), 0);
    }
    // And after all that it works.
    assert_eq!(queue.unfinished(), 5);
    drop(out);
    assert!(queue.get_timeout(crate::help::LONG).is_ok());
}

#[test]
fn a_queue_survives_garbage_in_its_head() {
    alone(|| survives(|_| (0..768).collect()));
}

#[test]
fn a_queue_survives_garbage_in_its_records_and_cells() {
    alone(|| {
        survives(|queue| {
            let own = 768 + queue.segment().me().unwrap().index() as u64 * 8;
            (768..776).chain(own..own + 8).chain(ITEMS..ITEMS + 300).chain(2 * ITEMS - 8..2 * ITEMS).collect()
        });
    });
}
