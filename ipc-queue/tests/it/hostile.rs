//! Whatever another process writes into a queue: no crash, and calls with a deadline come back.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ipc_core::Segment;
use ipc_queue::{GetError, Queue};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use crate::help::{alone, fork, with_file_limit};

/// The words that the queue is controlled by lie before this.
const CONTROL: u64 = 560;
/// No operation with a deadline of 100 us takes that long.
const LIMIT: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_micros(100);

/// Not even garbage makes a queue take more memory than this.
const MEMORY: u64 = 16 << 20;

/// Runs a test that may write anything to a queue.
fn hostile(test: impl FnOnce()) {
    alone(|| with_file_limit(MEMORY, test));
}

/// Three items in the first region, the last of them in a second, large one.
fn queue() -> Queue<[u8]> {
    let queue = Queue::bounded(5).unwrap();
    queue.put_all_bytes([vec![1; 100], vec![2; 3000], vec![3; 2 << 20]]).unwrap();
    queue
}

fn bytes(segment: &Segment) -> &[AtomicU8] {
    segment.slice(0, segment.len() as usize).unwrap()
}

/// Everything that can be done with a deadline.
fn operations(queue: &Queue<[u8]>) {
    let begin = Instant::now();
    let _ = queue.try_put_bytes(b"item");
    let _ = queue.put_bytes_timeout(&[7; 3000], MOMENT);
    if let Ok(mut room) = queue.try_reserve(64) {
        room.write_at(60, b"last");
        room.commit();
    }
    let _ = queue.try_reserve(2000).map(drop);
    let _ = queue.try_get_bytes_with(|bytes| bytes.read_at(0, &mut [0; 64]));
    let _ = queue.get_bytes_timeout(MOMENT);
    let _ = (queue.len(), queue.is_full(), queue.capacity(), queue.stats(), queue.is_closed());
    for _ in 0..5 {
        if queue.try_get_bytes().is_err() {
            break;
        }
    }
    let _ = queue.get_bytes_timeout(MOMENT);
    assert!(begin.elapsed() < LIMIT, "took {:?}", begin.elapsed());
}

/// As they are, or as they will be again.
fn remember(segment: &Segment) -> Vec<u8> {
    bytes(segment)[..8192].iter().map(|byte| byte.load(Ordering::Relaxed)).collect()
}

fn restore(segment: &Segment, remembered: &[u8]) {
    bytes(segment).iter().zip(remembered).for_each(|(byte, value)| byte.store(*value, Ordering::Relaxed));
}

#[test]
fn garbage_in_any_byte_is_survived() {
    hostile(|| {
        let queue = queue();
        let segment = queue.segment();
        let pristine = remember(segment);
        for offset in 0..CONTROL as usize {
            for value in [0, 0xff, 0x55, 1 << (offset % 8)] {
                bytes(segment)[offset].store(value, Ordering::Relaxed);
                operations(&queue);
                restore(segment, &pristine);
            }
        }
    });
}

#[test]
fn garbage_in_any_word_is_survived() {
    hostile(|| {
        let queue = queue();
        let segment = queue.segment();
        let pristine = remember(segment);
        let positions = [4096, 4104, 8184, 1 << 22, (1 << 23) - 8, 1 << 33, (1 << 34) - 8, 12, 1 << 12 | 1];
        let counts = [0, 1, 2, 7, u64::MAX, u64::MAX - 1, i64::MAX as u64, 1 << 62];
        // Of the first region, too: lengths and jumps.
        let words = (0..CONTROL).chain(4096..4128).step_by(8);
        for offset in words {
            for value in positions.into_iter().chain(counts).flat_map(|value| [value, value | 1 << 63]) {
                segment.at::<AtomicU64>(offset).unwrap().store(value, Ordering::Relaxed);
                operations(&queue);
                restore(segment, &pristine);
            }
        }
    });
}

#[test]
fn garbage_under_processes_at_work_is_survived() {
    hostile(|| {
        let queue = queue();
        let segment = queue.segment();
        let workers: Vec<_> = (0..4)
            .map(|_| {
                fork(|| {
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_secs(3) {
                        operations(&queue);
                    }
                })
            })
            .collect();
        let begin = Instant::now();
        let mut random = 88_172_645_463_325_252_u64;
        while begin.elapsed() < Duration::from_secs(3) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let end = if random & 7 == 0 { 8192 } else { CONTROL };
            bytes(segment)[(random % end) as usize].store((random >> 40) as u8, Ordering::Relaxed);
            std::thread::yield_now();
        }
        workers.into_iter().for_each(|worker| worker.join());
    });
}

/// Always the same sequences of writes and operations.
#[test]
fn sequences_of_garbage_are_survived() {
    hostile(|| {
        let config = ProptestConfig {
            cases: 400,
            rng_seed: RngSeed::Fixed(4),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let offset = prop_oneof![4 => 0..CONTROL / 8, 1 => 4096 / 8..8192_u64 / 8];
        let value = prop_oneof![any::<u64>(), 0..16_u64, (3..35_u32).prop_map(|bit| 1 << bit)];
        let writes = prop::collection::vec((offset, value), 1..12);
        let run = |writes: Vec<(u64, u64)>| {
            let queue = queue();
            for (word, value) in writes {
                queue.segment().at::<AtomicU64>(word * 8).unwrap().store(value, Ordering::Relaxed);
                operations(&queue);
            }
            Ok(())
        };
        TestRunner::new(config).run(&writes, run).unwrap();
    });
}

/// A record of which the file has the head only: others can make the file longer.
#[test]
fn an_item_beyond_the_end_of_the_file_is_an_error() {
    alone(|| {
        let queue = Queue::<[u8]>::bounded(5).unwrap();
        let segment = queue.segment();
        let file = rustix::fs::fstat(segment).unwrap().st_size as u64;
        let data = file - segment.len();
        let region = 1_u64 << 16;
        rustix::fs::ftruncate(segment, data + region + 4096).unwrap();
        let word =
            |offset: u64, value| segment.at::<AtomicU64>(offset).unwrap().store(value, Ordering::Relaxed);
        // An item of 8 KiB there, and a jump to it.
        word(region, 1 << 62 | 8192);
        word(4096, 1 << 63 | region);
        assert!(matches!(queue.get_bytes_with(|bytes| bytes.to_vec()), Err(GetError::Fault(_))));
        assert!(matches!(queue.get_many_bytes(2, |bytes| drop(bytes.to_vec())), Err(GetError::Fault(_))));
    });
}
