//! Values and arrays of plain data.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;

use ipc_shared::{Array, Dict, Value};

use crate::help::{alone, fork, fork_and_stay, join, spawn, unique};

#[test]
fn a_value_is_what_was_written() {
    let small = Value::new(5_u32).unwrap();
    let large = Value::new([7_u64; 40]).unwrap();
    small.set(6);
    assert_eq!(small.update(|value| std::mem::replace(value, 8)), 6);
    *small.lock() += 1;
    assert_eq!(small.get(), 9);
    for round in 0..10 {
        large.update(|value| value[round] += round as u64);
        large.lock()[39] += 1;
    }
    let mut expected: [u64; 40] = std::array::from_fn(|index| if index < 10 { 7 + index as u64 } else { 7 });
    expected[39] = 17;
    assert_eq!(large.get(), expected);
    let odd = Value::new([1_u8; 11]).unwrap();
    odd.update(|value| value[10] = 3);
    assert_eq!(odd.get(), [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3]);
}

#[test]
fn a_change_that_panics_is_none() {
    for change in [|value: &mut [u64; 9]| value[3] = 1, |value: &mut [u64; 9]| value.fill(2)] {
        let value = Value::new([0_u64; 9]).unwrap();
        let panics = || {
            value.update(|value| -> () {
                change(value);
                panic!("on purpose")
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
        assert_eq!(value.get(), [0; 9]);
        value.update(change);
        assert_ne!(value.get(), [0; 9]);
    }
}

#[test]
fn a_change_of_an_array_that_panics_is_none() {
    let array = Array::new(&[1_u32, 2, 3]).unwrap();
    let one = || {
        array.update(1, |element| {
            *element = 9;
            panic!("on purpose")
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(one)).is_err());
    let all = || {
        array.update_all(|all| {
            all.fill(9);
            panic!("on purpose")
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(all)).is_err());
    assert_eq!(array.to_vec(), [1, 2, 3]);
    array.set(1, 7).unwrap();
    assert_eq!(array.get(1), Ok(7));
}

#[test]
fn updates_are_one_step_for_all_processes() {
    alone(|| {
        let (small, large) = (Value::new(0_u64).unwrap(), Value::new([0_u64; 20]).unwrap());
        let atomic = Value::new(0_i32).unwrap();
        let work = || {
            for _ in 0..5_000 {
                small.update(|value| *value += 1);
                large.update(|value| value.iter_mut().for_each(|word| *word += 1));
                atomic.atomic().fetch_add(1, Relaxed);
                let seen = large.get();
                assert!(seen.iter().all(|word| *word == seen[0]), "torn: {seen:?}");
            }
        };
        let children: Vec<_> = (0..3).map(|_| fork(work)).collect();
        children.into_iter().for_each(|child| child.join());
        assert_eq!((small.get(), large.get()[7], atomic.get()), (15_000, 15_000, 15_000));
    });
}

#[test]
fn a_killed_holder_leaves_the_old_value() {
    alone(|| {
        let value = Value::new([1_u64; 10]).unwrap();
        let child = fork_and_stay(|| {
            let mut guard = value.lock();
            guard.fill(9);
            std::mem::forget(guard);
        });
        assert!(value.try_lock().is_none());
        drop(child);
        assert_eq!(value.get(), [1; 10]);
        value.update(|value| value[0] = 2);
        assert_eq!(value.get()[..2], [2, 1]);
    });
}

#[test]
fn an_array_is_a_slice_under_its_lock() {
    let array = Array::new(&[11_i32, 22, 33, 44]).unwrap();
    array.set(1, 5).unwrap();
    assert_eq!(array.update(3, |element| std::mem::replace(element, 1)).unwrap(), 44);
    assert_eq!(array.lock().unwrap()[1..3], [5, 33]);
    array.sort().unwrap();
    assert_eq!(array.to_vec(), [1, 5, 11, 33]);
    array.lock().unwrap().reverse();
    assert_eq!(array.lock().unwrap().iter().copied().max(), Some(33));
    array.atomics()[0].fetch_add(1, Relaxed);
    assert_eq!(array.get(0), Ok(34));
    array.fill(7).unwrap();
    assert_eq!(array.to_vec(), [7; 4]);
    let error = array.set(4, 0).unwrap_err().to_string();
    assert!(error.contains("index 4 is out of range: there are 4 elements"), "{error}");
    assert!(Array::<u64>::new(&[]).unwrap().is_empty());
}

#[test]
fn elements_of_any_size_are_changed_in_one_step() {
    let array = Array::new(&[[1_u8; 3]; 10]).unwrap();
    array.set(3, [2; 3]).unwrap();
    array.set(9, [9; 3]).unwrap();
    let mut expected = [[1; 3]; 10];
    (expected[3], expected[9]) = ([2; 3], [9; 3]);
    assert_eq!(array.to_vec(), expected);
    array.update_all(|all| all.reverse()).unwrap();
    expected.reverse();
    assert_eq!(array.to_vec(), expected);
    let long = Array::new(&vec![5_u64; 100_000]).unwrap();
    long.update_all(|all| (0..).zip(all).for_each(|(index, element)| *element = index)).unwrap();
    assert!(long.to_vec().into_iter().eq(0..100_000));
}

#[test]
fn whoever_gets_an_array_from_a_killed_one_is_told() {
    alone(|| {
        let array = Array::new(&[1_u64, 2, 3]).unwrap();
        drop(fork_and_stay(|| std::mem::forget(array.lock().unwrap())));
        assert!(array.lock().is_err());
        assert!(array.lock().is_ok());
        drop(fork_and_stay(|| std::mem::forget(array.lock().unwrap())));
        array.set(0, 5).unwrap();
        assert_eq!(array.to_vec(), [5, 2, 3]);
    });
}

#[test]
fn they_travel_and_have_names_and_types() {
    fn change(value: Value<u64>, array: Array<u8>) -> u64 {
        array.set(1, 200).unwrap();
        value.update(|value| std::mem::replace(value, 3))
    }
    let name = unique("value");
    let (value, array) = (Value::create(&name, 7_u64).unwrap(), Array::new(&[1_u8, 2]).unwrap());
    assert_eq!(join(&mut spawn(change, (value.clone(), array.clone()))), 7);
    assert_eq!((value.get(), array.to_vec()), (3, vec![1, 200]));
    assert_eq!(Value::<u64>::open(&name).unwrap().get(), 3);
    let error = Value::<i64>::open(&name).unwrap_err().to_string();
    assert!(error.contains("Value<u64>") && error.contains("Value<i64>"), "{error}");
    assert!(Dict::<u8, u8>::open(&name).is_err());
}

#[test]
fn a_new_array_can_be_all_zero() {
    let array = Array::<(f64, u8)>::zeroed(100).unwrap();
    assert_eq!(array.to_vec(), [(0.0, 0); 100]);
    assert!(Array::<i32>::zeroed(0).unwrap().is_empty());
    let floats = Array::new(&[2.5, -1.0, 0.5]).unwrap();
    floats.update_all(|all| all.sort_by(f64::total_cmp)).unwrap();
    assert_eq!(floats.to_vec(), [-1.0, 0.5, 2.5]);
}
