//! Values and arrays change.

use ipc_crash_test::{Outcome, Report};
use ipc_shared::{Array, Value};

use super::{Entry, Scene, Walk};

pub(super) const CASES: &[Entry] = &[
    ("plain: a value of 8 bytes", [1, 31], small_value),
    ("plain: a value of 80 bytes", [1, 31], large_value),
    ("plain: an element of an array", [1, 31], element),
    ("plain: a large element of an array", [1, 503], large_element),
    ("plain: all elements of an array", [1, 503], all_elements),
    ("plain: all of a long array, with a long log", [1787, 20011], long_array),
    ("plain: an array under its guard", [1, 31], guarded_array),
];

fn value<const N: usize>(walk: Walk) -> Report {
    let check = |scene: &Scene<Value<[u64; N]>>, outcome: Outcome| {
        let found = scene.lock.get();
        assert!(found == [2; N] || found == [1; N] && outcome != Outcome::Completed, "torn: {found:?}");
        scene.lock.update(|value| value.fill(7));
        assert_eq!(scene.lock.get(), [7; N], "wrong value");
    };
    let test = walk.of(|| Scene::new(Value::new([1; N]).unwrap())).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.update(|value| value.fill(2)));
    });
    test.check(check).run()
}

fn small_value(walk: Walk) -> Report {
    value::<1>(walk)
}

fn large_value(walk: Walk) -> Report {
    value::<10>(walk)
}

fn array<T: ipc_lock::Shareable + Copy + PartialEq + std::fmt::Debug>(
    walk: Walk,
    old: &[T],
    change: impl Fn(&mut [T]),
    victim: impl Fn(&Array<T>),
) -> Report {
    let mut new = old.to_vec();
    change(&mut new);
    let check = |scene: &Scene<Array<T>>, outcome: Outcome| {
        let found = scene.lock.to_vec();
        assert!(found == new || found == old && outcome != Outcome::Completed, "torn: {found:?}");
        scene.lock.update_all(|all| all.fill(old[0])).unwrap();
        assert_eq!(scene.lock.get(1), Ok(old[0]), "wrong element");
    };
    let test = walk.of(|| Scene::new(Array::new(old).unwrap())).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| victim(&scene.lock));
    });
    test.check(check).run()
}

fn element(walk: Walk) -> Report {
    array(walk, &[1_u32, 2, 3], |all| all[2] = 7, |array| array.set(2, 7).unwrap())
}

fn large_element(walk: Walk) -> Report {
    array(walk, &[[1_u8; 25]; 3], |all| all[1] = [7; 25], |array| array.set(1, [7; 25]).unwrap())
}

fn all_elements(walk: Walk) -> Report {
    array(walk, &[4_u16, 3, 2, 1, 6, 5, 7], <[u16]>::sort, |array| array.sort().unwrap())
}

fn long_array(walk: Walk) -> Report {
    let old: Vec<u64> = (0..80).rev().collect();
    array(walk, &old, <[u64]>::reverse, |array| array.update_all(<[u64]>::reverse).unwrap())
}

/// What is written under the guard may be half done; whoever gets the lock next is told then.
fn guarded_array(walk: Walk) -> Report {
    let check = |scene: &Scene<Array<u64>>, outcome: Outcome| {
        let (found, was_told) = match scene.lock.lock() {
            Ok(guard) => (guard.to_vec(), false),
            Err(died) => (died.into_inner().to_vec(), true),
        };
        let new = found.iter().filter(|element| **element == 2).count();
        let is_whole = new == 5 || new == 0 && outcome != Outcome::Completed;
        assert!(is_whole || was_told && outcome != Outcome::Completed, "torn: {found:?}");
        assert!(found.iter().all(|element| [1, 2].contains(element)), "torn: {found:?}");
        assert!(scene.lock.lock().is_ok(), "told twice");
    };
    let test = walk.of(|| Scene::new(Array::new(&[1_u64; 5]).unwrap())).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.lock().unwrap().fill(2));
    });
    test.check(check).run()
}
