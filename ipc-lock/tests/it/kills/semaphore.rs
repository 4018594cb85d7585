//! A semaphore: however its users die, no permit is lost, and none is there twice.

use std::ops::RangeInclusive;
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_lock::{Semaphore, WouldBlock};

use super::scene::Scene;
use super::{Entry, RECOVERY, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("Semaphore: acquire, give back", [1, 17], free),
    ("Semaphore: acquire while another holds the last, give back", [7, 211], exhausted),
    ("Semaphore: acquire after the holder of the last was killed, give back", [31, 503], left),
    ("Semaphore: try_acquire, give back", [1, 17], try_free),
    ("Semaphore: try_acquire while others hold all", [101, 2003], try_exhausted),
    ("Semaphore: try_acquire after the holder of the last was killed", [17, 211], try_left),
    ("Semaphore: acquire_timeout that passes", [101, 2003], timeout_passes),
    ("Semaphore: forget", [7, 211], forget),
    ("Semaphore: release", [1, 17], release),
    ("Semaphore: release one too many", [1, 17], over_release),
    ("Semaphore: give back, with two waiters", [1, 11], give_for_waiters),
    ("Semaphore: release, with a waiter", [1, 11], release_for_waiter),
    ("Semaphore: recovery of a killed recovery", [101, 211], recovery),
];

/// How many permits there are in the scenes.
const ALL: u32 = 2;

fn scene() -> Scene<Semaphore> {
    Scene::new(Semaphore::new(ALL).unwrap())
}

/// Another process has all permits, and gives them back when it is let on.
fn scene_exhausted() -> Scene<Semaphore> {
    scene().with_other(|semaphore, _, gate| {
        let _permits = [(); ALL as usize].map(|()| semaphore.acquire());
        gate.stay_until(|| !semaphore.waiters().is_empty());
    })
}

/// Until the check begins.
fn scene_kept() -> Scene<Semaphore> {
    scene().with_other(|semaphore, _, gate| {
        let _permits = [(); ALL as usize].map(|()| semaphore.acquire());
        gate.stay();
    })
}

fn scene_left() -> Scene<Semaphore> {
    scene().after(|semaphore| std::mem::forget([(); ALL as usize].map(|()| semaphore.acquire())))
}

/// All permits can be had, and no more than these; twice, so that they are given back as well.
fn count(semaphore: &Semaphore, expected: &RangeInclusive<u32>) -> u32 {
    let count = || {
        let sure = (0..*expected.start()).map(|_| semaphore.acquire_timeout(SOON).expect("a permit is lost"));
        let mut permits: Vec<_> = sure.collect();
        permits.extend(std::iter::from_fn(|| semaphore.try_acquire().ok()));
        permits.len() as u32
    };
    let counted = count();
    assert!(expected.contains(&counted), "{counted} permits");
    assert_eq!(count(), counted);
    assert_eq!(semaphore.available(), counted);
    counted
}

/// A test of an operation after which there are `after` permits, instead of `ALL`.
fn test(
    walk: Walk,
    setup: fn() -> Scene<Semaphore>,
    after: u32,
    operation: fn(&Semaphore),
) -> KillTest<'static, Scene<Semaphore>> {
    let test = walk.of(setup).victim(move |scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| operation(&scene.lock));
    });
    test.check(move |scene, outcome| {
        scene.go();
        let expected = match outcome {
            Outcome::Completed => after..=after,
            _ => ALL.min(after)..=ALL.max(after),
        };
        count(&scene.lock, &expected);
    })
}

fn acquire(semaphore: &Semaphore) {
    drop(semaphore.acquire());
}

fn free(walk: Walk) -> Report {
    test(walk, scene, ALL, acquire).run()
}

fn exhausted(walk: Walk) -> Report {
    let test = test(walk, scene_exhausted, ALL, acquire);
    test.blocked_after(SOON).when_blocked(Scene::go).run()
}

fn left(walk: Walk) -> Report {
    test(walk, scene_left, ALL, acquire).run()
}

fn try_free(walk: Walk) -> Report {
    test(walk, scene, ALL, |semaphore| drop(semaphore.try_acquire().unwrap())).run()
}

fn try_exhausted(walk: Walk) -> Report {
    test(walk, scene_kept, ALL, |semaphore| assert!(matches!(semaphore.try_acquire(), Err(WouldBlock)))).run()
}

fn try_left(walk: Walk) -> Report {
    test(walk, scene_left, ALL, |semaphore| drop(semaphore.try_acquire().unwrap())).run()
}

fn timeout_passes(walk: Walk) -> Report {
    let operation =
        |semaphore: &Semaphore| assert!(semaphore.acquire_timeout(Duration::from_micros(100)).is_err());
    test(walk, scene_kept, ALL, operation).run()
}

fn forget(walk: Walk) -> Report {
    test(walk, scene, ALL - 1, |semaphore| semaphore.acquire().forget()).run()
}

fn release(walk: Walk) -> Report {
    test(walk, scene, ALL + 1, |semaphore| semaphore.release().unwrap()).run()
}

fn over_release(walk: Walk) -> Report {
    let setup = || Scene::new(Semaphore::bounded(ALL).unwrap());
    test(walk, setup, ALL, |semaphore| assert!(semaphore.release().is_err())).run()
}

fn give_for_waiters(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let permits = [(); ALL as usize].map(|()| scene.lock.acquire());
        step.run(move || drop(permits));
    });
    let waiter = |scene: &Scene<Semaphore>| acquire(&scene.lock);
    // While the waiters may have theirs, those are not free.
    test.waiter(waiter).waiter(waiter).check(|scene, _| acquire(&scene.lock)).run()
}

fn release_for_waiter(walk: Walk) -> Report {
    let empty = || Scene::new(Semaphore::new(0).unwrap());
    let test = walk.of(empty).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.release().unwrap());
    });
    let check = |scene: &Scene<Semaphore>, outcome: Outcome| {
        if outcome != Outcome::Completed {
            // Instead of the one that may be missing.
            scene.lock.release().unwrap();
        }
    };
    test.waiter(|scene| acquire(&scene.lock)).check(check).run()
}

fn recovery(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| {
            let permit = scene.lock.acquire();
            let _other = scene.lock.acquire();
            permit.forget();
        });
    });
    let test = test.recoverer(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| {
            let _permit = scene.lock.acquire();
            let _other = scene.lock.try_acquire();
        });
    });
    let check = |scene: &Scene<Semaphore>, outcome: Outcome| {
        let least = ALL - 1;
        let most = if outcome == Outcome::Completed { least } else { ALL };
        count(&scene.lock, &(least..=most));
    };
    test.recovery_stride(walk.stride * RECOVERY).check(check).run()
}
