//! Workers that write into what they share with the pool.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use ipc_core::transfer::Parcel;
use ipc_core::{Fd, codec};
use ipc_crash_test::alone::until;
use ipc_pool::{Builder, Death, Pool, TaskError};
use ipc_queue::Queue;
use rustix::process::{Signal, getpid, kill_process};
use serde::Serialize;

use crate::help::{LONG, Words, end, get};

/// The memory of all queues that this process has.
fn memories() -> Vec<File> {
    let fds = fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    let is_queue = |path: &std::path::PathBuf| {
        fs::read_link(path).is_ok_and(|target| target.to_string_lossy().contains("memfd:ipc-queue"))
    };
    fds.filter(is_queue).map(|path| OpenOptions::new().read(true).write(true).open(path).unwrap()).collect()
}

/// Overwrites all words that are not 0 with others, in so many ways.
fn spoil(way: u8) {
    for memory in memories() {
        let mut word = [0; 8];
        for at in (0..1 << 14).step_by(8) {
            if memory.read_at(&mut word, at).is_ok_and(|len| len == 8) && word != [0; 8] {
                let old = u64::from_le_bytes(word);
                let new = [u64::MAX, 0, old ^ 1, old.wrapping_add(8), old << 32][usize::from(way)];
                memory.write_at(&new.to_le_bytes(), at).unwrap();
            }
        }
    }
}

/// Drops the pool, which must come to an end, and leave no worker.
fn drop_in_time(pool: Pool) {
    let workers = pool.workers();
    let (told, done) = std::sync::mpsc::channel();
    let dropping = thread::spawn(move || {
        drop(pool);
        told.send(()).unwrap();
    });
    done.recv_timeout(LONG).expect("the pool is not dropped");
    dropping.join().unwrap();
    assert!(workers.iter().all(|worker| !worker.is_alive()), "a worker is left");
}

#[test]
fn whatever_a_task_writes_into_the_queues_every_result_comes_and_the_pool_ends() {
    for way in 0..5 {
        // A worker may wait for ever then.
        let pool = Builder::new().workers(2).timeout(Duration::from_secs(2)).build().unwrap();
        let before: Vec<_> = (0..10_u64).map(|x| pool.apply_async(|x: u64| x, (x,)).unwrap()).collect();
        let spoils = pool.apply_async(spoil, (way,)).unwrap();
        let after = (0..10_u64).map_while(|x| pool.apply_async(|x: u64| x, (x,)).ok());
        let after: Vec<_> = after.collect();
        let _ = get(&spoils);
        for result in before.iter().chain(&after) {
            match get(result) {
                Ok(_) => {}
                Err(
                    TaskError::WorkerDied { .. }
                    | TaskError::TimedOut { .. }
                    | TaskError::Pool(_)
                    | TaskError::Result(_),
                ) => {}
                Err(error) => panic!("{error}"),
            }
        }
        drop_in_time(pool);
    }
}

/// As the pool's own.
#[derive(Serialize)]
struct Report {
    place: u32,
    generation: u64,
    what: What,
}

#[derive(Serialize)]
#[expect(dead_code, reason = "its number counts")]
enum What {
    Ready,
    Skipped,
    NotReady(u8),
    Done { number: u64, items: u32, busy: u64, fetch: bool },
    Ended,
}

/// All queues that this process has.
fn queues() -> impl Iterator<Item = Queue<[u8]>> {
    memories().into_iter().map(|memory| {
        let fd = Fd(OwnedFd::from(memory));
        let parcel = Parcel::pack(|| {
            let mut bytes = Vec::new();
            codec::encode(&fd, &mut bytes).map(|()| bytes)
        });
        parcel.unwrap().unpack(codec::decode_all::<Queue<[u8]>>).unwrap()
    })
}

fn put_everywhere(report: &Report) {
    let mut bytes = Vec::new();
    codec::encode(report, &mut bytes).unwrap();
    queues().for_each(|queue| queue.put_bytes(&bytes).unwrap());
}

/// Never leaves the lock of the reports, which alone are shared by more than two.
fn stop_within_reports(words: Words) {
    let reports = queues().max_by_key(|queue| queue.segment().participants().len()).unwrap();
    let _room = reports.reserve(100).unwrap();
    words.add(0);
    kill_process(getpid(), Signal::STOP).unwrap();
}

#[test]
fn a_worker_that_is_stopped_within_the_lock_of_the_reports_costs_itself_alone() {
    let pool = Pool::new(2).unwrap();
    until("they are not ready", || pool.insights().workers.iter().all(|worker| worker.start_time.is_some()));
    let words = Words::new();
    let stops = pool.apply_async(stop_within_reports, (words.clone(),)).unwrap();
    words.wait(0, 1);
    let others: Vec<_> = (0..50_u64).map(|x| pool.apply_async(|x: u64| x, (x,)).unwrap()).collect();
    for (x, other) in (0..).zip(&others) {
        assert_eq!(get(other).unwrap(), x);
    }
    assert!(matches!(get(&stops), Err(TaskError::WorkerDied { death: Death::Signal(9), .. })));
    end(&pool);
    assert_eq!(pool.insights().restarts, 1);
}

#[test]
fn a_worker_cannot_say_that_another_has_ended() {
    let pool = Pool::new(2).unwrap();
    let words = Words::new();
    let forge = |words: Words| {
        for place in 0..2 {
            put_everywhere(&Report { place, generation: 1, what: What::Ended });
        }
        words.add(0);
        words.wait(1, 1);
    };
    let workers = pool.workers();
    let forging = pool.apply_async(forge, (words.clone(),)).unwrap();
    words.wait(0, 1);
    words.set(1, 1);
    // An order that is none ends the worker.
    let _ = get(&forging);
    let _ = pool.apply(|| (), ());
    drop_in_time(pool);
    assert!(workers.iter().all(|worker| !worker.is_alive()), "a worker is left");
}

#[test]
fn how_long_a_worker_says_it_took_may_be_any_number() {
    let pool = Pool::new(1).unwrap();
    let forge = || {
        for number in 0..10 {
            let what = What::Done { number, items: 1, busy: u64::MAX, fetch: false };
            put_everywhere(&Report { place: 0, generation: 1, what });
        }
    };
    let results: Vec<_> = (0..10).map(|_| pool.apply_async(forge, ())).collect();
    for result in results.into_iter().flatten() {
        let _ = get(&result);
    }
    drop_in_time(pool);
}
