//! Garbage in any word of a store: errors, wrong values, but no crash and no endless loop.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use ipc_crash_test::soak::Random;
use ipc_shared::{Dict, List, Manager};

use crate::help::{LONG, alone, fork};

/// Words of all that is there at the start, and of the first objects.
const WORDS: u64 = (1 << 17) / 8;

/// Where the domains are, and how long one is.
const DOMAINS: u64 = 16896;
const DOMAIN: u64 = 1408;

fn use_all(manager: &Manager) {
    let _ = manager.check();
    let _ = manager.stats();
    let _ = manager.names();
    let Ok(dict) = manager.find::<Dict<String, Vec<u8>>>("dict") else { return };
    for key in 0..4_u32 {
        let _ = dict.get(&key.to_string());
        let _ = dict.insert(key.to_string(), vec![key as u8; key as usize * 2_000]);
        let _ = dict.update(&key.to_string(), |old| old.map(|old| old.into_iter().take(100).collect()));
        let _ = dict.remove(&key.to_string());
    }
    let _ = dict.items();
    let _ = dict.clear();
    let Ok(list) = manager.find::<List<u64>>("list") else { return };
    let _ = list.push(&7);
    let _ = list.to_vec();
    let _ = list.insert(0, &5);
    let _ = list.sort();
    let _ = list.pop();
}

fn store() -> Manager {
    let manager = Manager::with_max_memory(4 << 20).unwrap();
    let dict: Dict<String, Vec<u8>> = manager.dict().unwrap();
    let list: List<u64> = manager.list().unwrap();
    (0..20_u32).for_each(|key| _ = dict.insert(key.to_string(), vec![1; key as usize * 30]).unwrap());
    list.extend(0..10).unwrap();
    manager.bind("dict", &dict).unwrap();
    manager.bind("list", &list).unwrap();
    manager
}

/// Words that lie near what an honest process writes do the most harm.
fn garbage(random: &mut Random, old: u64, other: u64) -> u64 {
    match random.below(9) {
        0 => 0,
        1 => u64::MAX,
        2 => old ^ 1 << random.below(64),
        3 => old.wrapping_add(random.below(64)),
        4 => old.wrapping_sub(8 * random.below(64)),
        5 => random.below(1 << 20),
        6 => 1 << random.below(64),
        7 => other,
        _ => random.next(),
    }
}

fn attack(seed: u64, count: u64, most: u64) {
    let mut random = Random::new(seed);
    for _ in 0..count {
        let manager = store();
        let segment = manager.segment();
        // Those of the segment that were written to.
        let used: Vec<u64> = (0..WORDS)
            .map(|word| word * 8)
            .chain((0..).step_by(8).skip_while(|at| *at < segment.len() - (1 << 18)).take(1 << 15))
            .filter(|at| segment.at::<AtomicU64>(*at).is_ok_and(|word| word.load(Relaxed) != 0))
            .collect();
        for _ in 0..1 + random.below(most) {
            let at = used[random.below(used.len() as u64) as usize];
            let other = used[random.below(used.len() as u64) as usize];
            let word: &AtomicU64 = segment.at(at).unwrap();
            let other = segment.at::<AtomicU64>(other).unwrap().load(Relaxed);
            let new = garbage(&mut random, word.load(Relaxed), other);
            // A lock that a living process holds is waited for, whoever says so.
            word.store(new, Relaxed);
            unlock(segment);
        }
        use_all(&manager);
    }
}

/// Sets the locks' words back, of which garbage says that this process has them.
fn unlock(segment: &ipc_core::Segment) {
    let me = segment.me().unwrap().word();
    for lock in (0..64).map(|domain| DOMAINS + domain * DOMAIN + 48).chain([128]) {
        let word: &AtomicU32 = segment.at(lock).unwrap();
        if word.load(Relaxed) == me {
            word.store(0, Relaxed);
        }
    }
}

#[test]
fn garbage_in_some_words_is_survived() {
    alone(|| attack(11, if cfg!(debug_assertions) { 150 } else { 3_000 }, 4));
}

#[test]
fn garbage_in_many_words_is_survived() {
    alone(|| attack(12, if cfg!(debug_assertions) { 50 } else { 1_000 }, 200));
}

#[test]
fn damage_is_reported() {
    let dict: Dict<String, u64> = Dict::new().unwrap();
    (0..100_u64).for_each(|key| _ = dict.insert(key.to_string(), key).unwrap());
    dict.check().unwrap();
    let segment = dict.segment();
    let (mut seen, mut all) = (0, 0);
    // What stands behind the locks in each domain: lists of free blocks.
    for domain in 0..64_u64 {
        for class in 0..4 {
            let word: &AtomicU64 = segment.at(DOMAINS + domain * DOMAIN + 128 + class * 8).unwrap();
            let old = word.load(Relaxed);
            if old != 0 {
                word.store(old + 16, Relaxed);
                all += 1;
                seen += u32::from(dict.check().is_err());
                word.store(old, Relaxed);
            }
        }
    }
    dict.check().unwrap();
    assert!(all > 30 && seen == all, "{seen} of {all}");
}

#[test]
fn a_leader_that_this_process_itself_has_locked_is_not_waited_for() {
    alone(|| {
        let dict: Dict<u32, u32> = Dict::new().unwrap();
        (0..200).for_each(|key| _ = dict.insert(key, key).unwrap());
        let segment = dict.segment().clone();
        let word = |domain: u64, offset: u64| -> &AtomicU64 {
            segment.at(DOMAINS + domain * DOMAIN + offset).unwrap()
        };
        let lock = |domain: u64| -> &AtomicU32 { segment.at(DOMAINS + domain * DOMAIN + 48).unwrap() };
        // The last owner of domain 5 died, and had followed domain 9, which has a change to be made.
        fork(|| lock(5).store(segment.me().unwrap().word(), Relaxed)).join();
        word(5, 32).store(7 << 32 | 10, Relaxed);
        word(9, 8).store(7 << 32 | 1, Relaxed);
        lock(9).store(segment.me().unwrap().word(), Relaxed);
        let (done, is_done) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(dict.clear()));
        let error = is_done.recv_timeout(LONG).expect("it hangs").unwrap_err().to_string();
        assert!(error.contains("damaged: leader of a domain"), "{error}");
    });
}
