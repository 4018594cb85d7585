//! What a list does.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ipc_crash_test::soak::Random;
use ipc_shared::{Dict, List, Manager};

use crate::help::{alone, fork, join, spawn};

#[test]
fn it_does_what_a_vector_does() {
    let list: List<String> = List::new().unwrap();
    let mut model: Vec<String> = Vec::new();
    let mut random = Random::new(3);
    for step in 0..5_000 {
        let value = "x".repeat(random.below(40) as usize) + &random.below(50).to_string();
        let index = random.below(model.len() as u64 + 1) as usize;
        match random.below(12) {
            0..3 => (list.push(&value).unwrap(), model.push(value)).1,
            3 => assert_eq!(list.pop().unwrap(), model.pop()),
            4 => (list.insert(index, &value).unwrap(), model.insert(index, value)).1,
            5 if index < model.len() => assert_eq!(list.remove(index).unwrap(), model.remove(index)),
            6 if index < model.len() => {
                assert_eq!(list.set(index, &value).unwrap(), std::mem::replace(&mut model[index], value));
            }
            7 if index < model.len() => {
                list.update(index, |old| old.push('!')).unwrap();
                model[index].push('!');
            }
            8 if step % 50 == 0 => (list.sort().unwrap(), model.sort()).1,
            9 => assert_eq!(list.index_of(&value).unwrap(), model.iter().position(|other| *other == value)),
            10 if step % 20 == 0 => {
                list.extend(vec![value.clone(); 5]).unwrap();
                model.extend(vec![value; 5]);
            }
            11 if step % 100 == 0 => {
                list.retain(|value| value.len() > 5).unwrap();
                model.retain(|value| value.len() > 5);
            }
            _ => assert_eq!(list.get(index).unwrap().as_ref(), model.get(index)),
        }
        assert_eq!(list.len().unwrap(), model.len());
        if step % 500 == 0 {
            list.check().unwrap();
        }
    }
    assert_eq!(list.to_vec().unwrap(), model);
    assert_eq!(list.slice(2..5).unwrap(), model[2..5]);
    assert_eq!(list.slice(model.len() + 1..).unwrap(), [""; 0]);
    list.reverse().unwrap();
    model.reverse();
    assert!(list.iter().unwrap().eq(model));
    list.clear().unwrap();
    assert!(list.is_empty().unwrap());
    list.check().unwrap();
}

#[test]
fn an_index_that_is_too_large_is_named() {
    let list: List<u8> = List::new().unwrap();
    list.extend([1, 2]).unwrap();
    for error in
        [list.set(2, &0).unwrap_err(), list.remove(2).unwrap_err(), list.update(2, |_| ()).unwrap_err()]
    {
        assert!(error.to_string().contains("index 2 is out of range: there are 2 elements"), "{error}");
    }
    assert!(list.insert(3, &1).is_err());
    assert_eq!(list.get(2).unwrap(), None);
}

/// As many elements as there is memory for, of so many bytes each.
fn full(size: usize) -> (Manager, List<Vec<u8>>) {
    let manager = Manager::with_max_memory(1 << 20).unwrap();
    let list: List<Vec<u8>> = manager.list().unwrap();
    while list.push(&vec![7; size]).is_ok() {}
    let others: Dict<u32, Vec<u8>> = manager.dict().unwrap();
    for size in [3_000, 700, 300, 100, 30, 1] {
        let base = 1_000_000 * size as u32;
        (0..).find(|key| others.insert(base + key, vec![7; size]).is_err()).unwrap();
    }
    (manager, list)
}

#[test]
fn a_full_list_can_be_emptied() {
    for size in [2_000, 9_000, 100_000] {
        let (manager, list) = full(size);
        while list.pop().unwrap().is_some() {}
        manager.check().unwrap();
        let (manager, list) = full(size);
        while !list.is_empty().unwrap() {
            list.remove(0).unwrap();
        }
        manager.check().unwrap();
        let (manager, list) = full(size);
        list.clear().unwrap();
        manager.check().unwrap();
        let (manager, list) = full(size);
        list.delete().unwrap();
        manager.check().unwrap();
    }
    let (manager, list) = full(10);
    list.clear().unwrap();
    manager.check().unwrap();
}

#[test]
fn a_closure_that_panics_leaves_the_old_elements() {
    let list: List<u8> = List::new().unwrap();
    list.extend([3, 1, 2]).unwrap();
    let panics = |element: &mut u8| {
        *element = 9;
        panic!("on purpose")
    };
    assert!(catch_unwind(AssertUnwindSafe(|| list.update(1, panics))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| list.sort_by(|_, _| panic!("on purpose")))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| list.retain(|_| panic!("on purpose")))).is_err());
    assert_eq!(list.to_vec().unwrap(), [3, 1, 2]);
    list.sort().unwrap();
    list.check().unwrap();
}

#[test]
fn all_processes_push_into_the_same_list() {
    fn push(list: List<u64>) {
        (0..100).for_each(|number| list.push(&number).unwrap());
    }
    let list: List<u64> = List::new().unwrap();
    let mut children: Vec<_> = (0..3).map(|_| spawn(push, (list.clone(),))).collect();
    children.iter_mut().for_each(join);
    assert_eq!(list.len().unwrap(), 300);
    list.check().unwrap();
}

#[test]
fn an_update_of_an_element_is_one_step() {
    alone(|| {
        let list: List<u64> = List::new().unwrap();
        list.extend([0, 0]).unwrap();
        let work = || (0..2_000).for_each(|_| list.update(1, |count| *count += 1).unwrap());
        let children: Vec<_> = (0..3).map(|_| fork(work)).collect();
        children.into_iter().for_each(|child| child.join());
        assert_eq!(list.to_vec().unwrap(), [0, 6_000]);
    });
}
