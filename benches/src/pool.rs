//! ipc-pool: beside a pool of threads, another of processes, and Python's.

use std::sync::LazyLock;
use std::time::Duration;

use ipc_core::Blob;
use ipc_pool::{AsyncResult, Builder, Pool};

use crate::case::{Case, Goal, Unit, time};

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
    time(|| POOL.map(|x: u64| x * x, 0..ITEMS).expect("it returns"))
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

fn case(
    id: &'static str,
    peer: &'static str,
    unit: Unit,
    goal: Goal,
    rounds: usize,
    ours: fn() -> Duration,
    theirs: impl FnMut() -> Duration + 'static,
) -> Case {
    Case { id, peer, unit, goal, rounds, ours: Box::new(ours), theirs: Box::new(theirs) }
}

pub(crate) fn cases() -> Vec<Case> {
    let nothing = || Duration::from_micros(1);
    let mut cases = vec![
        case(
            "pool/shared-200mb-100-tasks",
            "nothing",
            Unit::Millis,
            Goal::None,
            10,
            shared_argument,
            nothing,
        ),
        case(
            "pool/kill-to-failure",
            "nothing",
            Unit::Millis,
            Goal::AtMost(5.0),
            50,
            kill_to_failure,
            nothing,
        ),
        case(
            "pool/kill-to-replacement",
            "nothing",
            Unit::Millis,
            Goal::AtMost(20.0),
            50,
            kill_to_replacement,
            nothing,
        ),
        case("pool/imap-100k", "map", Unit::Millis, Goal::None, 10, imap, map),
    ];
    cases.extend(peers());
    cases
}

#[cfg(not(feature = "peers"))]
fn peers() -> Vec<Case> {
    vec![
        case("pool/apply", "nothing", Unit::Micros, Goal::None, 20, apply, || Duration::from_micros(1)),
        case("pool/apply-async", "nothing", Unit::Nanos(TASKS), Goal::None, 50, apply_async, || {
            Duration::from_micros(1)
        }),
        case("pool/map-100k", "nothing", Unit::Millis, Goal::None, 20, map, || Duration::from_micros(1)),
    ]
}

#[cfg(feature = "peers")]
fn peers() -> Vec<Case> {
    use crate::pool_peers as peers;

    let (micros, each) = (Unit::Micros, Unit::Nanos(TASKS));
    let mut cases = vec![
        case("pool/apply-rayon", "rayon install", micros, Goal::RatioAtMost(1.0), 20, apply, || {
            peers::rayon_install(WORKERS, APPLIES)
        }),
        case("pool/apply-procspawn", "procspawn", micros, Goal::RatioAtMost(0.2), 20, apply, || {
            peers::procspawn_apply(WORKERS, APPLIES / 10)
        }),
        case("pool/apply-async-rayon", "rayon spawn", each, Goal::RatioAtMost(5.0), 50, apply_async, || {
            peers::rayon_spawn(WORKERS, TASKS)
        }),
    ];
    if crate::peers::has_python() {
        cases.extend([
            case(
                "pool/apply-python",
                "multiprocessing.Pool",
                micros,
                Goal::RatioAtMost(0.05),
                5,
                apply,
                || peers::python("apply", u64::from(APPLIES)) / APPLIES,
            ),
            case(
                "pool/apply-async-python",
                "multiprocessing.Pool",
                each,
                Goal::RatioAtMost(0.02),
                5,
                apply_async,
                || peers::python("apply_async", TASKS),
            ),
            case(
                "pool/map-100k-python",
                "multiprocessing.Pool",
                Unit::Millis,
                Goal::RatioAtMost(0.2),
                10,
                map,
                || peers::python("map", ITEMS),
            ),
        ]);
    }
    cases
}
