//! What a dictionary does while nobody dies.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use ipc_core::{Segment, Spec};
use ipc_crash_test::soak::Random;
use ipc_shared::{Dict, List};

use crate::help::{alone, fork, join, leave, spawn, unique};

fn words(text: &str) -> Dict<String, u64> {
    let dict = Dict::new().unwrap();
    dict.extend(text.split(' ').zip(0..).map(|(word, number)| (word.to_owned(), number))).unwrap();
    dict
}

#[test]
fn an_entry_is_found_until_it_is_removed() {
    let dict = words("one two three");
    assert_eq!(dict.get("two").unwrap(), Some(1));
    assert_eq!(dict.insert("two".into(), 7).unwrap(), Some(1));
    assert_eq!(dict.get("two").unwrap(), Some(7));
    assert_eq!(dict.len().unwrap(), 3);
    assert_eq!(dict.remove("two").unwrap(), Some(7));
    assert_eq!(dict.remove("two").unwrap(), None);
    assert!(!dict.contains_key("two").unwrap() && dict.contains_key("one").unwrap());
    assert_eq!(dict.len().unwrap(), 2);
    dict.check().unwrap();
}

#[test]
fn it_does_what_a_hash_map_does() {
    let dict: Dict<Vec<u8>, Vec<u8>> = Dict::new().unwrap();
    let mut model: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut random = Random::new(7);
    for step in 0..20_000 {
        let key = vec![b'k'; random.below(3) as usize]
            .into_iter()
            .chain(random.below(300).to_le_bytes())
            .collect::<Vec<u8>>();
        let size = match random.below(100) {
            0 => random.below(20_000),
            1..10 => random.below(2_000),
            _ => random.below(60),
        };
        let value = vec![random.next() as u8; size as usize];
        match random.below(8) {
            0..3 => assert_eq!(dict.insert(key.clone(), value.clone()).unwrap(), model.insert(key, value)),
            3..5 => assert_eq!(dict.remove(&key).unwrap(), model.remove(&key)),
            5 => {
                let new = dict.update(&key, |old| old.map(|old| [&old[..], &value].concat())).unwrap();
                if let Some(old) = model.get_mut(&key) {
                    old.extend(&value);
                }
                assert_eq!(new.as_ref(), model.get(&key));
            }
            6 => {
                let got = dict.get_or_insert_with(key.clone(), || value.clone()).unwrap();
                assert_eq!(&got, model.entry(key).or_insert(value));
            }
            _ => assert_eq!(dict.get(&key).unwrap().as_ref(), model.get(&key)),
        }
        assert_eq!(dict.len().unwrap(), model.len());
        if step % 1000 == 0 {
            dict.check().unwrap_or_else(|error| panic!("step {step}: {error}"));
        }
    }
    let items: HashMap<Vec<u8>, Vec<u8>> = dict.items().unwrap().into_iter().collect();
    assert_eq!(items, model);
    dict.retain(|key, _| key.len() > 8).unwrap();
    model.retain(|key, _| key.len() > 8);
    assert_eq!(dict.len().unwrap(), model.len());
    dict.check().unwrap();
    while let Some((key, value)) = dict.pop_item().unwrap() {
        assert_eq!(model.remove(&key), Some(value));
    }
    assert!(model.is_empty());
    dict.check().unwrap();
}

#[test]
fn values_have_any_size() {
    let dict: Dict<u32, ipc_bytes::Bytes> = Dict::new().unwrap();
    for size in [0, 1, 7, 8, 100, 4_000, 4_096, 5_000, 1 << 20, 100 << 20] {
        let value = ipc_bytes::Bytes(vec![size as u8; size]);
        assert_eq!(dict.insert(1, value).unwrap().map(|old| old.0.len()).is_some(), size > 0);
        let found = dict.get(&1).unwrap().unwrap().0;
        assert!(found.len() == size && found.iter().all(|byte| *byte == size as u8));
        dict.check().unwrap();
    }
    dict.remove(&1).unwrap();
    dict.check().unwrap();
    let stats = dict.stats().unwrap();
    assert!(stats.memory() < 1 << 20, "what is not used is given back: {stats:?}");
}

/// Bytes that serde takes as bytes.
mod ipc_bytes {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) struct Bytes(pub(super) Vec<u8>);

    impl Serialize for Bytes {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_bytes(&self.0)
        }
    }

    impl<'de> Deserialize<'de> for Bytes {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
            <&[u8]>::deserialize(deserializer).map(|bytes| Bytes(bytes.to_vec()))
        }
    }
}

#[test]
fn removed_space_is_used_again() {
    let dict: Dict<u64, Vec<u8>> = Dict::new().unwrap();
    let mut most = 0;
    for round in 0..30 {
        (0..500).for_each(|key| _ = dict.insert(key, vec![1; 40 + key as usize * 20]).unwrap());
        most = if round < 3 { dict.stats().unwrap().memory() } else { most };
        if round % 2 == 0 {
            dict.clear().unwrap();
        } else {
            (0..500).for_each(|key| _ = dict.remove(&key).unwrap());
        }
        assert_eq!(dict.len().unwrap(), 0);
        dict.check().unwrap();
    }
    let memory = dict.stats().unwrap().memory();
    assert!(memory <= most * 11 / 10, "{memory} > {most}");
}

#[test]
fn a_closure_that_panics_leaves_the_old_value() {
    let dict = words("one two");
    let panics = |_: Option<u64>| -> Option<u64> { panic!("on purpose") };
    assert!(catch_unwind(AssertUnwindSafe(|| dict.update("two", panics))).is_err());
    assert!(
        catch_unwind(AssertUnwindSafe(|| dict.update_many(&["one", "two"], |_| panic!("on purpose"))))
            .is_err()
    );
    assert_eq!(dict.get("two").unwrap(), Some(1));
    assert_eq!(dict.update("two", |old| old.map(|old| old + 1)).unwrap(), Some(2));
    dict.check().unwrap();
}

#[test]
fn a_change_within_a_change_is_refused() {
    let dict = words("one two");
    dict.update("one", |old| {
        assert!(dict.insert("two".into(), 5).is_err());
        assert_eq!(dict.get("two").unwrap(), Some(1));
        old
    })
    .unwrap();
    dict.insert("two".into(), 5).unwrap();
}

/// A value whose own code puts another in its place whenever it is decoded.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
struct Restless(u32);

static RESTLESS: OnceLock<(Dict<u8, Restless>, List<Restless>)> = OnceLock::new();

impl<'de> serde::Deserialize<'de> for Restless {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Restless, D::Error> {
        let (dict, list) = RESTLESS.get().unwrap();
        let changed = dict.insert(1, Restless(7)).is_ok() || list.push(&Restless(7)).is_ok();
        let number = u32::deserialize(deserializer)?;
        Ok(Restless(if changed { 0 } else { number }))
    }
}

#[test]
fn a_value_that_is_decoded_within_a_change_can_change_nothing() {
    alone(|| {
        let (dict, list) = RESTLESS.get_or_init(|| (Dict::new().unwrap(), List::new().unwrap()));
        let old = Some(Restless(5));
        list.extend([5; 5].map(Restless)).unwrap();
        dict.insert(1, Restless(5)).unwrap();
        dict.update(&1, |found| {
            assert_eq!(found, old);
            found
        })
        .unwrap();
        dict.update_many(&[&1], |found| assert_eq!(found, [old])).unwrap();
        dict.retain(|_, found| Some(*found) == old).unwrap();
        assert_eq!(dict.remove(&1).unwrap(), old);
        assert_eq!(list.pop().unwrap(), old);
        assert_eq!(list.remove(0).unwrap(), Restless(5));
        assert_eq!(list.set(0, &Restless(6)).unwrap(), Restless(5));
        list.update(1, |found| assert_eq!(*found, Restless(5))).unwrap();
        list.retain(|found| *found == Restless(5)).unwrap();
        assert_eq!((dict.len().unwrap(), list.len().unwrap()), (0, 2));
        leave();
    });
}

#[test]
fn an_update_is_one_step_for_all_processes() {
    alone(|| {
        let dict = words("count other");
        let children: Vec<_> = (0..4)
            .map(|_| {
                fork(|| {
                    for _ in 0..5_000 {
                        dict.update("count", |old| old.map(|count| count + 1)).unwrap();
                    }
                })
            })
            .collect();
        children.into_iter().for_each(|child| child.join());
        assert_eq!(dict.get("count").unwrap(), Some(20_000));
        dict.check().unwrap();
    });
}

#[test]
fn several_entries_change_in_one_step() {
    let dict: Dict<String, i64> = Dict::new().unwrap();
    (0..100).for_each(|key| _ = dict.insert(key.to_string(), 10).unwrap());
    let keys: Vec<String> = (0..100).map(|key| key.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    dict.update_many(&keys, |values| values.iter_mut().for_each(|value| *value = value.map(|old| old * 2)))
        .unwrap();
    assert!(dict.values().unwrap().into_iter().all(|value| value == 20));
    dict.update_many(&keys[..50], |values| values.fill(None)).unwrap();
    assert_eq!(dict.len().unwrap(), 50);
    let new: Vec<String> = (200..900).map(|key| key.to_string()).collect();
    let new: Vec<&str> = new.iter().map(String::as_str).collect();
    dict.update_many(&new, |values| values.fill(Some(1))).unwrap();
    assert_eq!(dict.len().unwrap(), 750);
    assert!(dict.update_many(&["7", "7"], |_| ()).is_err());
    dict.check().unwrap();
}

#[test]
fn an_entry_is_swapped_only_if_it_is_as_expected() {
    let dict = words("one");
    assert!(!dict.compare_and_swap("one", Some(&5), Some(6)).unwrap());
    assert!(!dict.compare_and_swap("one", None, Some(6)).unwrap());
    assert!(dict.compare_and_swap("one", Some(&0), Some(6)).unwrap());
    assert!(dict.compare_and_swap("two", None, Some(1)).unwrap());
    assert!(dict.compare_and_swap("one", Some(&6), None).unwrap());
    assert_eq!(dict.items().unwrap(), [("two".to_string(), 1)]);
}

#[test]
fn a_handle_travels() {
    fn change(dict: Dict<String, u64>) -> Option<u64> {
        dict.insert("new".to_string(), 9).unwrap();
        dict.get("one").unwrap()
    }
    let dict = words("one two");
    assert_eq!(join(&mut spawn(change, (dict.clone(),))), Some(0));
    assert_eq!(dict.get("new").unwrap(), Some(9));
}

#[test]
fn another_type_is_refused_by_name() {
    let name = unique("dict");
    let dict: Dict<String, u64> = Dict::create(&name).unwrap();
    dict.insert("one".into(), 1).unwrap();
    let error = Dict::<String, String>::open(&name).unwrap_err().to_string();
    assert!(error.contains("Dict<alloc::string::String, u64>"), "{error}");
    assert_eq!(Dict::<String, u64>::open(&name).unwrap().get("one").unwrap(), Some(1));
}

#[test]
fn another_version_is_refused() {
    let name = unique("version");
    let spec = Spec::new("store", 99).participants(1024).len(1 << 18);
    let _segment = Segment::create(&name, &spec, |_| Ok(())).unwrap();
    let error = Dict::<String, u64>::open(&name).unwrap_err().to_string();
    assert!(error.contains("version") && error.contains("99"), "{error}");
}

#[test]
fn without_memory_an_insert_fails_and_the_old_value_stays() {
    let dict: Dict<u32, Vec<u8>> = Dict::with_max_memory(16 << 20).unwrap();
    dict.insert(1, vec![1; 100]).unwrap();
    assert!(dict.insert(1, vec![2; 20 << 20]).is_err());
    assert_eq!(dict.get(&1).unwrap(), Some(vec![1; 100]));
    let refused = (2..).find(|key| dict.insert(*key, vec![3; 300]).is_err()).unwrap();
    assert!(refused > 20_000, "{refused}");
    dict.check().unwrap();
    assert_eq!(dict.len().unwrap(), refused as usize - 1);
    // Where one was, there is room for another.
    assert_eq!(dict.remove(&7).unwrap(), Some(vec![3; 300]));
    dict.check().unwrap();
    dict.insert(7, vec![4; 300]).unwrap();
    assert_eq!(dict.get(&7).unwrap(), Some(vec![4; 300]));
}

/// As many as there is memory for, of so many bytes each, after one that takes the rest.
fn full(size: usize) -> Dict<u64, Vec<u8>> {
    let dict: Dict<u64, Vec<u8>> = Dict::with_max_memory(2 << 20).unwrap();
    for size in [size, 2000, 700, 300, 100, 40, 20, 1] {
        let base = 1_000_000 * size as u64;
        (0..).find(|key| dict.insert(base + key, vec![size as u8; size]).is_err()).unwrap();
    }
    dict
}

#[test]
fn a_full_dictionary_can_be_emptied() {
    for size in [20, 400, 3_000, 9_000, 200_000] {
        let keys = |dict: &Dict<u64, Vec<u8>>| dict.keys().unwrap();
        let dict = full(size);
        keys(&dict).iter().for_each(|key| assert!(dict.remove(key).unwrap().is_some()));
        dict.check().unwrap();
        let dict = full(size);
        keys(&dict).iter().for_each(|key| assert_eq!(dict.update(key, |_| None).unwrap(), None));
        dict.check().unwrap();
        let dict = full(size);
        keys(&dict).iter().for_each(|_| assert!(dict.pop_item().unwrap().is_some()));
        assert!(dict.is_empty().unwrap());
        let dict = full(size);
        dict.retain(|_, _| false).unwrap();
        dict.check().unwrap();
        let dict = full(size);
        dict.clear().unwrap();
        dict.check().unwrap();
        assert!(dict.is_empty().unwrap());
        let base = 1_000_000 * size as u64;
        assert!((base..base + 1000).any(|key| dict.insert(key, vec![1; size]).is_ok()), "{size}");
        let dict = full(size);
        dict.delete().unwrap();
    }
}

#[test]
fn a_deleted_dictionary_refuses() {
    let dict = words("one two");
    let other = dict.clone();
    dict.delete().unwrap();
    assert!(other.get("one").is_err());
    assert!(other.insert("one".into(), 1).is_err());
    assert!(other.len().is_err());
    other.check().unwrap();
}

#[test]
fn a_reader_that_is_stopped_or_killed_is_in_nobodys_way() {
    alone(|| {
        let dict: Dict<u64, u64> = Dict::new().unwrap();
        (0..300).for_each(|key| _ = dict.insert(key, key).unwrap());
        for round in 0..20 {
            let reader = fork_and_stay_reading(&dict);
            // At some moment of its reading.
            (0..round * 50).for_each(|key| _ = dict.get(&key).unwrap());
            reader.stop();
            (0..300).for_each(|key| _ = dict.insert(key, key + round).unwrap());
            drop(reader);
            (0..300).for_each(|key| assert_eq!(dict.insert(key, key).unwrap(), Some(key + round)));
        }
        dict.check().unwrap();
    });
}

/// A process that reads for ever, and has begun to.
fn fork_and_stay_reading(dict: &Dict<u64, u64>) -> crate::help::Child {
    let ready = crate::help::Gate::new();
    let child = fork(|| {
        ready.open();
        loop {
            (0..300).for_each(|key| assert!(dict.get(&key).unwrap().is_some()));
        }
    });
    ready.pass();
    child
}

#[test]
fn a_limit_of_the_system_is_an_error_and_the_old_value_stays() {
    alone(|| {
        let dict: Dict<u32, Vec<u8>> = Dict::new().unwrap();
        dict.insert(1, vec![1; 100]).unwrap();
        let limit =
            rustix::process::Rlimit { current: Some(dict.segment().len() + (1 << 20)), maximum: None };
        rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
        let error = dict.insert(1, vec![2; 8 << 20]).unwrap_err().to_string();
        assert!(error.contains("RLIMIT_FSIZE"), "{error}");
        assert_eq!(dict.get(&1).unwrap(), Some(vec![1; 100]));
        dict.check().unwrap();
    });
}
