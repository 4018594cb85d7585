//! A mutex around two numbers that are equal, whenever nobody is at it.

use std::hint::black_box;
use std::time::Duration;

use ipc_crash_test::{Outcome, Report};
use ipc_lock::{LockTimeoutError, Mutex, MutexGuard, OwnerDied, TryLockError};

use super::scene::Scene;
use super::{Entry, RECOVERY, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("Mutex: lock, write, unlock", [1, 3], free),
    ("Mutex: lock while another holds it, unlock", [7, 211], held),
    ("Mutex: lock after its owner was killed, repair, unlock", [7, 211], left),
    ("Mutex: try_lock, write, unlock", [1, 7], try_free),
    ("Mutex: try_lock while another holds it", [101, 2003], try_held),
    ("Mutex: try_lock after its owner was killed", [7, 211], try_left),
    ("Mutex: lock_timeout, free, unlock", [1, 7], timeout_free),
    ("Mutex: lock_timeout that passes", [101, 2003], timeout_passes),
    ("Mutex: unlock, with two waiters", [1, 7], unlock_for_waiters),
    ("Mutex: recovery of a killed recovery", [3, 13], recovery),
];

type Pair = [u64; 2];

fn scene() -> Scene<Mutex<Pair>> {
    Scene::new(Mutex::new([0; 2]).unwrap())
}

fn scene_held() -> Scene<Mutex<Pair>> {
    scene().with_other(|mutex, _, gate| {
        let _guard = mutex.lock().unwrap();
        gate.stay_until(|| !mutex.waiters().is_empty());
    })
}

/// Held until the check begins.
fn scene_kept() -> Scene<Mutex<Pair>> {
    scene().with_other(|mutex, _, gate| {
        let _guard = mutex.lock().unwrap();
        gate.stay();
    })
}

fn scene_left() -> Scene<Mutex<Pair>> {
    scene().after(|mutex| {
        let mut guard = mutex.lock().unwrap();
        guard[0] = 7;
        std::mem::forget(guard);
    })
}

fn write(pair: &mut Pair) {
    let next = pair[0] + 1;
    *black_box(&mut pair[0]) = next;
    *black_box(&mut pair[1]) = next;
}

fn repair(died: OwnerDied<MutexGuard<'_, Pair>>) {
    let mut guard = died.into_inner();
    guard[1] = guard[0];
}

/// What everybody else finds.
fn locks(mutex: &Mutex<Pair>) -> bool {
    match mutex.lock_timeout(SOON) {
        Ok(guard) => {
            assert_eq!(guard[0], guard[1], "torn, and nobody said so");
            false
        }
        Err(LockTimeoutError::OwnerDied(died)) => {
            repair(died);
            true
        }
        Err(LockTimeoutError::Timeout) => panic!("the lock stays with the dead"),
    }
}

fn check(scene: &Scene<Mutex<Pair>>, outcome: Outcome) {
    scene.go();
    let told = locks(&scene.lock);
    assert!(!told || outcome != Outcome::Completed, "told of a death with the lock, which was released");
    assert!(!locks(&scene.lock), "told twice");
    assert!(scene.lock.try_lock().is_ok());
}

fn ready(scene: &Scene<Mutex<Pair>>) -> &Mutex<Pair> {
    scene.lock.segment().me().unwrap();
    &scene.lock
}

fn free(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write(&mut mutex.lock().unwrap()));
    });
    test.check(check).run()
}

fn held(walk: Walk) -> Report {
    let test = walk.of(scene_held).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write(&mut mutex.lock().unwrap()));
    });
    test.blocked_after(SOON).when_blocked(Scene::go).check(check).run()
}

fn left(walk: Walk) -> Report {
    let test = walk.of(scene_left).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| repair(mutex.lock().unwrap_err()));
    });
    test.check(check).run()
}

fn try_free(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write(&mut mutex.try_lock().unwrap()));
    });
    test.check(check).run()
}

fn try_held(walk: Walk) -> Report {
    let test = walk.of(scene_kept).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock))));
    });
    test.check(check).run()
}

fn try_left(walk: Walk) -> Report {
    let test = walk.of(scene_left).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| match mutex.try_lock() {
            Err(TryLockError::OwnerDied(died)) => repair(died),
            _ => panic!("not told"),
        });
    });
    test.check(check).run()
}

fn timeout_free(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write(&mut mutex.lock_timeout(SOON).unwrap()));
    });
    test.check(check).run()
}

fn timeout_passes(walk: Walk) -> Report {
    let test = walk.of(scene_kept).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| assert!(mutex.lock_timeout(Duration::from_micros(100)).is_err()));
    });
    test.check(check).run()
}

fn unlock_for_waiters(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mut guard = ready(scene).lock().unwrap();
        step.run(move || {
            write(&mut guard);
            drop(guard);
        });
    });
    let waiter = |scene: &Scene<Mutex<Pair>>| _ = locks(&scene.lock);
    test.waiter(waiter).waiter(waiter).check(|scene, _| _ = locks(&scene.lock)).run()
}

fn recovery(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write(&mut mutex.lock().unwrap()));
    });
    let test = test.recoverer(|scene, step| {
        let mutex = ready(scene);
        step.run(|| _ = locks(mutex));
    });
    // The recoverer may have been killed with the lock after the victim had released it.
    test.recovery_stride(walk.stride * RECOVERY).check(|scene, _| _ = locks(&scene.lock)).run()
}
