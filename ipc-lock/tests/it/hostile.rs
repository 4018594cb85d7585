//! Whatever another process writes into a lock: no crash, and calls with a deadline come back.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipc_core::Segment;
use ipc_lock::{Barrier, Condvar, Event, LockTimeoutError, Mutex, ReentrantMutex, RwLock, Semaphore};

use crate::help::{LONG, SHORT, alone, fork, fork_and_stay, until};

/// How far into the object garbage is written byte by byte: all of it but most of the tables with a place for each
/// process, of which the first places and that of this process are enough.
const BYTES: u64 = 256;

/// No operation of a lock with a deadline of 1 ms takes that long.
const LIMIT: Duration = Duration::from_secs(5);

fn bytes(segment: &Segment) -> &[AtomicU8] {
    segment.slice(0, segment.len() as usize).unwrap()
}

/// The offsets that are worth writing to.
fn offsets(segment: &Segment) -> Vec<u64> {
    // Where a process's own cell may stand: the tables begin before byte 256.
    let own = segment.me().unwrap().index() as u64 * 8;
    let own = own.saturating_sub(8)..own + BYTES;
    let mut all: Vec<u64> = (0..BYTES).chain(own).filter(|&offset| offset < segment.len()).collect();
    all.dedup();
    all
}

/// Writes garbage to every byte, and to every word whole identities, and runs `operations` after each.
fn survives(segment: &Segment, operations: impl Fn()) {
    let bytes = bytes(segment);
    let pristine: Vec<u8> = bytes.iter().map(|byte| byte.load(Ordering::Relaxed)).collect();
    let restore = || {
        for (byte, value) in bytes.iter().zip(&pristine) {
            byte.store(*value, Ordering::Relaxed);
        }
    };
    let run = |what: &dyn Fn() -> String| {
        let begin = Instant::now();
        operations();
        assert!(begin.elapsed() < LIMIT, "{}: took {:?}", what(), begin.elapsed());
        restore();
    };
    let mut random = 88_172_645_463_325_252_u64;
    for offset in offsets(segment) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        for value in [0, 0xff, random as u8 | 1] {
            bytes[offset as usize].store(value, Ordering::Relaxed);
            run(&|| format!("byte {offset} = {value}"));
        }
    }
    // A word at a time: impossible identities, those of the living, of nobody, and numbers that are too large.
    let me = segment.me().unwrap().word();
    for offset in (0..BYTES.min(segment.len() & !3)).step_by(4) {
        for value in [me, me | 1 << 31, 1 << 31, 4096, 4095, u32::MAX, i32::MAX as u32, 5 << 12 | 900] {
            segment.at::<AtomicU32>(offset).unwrap().store(value, Ordering::Relaxed);
            run(&|| format!("word {offset} = {value:#x}"));
        }
    }
    // All of it.
    for value in [0, 0xff, 0x55, random as u8] {
        bytes.iter().for_each(|byte| byte.store(value, Ordering::Relaxed));
        run(&|| format!("all = {value}"));
    }
}

const MOMENT: Duration = Duration::from_micros(100);

#[test]
fn a_mutex_survives_garbage() {
    alone(|| {
        let mutex = Mutex::new([7_u64; 2]).unwrap();
        survives(mutex.segment(), || {
            drop(mutex.try_lock());
            drop(mutex.lock_timeout(MOMENT));
            let _ = (mutex.holder(), mutex.waiters());
            std::mem::forget(mutex.try_lock());
            drop(mutex.lock_timeout(MOMENT));
        });
    });
}

#[test]
fn a_reentrant_mutex_survives_garbage() {
    alone(|| {
        let mutex = ReentrantMutex::new([7_u64; 2]).unwrap();
        survives(mutex.segment(), || {
            {
                let _outer = mutex.try_lock();
                let _inner = mutex.lock_timeout(MOMENT);
            }
            let _ = (mutex.holder(), mutex.waiters());
        });
    });
}

#[test]
fn a_rwlock_survives_garbage() {
    alone(|| {
        let lock = RwLock::new([7_u64; 2]).unwrap();
        survives(lock.segment(), || {
            drop((lock.try_read(), lock.try_read()));
            drop(lock.read_timeout(MOMENT));
            drop(lock.try_write());
            drop(lock.write_timeout(MOMENT));
            let _ = (lock.writer(), lock.readers(), lock.waiters());
        });
    });
}

#[test]
fn a_semaphore_survives_garbage() {
    alone(|| {
        let semaphore = Semaphore::bounded(1).unwrap();
        survives(semaphore.segment(), || {
            let permit =
                semaphore.try_acquire().or_else(|_| semaphore.acquire_timeout(MOMENT).map_err(|_| ()));
            if let Ok(permit) = permit {
                // Without a deadline, giving back may wait: for as long as the garbage is there.
                std::mem::forget(permit);
            }
            let _ = (semaphore.available(), semaphore.holders(), semaphore.waiters());
        });
    });
}

#[test]
fn a_condvar_survives_garbage() {
    alone(|| {
        let (mutex, condvar) = (Mutex::new(0_u32).unwrap(), Condvar::new().unwrap());
        survives(condvar.segment(), || {
            condvar.notify_one();
            condvar.notify_all();
            let mut guard = mutex.lock().unwrap();
            let _ = condvar.wait_timeout(&mut guard, MOMENT);
            let _ = condvar.wait_while_timeout(&mut guard, MOMENT, |number| *number == 0);
            let _ = condvar.waiters();
        });
    });
}

#[test]
fn an_event_survives_garbage() {
    alone(|| {
        let event = Event::new().unwrap();
        survives(event.segment(), || {
            let _ = event.wait_timeout(MOMENT);
            event.set();
            let _ = (event.wait_timeout(MOMENT), event.is_set(), event.waiters());
            event.clear();
        });
    });
}

#[test]
fn a_barrier_survives_garbage() {
    alone(|| {
        let barrier = Barrier::new(2).unwrap();
        survives(barrier.segment(), || {
            let _ = barrier.wait_timeout(MOMENT);
            barrier.abort();
            let _ = barrier.wait_timeout(MOMENT);
            let _ = (barrier.is_broken(), barrier.parties(), barrier.arrived());
            let _ = (barrier.holders(), barrier.waiters());
            drop(barrier.clone());
        });
    });
}

#[test]
fn garbage_while_it_is_held_and_waited_for_is_survived() {
    alone(|| {
        let mutex = Mutex::new([7_u64; 2]).unwrap();
        let lock = RwLock::new([7_u64; 2]).unwrap();
        let semaphore = Semaphore::new(1).unwrap();
        let event = Event::new().unwrap();
        let barrier = Barrier::new(3).unwrap();
        let holder = fork_and_stay(|| {
            std::mem::forget((mutex.lock(), lock.read(), semaphore.acquire()));
            std::mem::forget(barrier.clone());
        });
        let rounds = 60_u64;
        let waits: [&dyn Fn(); 6] = [
            &|| drop(mutex.lock_timeout(SHORT)),
            &|| drop(lock.write_timeout(SHORT)),
            &|| drop(lock.read_timeout(SHORT)),
            &|| std::mem::forget(semaphore.acquire_timeout(SHORT)),
            &|| _ = event.wait_timeout(SHORT),
            &|| _ = barrier.wait_timeout(SHORT),
        ];
        let waiters = waits.map(|wait| {
            fork(|| {
                for _ in 0..rounds {
                    let begin = Instant::now();
                    wait();
                    assert!(begin.elapsed() < LIMIT);
                }
            })
        });
        let segments =
            [mutex.segment(), lock.segment(), semaphore.segment(), event.segment(), barrier.segment()];
        let mut random = 88_172_645_463_325_252_u64;
        let mut waiters: Vec<_> = waiters.into_iter().map(Some).collect();
        let begin = Instant::now();
        while begin.elapsed() < SHORT * rounds as u32 {
            for segment in segments {
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let place = random % BYTES.min(segment.len());
                bytes(segment)[place as usize].store((random >> 32) as u8, Ordering::Relaxed);
            }
            std::thread::yield_now();
        }
        waiters.iter_mut().for_each(|waiter| waiter.take().unwrap().join());
        drop(holder);
    });
}

/// The few instructions within a semaphore or a barrier are a lock, too, and its owner can be stopped there: here by
/// writing the identity of a living process to it.
#[test]
fn one_that_was_stopped_within_is_not_waited_for_beyond_a_deadline() {
    alone(|| {
        let semaphore = Semaphore::new(1).unwrap();
        let barrier = Barrier::new(1).unwrap();
        for segment in [semaphore.segment(), barrier.segment()] {
            let word: &AtomicU32 = segment.at(0).unwrap();
            word.store(segment.me().unwrap().word(), Ordering::Relaxed);
        }
        assert!(semaphore.try_acquire().is_err());
        assert!(semaphore.acquire_timeout(SHORT).is_err());
        assert!(barrier.wait_timeout(SHORT).is_err());
        barrier.abort();
        semaphore.segment().at::<AtomicU32>(0).unwrap().store(0, Ordering::Relaxed);
        assert!(semaphore.acquire_timeout(LONG).is_ok());
    });
}

/// Whatever stands in the word of a lock, it can be had again once its owner, if there is any, is dead.
#[test]
fn no_word_makes_a_mutex_unusable() {
    alone(|| {
        let mutex = Mutex::new(0_u32).unwrap();
        let word: &AtomicU32 = mutex.segment().at(0).unwrap();
        let mut dead = 0;
        let other = fork_and_stay(|| std::mem::forget(mutex.lock()));
        until("it has it", || mutex.holder().is_some());
        dead |= word.load(Ordering::Relaxed);
        drop(other);
        for value in [dead, dead | 1 << 31, 1 << 31, 1 << 12, 4095, 4095 | 1 << 12, u32::MAX] {
            word.store(value, Ordering::Relaxed);
            assert!(matches!(mutex.lock_timeout(LONG), Err(LockTimeoutError::OwnerDied(_))), "{value:#x}");
            assert!(mutex.try_lock().is_ok());
        }
    });
}
