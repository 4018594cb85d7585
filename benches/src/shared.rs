//! ipc-shared: a dictionary beside a hash map in one process, LMDB and Python's manager; a value beside a mutex.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ipc_core::monotonic;
use ipc_lock::Barrier;
use ipc_process::spawn;
use ipc_shared::{Dict, Value};
use parking_lot::Mutex;

use crate::case::{Case, Goal, Unit, time};
use crate::contest::{Counter, uncontended};
use crate::raw::RobustMutex;

/// Entries, and operations that are timed at once.
pub(crate) const COUNT: u64 = 200_000;

const MAP: &str = "parking_lot-map-in-process";

/// Keys of 8 to 16 bytes, in no order.
pub(crate) fn keys() -> Arc<Vec<String>> {
    let numbers = (0..COUNT).map(|number| number * 7919 % COUNT);
    Arc::new(numbers.map(|number| format!("key{number:05}{}", "x".repeat(number as usize % 8))).collect())
}

fn dict(keys: &[String]) -> Dict<String, u64> {
    let dict = Dict::new().expect("there is memory");
    dict.extend(keys.iter().cloned().zip(0..)).expect("there is memory");
    dict
}

fn get(dict: &Dict<String, u64>, keys: &[String]) -> Duration {
    time(|| keys.iter().for_each(|key| _ = black_box(dict.get(key).expect("it works"))))
}

fn insert(dict: &Dict<String, u64>, keys: &[String]) -> Duration {
    time(|| {
        keys.iter().zip(7..).for_each(|(key, value)| _ = dict.insert(key.clone(), value).expect("it works"))
    })
}

fn update(dict: &Dict<String, u64>, keys: &[String]) -> Duration {
    let add = |old: Option<u64>| old.map(|old| old + 1);
    time(|| keys.iter().for_each(|key| _ = dict.update(key, add).expect("it works")))
}

/// How long so many processes take to update keys of their own, all of them together as many as one alone.
fn update_together(dicts: &[Dict<String, u64>], processes: u64) -> Duration {
    fn part(dict: Dict<String, u64>, start: Barrier, number: u64, processes: u64) -> (Duration, Duration) {
        let keys = keys();
        let mine: Vec<String> =
            keys.iter().skip(number as usize).step_by(processes as usize).cloned().collect();
        start.wait().expect("nobody dies");
        let begin = monotonic();
        (0..5).for_each(|_| _ = update(&dict, &mine));
        (begin, monotonic())
    }
    let start = Barrier::new(processes as u32).expect("there is memory");
    let children: Vec<_> = (0..processes)
        .zip(dicts.iter().cycle())
        .map(|(number, dict)| {
            spawn(part, (dict.clone(), start.clone(), number, processes)).expect("it starts")
        })
        .collect();
    let spans: Vec<_> = children.into_iter().map(|mut child| child.join().expect("it returns")).collect();
    let begin = spans.iter().map(|span| span.0).min().unwrap_or_default();
    spans.iter().map(|span| span.1).max().unwrap_or_default() - begin
}

type Operation = fn(&Dict<String, u64>, &[String]) -> Duration;
type MapOperation = fn(&Mutex<HashMap<String, u64>>, &[String]) -> Duration;

fn map_get(map: &Mutex<HashMap<String, u64>>, keys: &[String]) -> Duration {
    time(|| keys.iter().for_each(|key| _ = black_box(map.lock().get(key).copied())))
}

fn map_insert(map: &Mutex<HashMap<String, u64>>, keys: &[String]) -> Duration {
    time(|| {
        keys.iter().zip(7..).for_each(|(key, value)| _ = black_box(map.lock().insert(key.clone(), value)))
    })
}

fn beside_a_map(id: &'static str, ours: Operation, theirs: MapOperation) -> Case {
    let (keys, map) = (keys(), Mutex::new(HashMap::new()));
    map.lock().extend(keys.iter().cloned().zip(0..));
    let (dict, same_keys) = (dict(&keys), Arc::clone(&keys));
    Case {
        id,
        peer: MAP,
        unit: Unit::MillionsPerSecond(COUNT),
        goal: Goal::RatioAtLeast(0.5),
        rounds: 30,
        ours: Box::new(move || ours(&dict, &keys)),
        theirs: Box::new(move || theirs(&map, &same_keys)),
    }
}

/// A `Value`, as a counter among locks.
#[derive(Clone)]
struct Shared(Value<u64>);

impl Counter for Shared {
    fn new() -> Shared {
        Shared(Value::new(0).expect("there is memory"))
    }

    fn value(&self) -> u64 {
        self.0.get()
    }

    fn add(&self) {
        self.0.update(|value| *value += 1);
    }
}

/// Bytes of memory for each entry of a map in this process, and for each of a dictionary.
fn memory() -> Case {
    let keys = keys();
    let dict = dict(&keys);
    Case {
        id: "shared/memory-per-entry",
        peer: "std-map-in-process",
        unit: Unit::BytesEach(COUNT),
        goal: Goal::RatioAtMost(2.0),
        rounds: 1,
        ours: Box::new(move || Duration::from_nanos(dict.stats().expect("it works").memory())),
        theirs: Box::new(move || {
            let map: HashMap<String, u64> = keys.iter().cloned().zip(0..).collect();
            // The table, at a load of 7/8 at most, with a byte of its own for each place; and what malloc takes.
            let places = (map.capacity() as u64 * 8 / 7).next_power_of_two();
            let strings: u64 =
                map.keys().map(|key| (key.capacity() as u64 + 8).next_multiple_of(16).max(32)).sum();
            Duration::from_nanos(places * (size_of::<(String, u64)>() as u64 + 1) + strings)
        }),
    }
}

pub(crate) fn cases() -> Vec<Case> {
    let alone = [dict(&keys())];
    let (together, shared) = (alone.clone(), alone.clone());
    // Tells what the machine makes of two processes that have nothing to do with each other.
    let apart = [dict(&keys()), dict(&keys())];
    let (value, mutex) = (Shared::new(), RobustMutex::new());
    let mut cases = vec![
        beside_a_map("shared/get", get, map_get),
        beside_a_map("shared/insert", insert, map_insert),
        Case {
            id: "shared/update-2-processes",
            peer: "1-process",
            unit: Unit::MillionsPerSecond(5 * COUNT),
            goal: Goal::RatioAtLeast(1.7),
            rounds: 10,
            ours: Box::new(move || update_together(&together, 2)),
            theirs: Box::new(move || update_together(&alone, 1)),
        },
        Case {
            id: "shared/update-2-processes-own",
            peer: "a-dictionary-each",
            unit: Unit::MillionsPerSecond(5 * COUNT),
            goal: Goal::None,
            rounds: 10,
            ours: Box::new(move || update_together(&shared, 2)),
            theirs: Box::new(move || update_together(&apart, 2)),
        },
        Case {
            id: "shared/value-update",
            peer: "pthread-robust",
            unit: Unit::Nanos(1_000_000),
            goal: Goal::RatioAtMost(1.3),
            rounds: 50,
            ours: Box::new(move || uncontended(&value, 1_000_000)),
            theirs: Box::new(move || uncontended(&mutex, 1_000_000)),
        },
        memory(),
    ];
    cases.extend(peers());
    cases
}

#[cfg(not(feature = "peers"))]
fn peers() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "peers")]
fn peers() -> Vec<Case> {
    use crate::peers::{self, Lmdb};

    fn beside_lmdb(
        id: &'static str,
        goal: f64,
        ours: Operation,
        theirs: fn(&Lmdb, &[String]) -> Duration,
    ) -> Case {
        let keys = keys();
        let (dict, lmdb, same_keys) = (dict(&keys), Lmdb::new(&keys), Arc::clone(&keys));
        Case {
            id,
            peer: "lmdb",
            unit: Unit::MillionsPerSecond(COUNT),
            goal: Goal::RatioAtLeast(goal),
            rounds: 10,
            ours: Box::new(move || ours(&dict, &keys)),
            theirs: Box::new(move || theirs(&lmdb, &same_keys)),
        }
    }
    let mut cases = vec![
        beside_lmdb("shared/get-lmdb", 2.0, get, Lmdb::get),
        beside_lmdb("shared/insert-lmdb", 3.0, insert, Lmdb::insert),
        beside_lmdb("shared/update-lmdb", 3.0, update, Lmdb::insert),
    ];
    if peers::has_python() {
        const OPERATIONS: u64 = 2_000;
        let keys = keys();
        let dict = dict(&keys);
        cases.push(Case {
            id: "shared/get-insert-update-python",
            peer: "multiprocessing.Manager",
            unit: Unit::MillionsPerSecond(3 * OPERATIONS),
            goal: Goal::RatioAtLeast(200.0),
            rounds: 5,
            ours: Box::new(move || {
                let keys = &keys[..OPERATIONS as usize];
                get(&dict, keys) + insert(&dict, keys) + update(&dict, keys)
            }),
            theirs: Box::new(|| peers::python_dict(OPERATIONS)),
        });
    }
    cases
}
