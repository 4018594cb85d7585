//! ipc-pool: beside a pool of threads, another of processes, and Python's.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ipc_core::Blob;
use ipc_pool::{AsyncResult, Builder, Pool};

use crate::case::{Case, Goal, Unit, time};
use crate::python;

const PYTHON: &str = "multiprocessing.Pool";
const WORKERS: usize = 2;
const APPLIES: u32 = 2_000;
const TASKS: u64 = 5_000;
const ITEMS: u64 = 100_000;
const BYTES: usize = 200_000_000;
const SHARERS: u64 = 100;

static POOL: LazyLock<Pool> = LazyLock::new(|| pool(WORKERS));

fn pool(workers: usize) -> Pool {
    let pool = Builder::new().workers(workers).initializer(|| (), ()).build().expect("workers start");
    // Each has started.
    (0..10).for_each(|_| drop(pool.map(|x: u64| x, 0..100)));
    pool
}

/// Round trips of an empty task.
fn apply() -> Duration {
    time(|| (0..APPLIES).for_each(|_| POOL.apply(|| (), ()).expect("it returns"))) / APPLIES
}

/// As many empty tasks at once.
fn apply_async() -> Duration {
    time(|| {
        let give = |_| POOL.apply_async(|| (), ()).expect("it is open");
        let results: Vec<AsyncResult<()>> = (0..TASKS).map(give).collect();
        results.iter().for_each(|result| result.get().expect("it returns"));
    })
}

fn map() -> Duration {
    let start = Instant::now();
    let squares = POOL.map(|x: u64| x * x, 0..ITEMS).expect("it returns");
    let time = start.elapsed();
    assert!(squares.into_iter().eq((0..ITEMS).map(|x| x * x)));
    time
}

fn imap() -> Duration {
    time(|| {
        let squares = POOL.imap(|x: u64| x * x, 0..ITEMS).expect("it is open");
        assert_eq!(squares.map(|square| square.expect("it returns")).last(), Some((ITEMS - 1) * (ITEMS - 1)));
    })
}

/// Bytes that this process and its workers have copied: what is shared is in none of them.
fn shared_argument() -> Duration {
    let blob = Blob::new(&vec![1; BYTES]).expect("there is memory");
    let own = |blob: Blob| -> u64 {
        assert_eq!(blob.len(), BYTES);
        // Of this process alone, in pages.
        let statm = std::fs::read_to_string("/proc/self/statm").expect("there is /proc");
        let pages: Vec<u64> = statm.split(' ').filter_map(|field| field.trim().parse().ok()).collect();
        u64::from(blob[BYTES / 2]) + (pages[1] - pages[2]) * 4096
    };
    time(|| {
        let tasks = (0..SHARERS).map(|_| POOL.apply_async(own, (blob.clone(),)).expect("it is open"));
        let tasks: Vec<_> = tasks.collect();
        for task in tasks {
            let bytes = task.get().expect("it returns");
            assert!(bytes < BYTES as u64 / 10, "{bytes} bytes are a worker's own");
        }
    })
}

/// From the kill of a worker until its task has failed.
fn kill_to_failure() -> Duration {
    let pool = pool(1);
    let result = pool.apply_async(std::thread::park, ()).expect("it is open");
    let worker = pool.workers().pop().expect("there is one");
    while pool.insights().workers[0].given == 0 || !is_asleep(worker.pid()) {
        std::thread::yield_now();
    }
    time(|| {
        worker.kill().expect("it may be killed");
        result.get().expect_err("it was killed");
    })
}

/// From the kill of a worker until the one in its place has done a task.
fn kill_to_replacement() -> Duration {
    let pool = pool(1);
    let worker = pool.workers().pop().expect("there is one");
    while !is_asleep(worker.pid()) {
        std::thread::yield_now();
    }
    time(|| {
        worker.kill().expect("it may be killed");
        worker.wait();
        pool.apply(|| (), ()).expect("another one does it");
    })
}

fn is_asleep(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|fields| fields.starts_with(" S"))
}

pub(crate) fn cases() -> Vec<Case> {
    let (micros, each, millis) = (Unit::Micros, Unit::Nanos(TASKS), Unit::Millis);
    let mut cases = vec![
        Case::alone("pool/shared-200mb-100-tasks", millis, Goal::None, 10, shared_argument),
        Case::alone("pool/kill-to-failure", millis, Goal::AtMost(5.0), 50, kill_to_failure)
            .with_percentiles(),
        Case::alone("pool/kill-to-replacement", millis, Goal::AtMost(20.0), 50, kill_to_replacement)
            .with_percentiles(),
        Case::new("pool/imap-100k", "map", millis, Goal::None, 10, imap, map),
        Case::alone("pool/apply", micros, Goal::None, 20, apply),
        Case::alone("pool/apply-async", each, Goal::None, 50, apply_async),
    ];
    if python::is_there() {
        let most = Goal::RatioAtMost;
        let python = |what, count| move || python::run(what, count);
        let one = move || python::run("apply", u64::from(APPLIES)) / APPLIES;
        cases.extend([
            Case::new("pool/apply-python", PYTHON, micros, most(0.05), 5, apply, one),
            Case::new(
                "pool/apply-async-python",
                PYTHON,
                each,
                most(0.02),
                5,
                apply_async,
                python("apply_async", TASKS),
            ),
            Case::new("pool/map-100k-python", PYTHON, millis, most(0.2), 10, map, python("map", ITEMS)),
        ]);
    }
    cases.extend(peers());
    cases
}

#[cfg(not(feature = "peers"))]
fn peers() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "peers")]
fn peers() -> Vec<Case> {
    use crate::pool_peers as peers;

    let (micros, each, most) = (Unit::Micros, Unit::Nanos(TASKS), Goal::RatioAtMost);
    vec![
        Case::new("pool/apply-rayon", "rayon-install", micros, most(1.0), 20, apply, || {
            peers::rayon_install(WORKERS, APPLIES)
        }),
        Case::new("pool/apply-procspawn", "procspawn", micros, most(0.2), 20, apply, || {
            peers::procspawn_apply(WORKERS, APPLIES / 10)
        }),
        Case::new("pool/apply-async-rayon", "rayon-spawn", each, most(5.0), 50, apply_async, || {
            peers::rayon_spawn(WORKERS, TASKS)
        }),
    ]
}
