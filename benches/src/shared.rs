//! ipc-shared: a dictionary beside a hash map in one process, LMDB and Python's manager; a value beside a mutex.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use ipc_lock::Barrier;
use ipc_process::spawn;
use ipc_shared::{Dict, Value};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::case::{Case, Goal, Unit, once, time};
use crate::counter::{Counter, uncontended};
use crate::raw::RobustMutex;
use crate::stream::Span;
use crate::{python, stream};

/// Entries, and operations that are timed at once.
pub(crate) const COUNT: u64 = 200_000;

const MAP: &str = "parking_lot-map-in-process";

/// Keys of 8 to 16 bytes, in no order.
pub(crate) fn keys() -> Arc<Vec<String>> {
    let numbers = (0..COUNT).map(|number| number * 7919 % COUNT);
    Arc::new(numbers.map(|number| format!("key{number:05}{}", "x".repeat(number as usize % 8))).collect())
}

pub(crate) fn dict(keys: &[String]) -> Dict<String, u64> {
    let dict = Dict::new().expect("there is memory");
    dict.extend(keys.iter().cloned().zip(0..)).expect("there is memory");
    for (key, value) in keys.iter().zip(0..) {
        assert_eq!(dict.get(key).expect("it works"), Some(value));
    }
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

/// How often the keys are gone through together.
pub(crate) const PASSES: u64 = 5;

/// What several processes do at once.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Work {
    Get,
    Update,
}

fn part(dict: Dict<String, u64>, start: Barrier, number: u64, processes: u64, work: Work) -> Span {
    let keys = keys();
    let mine: Vec<String> = keys.iter().skip(number as usize).step_by(processes as usize).cloned().collect();
    let pass = match work {
        Work::Get => get,
        Work::Update => update,
    };
    stream::together(&start, || (0..PASSES).for_each(|_| _ = pass(&dict, &mine)))
}

/// How long so many processes take for keys of their own, all of them together as many as one alone.
pub(crate) fn together(dicts: &[Dict<String, u64>], processes: u64, work: Work) -> Duration {
    let start = Barrier::new(processes as u32).expect("there is memory");
    let children = (0..processes).zip(dicts.iter().cycle()).map(|(number, dict)| {
        spawn(part, (dict.clone(), start.clone(), number, processes, work)).expect("it starts")
    });
    stream::whole(children.collect())
}

fn update_together(dicts: &[Dict<String, u64>], processes: u64) -> Duration {
    together(dicts, processes, Work::Update)
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
    Case::prepared(id, MAP, Unit::MillionsPerSecond(COUNT), Goal::RatioAtLeast(0.5), 30, move || {
        let (keys, map) = (keys(), Mutex::new(HashMap::new()));
        map.lock().extend(keys.iter().cloned().zip(0..));
        let (dict, same_keys) = (dict(&keys), Arc::clone(&keys));
        [once(move || ours(&dict, &keys)), once(move || theirs(&map, &same_keys))]
    })
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

/// Bytes of memory that a map of these keys takes in this process.
fn map_memory(keys: &[String]) -> u64 {
    let map: HashMap<String, u64> = keys.iter().cloned().zip(0..).collect();
    // The table, at a load of 7/8 at most, with a byte of its own for each place; and what malloc takes.
    let places = (map.capacity() as u64 * 8 / 7).next_power_of_two();
    let strings: u64 = map.keys().map(|key| (key.capacity() as u64 + 8).next_multiple_of(16).max(32)).sum();
    places * (size_of::<(String, u64)>() as u64 + 1) + strings
}

pub(crate) fn cases() -> Vec<Case> {
    let (each, five) = (Unit::MillionsPerSecond(COUNT), Unit::MillionsPerSecond(PASSES * COUNT));
    let million = Unit::Nanos(1_000_000);
    let bytes = Unit::BytesEach(COUNT);
    let mut cases = vec![
        beside_a_map("shared/get", get, map_get),
        beside_a_map("shared/insert", insert, map_insert),
        Case::prepared("shared/update-2-processes", "1-process", five, Goal::RatioAtLeast(1.7), 10, || {
            let alone = [dict(&keys())];
            let together = alone.clone();
            [once(move || update_together(&together, 2)), once(move || update_together(&alone, 1))]
        }),
        // Tells what the machine makes of two processes that have nothing to do with each other.
        Case::prepared("shared/update-2-processes-own", "a-dictionary-each", five, Goal::None, 10, || {
            let (shared, apart) = ([dict(&keys())], [dict(&keys()), dict(&keys())]);
            [once(move || update_together(&shared, 2)), once(move || update_together(&apart, 2))]
        }),
        Case::prepared("shared/value-update", "pthread-robust", million, Goal::RatioAtMost(1.3), 50, || {
            let (value, mutex) = (Shared::new(), RobustMutex::new());
            [once(move || uncontended(&value, 1_000_000)), once(move || uncontended(&mutex, 1_000_000))]
        }),
        Case::prepared(
            "shared/memory-per-entry",
            "std-map-in-process",
            bytes,
            Goal::RatioAtMost(2.0),
            1,
            || {
                let keys = keys();
                let dict = dict(&keys);
                [
                    once(move || Duration::from_nanos(dict.stats().expect("it works").memory())),
                    once(move || Duration::from_nanos(map_memory(&keys))),
                ]
            },
        ),
    ];
    if python::is_there() {
        const OPERATIONS: u64 = 2_000;
        let (id, peer) = ("shared/get-insert-update-python", "multiprocessing.Manager");
        let three = Unit::MillionsPerSecond(3 * OPERATIONS);
        cases.push(Case::prepared(id, peer, three, Goal::RatioAtLeast(200.0), 5, || {
            let keys = keys();
            let dict = dict(&keys);
            let ours = move || {
                let keys = &keys[..OPERATIONS as usize];
                get(&dict, keys) + insert(&dict, keys) + update(&dict, keys)
            };
            [once(ours), once(|| python::run("dict", OPERATIONS))]
        }));
    }
    cases.extend(peers(each));
    cases
}

#[cfg(not(feature = "peers"))]
fn peers(_: Unit) -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "peers")]
fn peers(each: Unit) -> Vec<Case> {
    use crate::peers::Lmdb;

    type TheirOperation = fn(&Lmdb, &[String]) -> Duration;
    let beside_lmdb = |id, goal, ours: Operation, theirs: TheirOperation| {
        Case::prepared(id, "lmdb", each, Goal::RatioAtLeast(goal), 10, move || {
            let keys = keys();
            let (dict, lmdb, same_keys) = (dict(&keys), Lmdb::new(&keys), Arc::clone(&keys));
            [once(move || ours(&dict, &keys)), once(move || theirs(&lmdb, &same_keys))]
        })
    };
    vec![
        beside_lmdb("shared/get-lmdb", 2.0, get, Lmdb::get),
        beside_lmdb("shared/insert-lmdb", 3.0, insert, Lmdb::insert),
        beside_lmdb("shared/update-lmdb", 3.0, update, Lmdb::insert),
    ]
}
