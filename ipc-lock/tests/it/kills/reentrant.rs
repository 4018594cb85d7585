//! A reentrant mutex around two numbers that are equal, whenever nobody is at it.

use std::time::Duration;

use ipc_crash_test::{Outcome, Report};
use ipc_lock::{LockTimeoutError, OwnerDied, ReentrantMutex, ReentrantMutexGuard};

use super::scene::Scene;
use super::{Entry, RECOVERY, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("ReentrantMutex: lock, relock, write, unlock twice", [1, 11], free),
    ("ReentrantMutex: lock while another holds it twice, unlock", [7, 211], held),
    ("ReentrantMutex: lock after its owner was killed, repair, unlock", [7, 211], left),
    ("ReentrantMutex: try_lock twice, unlock twice", [1, 11], try_free),
    ("ReentrantMutex: lock_timeout that passes", [101, 2003], timeout_passes),
    ("ReentrantMutex: unlock twice, with a waiter", [1, 7], unlock_for_waiter),
    ("ReentrantMutex: recovery of a killed recovery", [13, 101], recovery),
];

type Pair = [u64; 2];
type Reentrant = ReentrantMutex<Pair>;

fn scene() -> Scene<Reentrant> {
    Scene::new(ReentrantMutex::new([0; 2]).unwrap())
}

fn scene_held() -> Scene<Reentrant> {
    scene().with_other(|mutex, _, gate| {
        let (_outer, _inner) = (mutex.lock().unwrap(), mutex.lock().unwrap());
        gate.stay_until(|| !mutex.waiters().is_empty());
    })
}

/// Held until the check begins.
fn scene_kept() -> Scene<Reentrant> {
    scene().with_other(|mutex, _, gate| {
        let (_outer, _inner) = (mutex.lock().unwrap(), mutex.lock().unwrap());
        gate.stay();
    })
}

fn write(guard: &ReentrantMutexGuard<'_, Pair>) {
    let next = guard.get()[0] + 1;
    guard.set([next, 0]);
    guard.set([next, next]);
}

fn repair(died: OwnerDied<ReentrantMutexGuard<'_, Pair>>) {
    let guard = died.into_inner();
    guard.set([guard.get()[0]; 2]);
}

fn locks(mutex: &Reentrant) -> bool {
    match mutex.lock_timeout(SOON) {
        Ok(guard) => {
            assert_eq!(guard.get()[0], guard.get()[1], "torn, and nobody said so");
            false
        }
        Err(LockTimeoutError::OwnerDied(died)) => {
            repair(died);
            true
        }
        Err(LockTimeoutError::Timeout) => panic!("the lock stays with the dead"),
    }
}

/// Nothing of what a dead owner counted is left.
fn counts_from_anew(mutex: &Reentrant) {
    let is_free = || std::thread::scope(|scope| scope.spawn(|| mutex.try_lock().is_ok()).join().unwrap());
    let (outer, inner) = (mutex.lock().unwrap(), mutex.lock().unwrap());
    assert!(!is_free());
    drop(outer);
    assert!(!is_free());
    drop(inner);
    assert!(is_free());
}

fn check(scene: &Scene<Reentrant>, outcome: Outcome) {
    scene.go();
    let told = locks(&scene.lock);
    assert!(!told || outcome != Outcome::Completed, "told of a death with the lock, which was released");
    assert!(!locks(&scene.lock), "told twice");
    counts_from_anew(&scene.lock);
}

fn ready(scene: &Scene<Reentrant>) -> &Reentrant {
    scene.lock.segment().me().unwrap();
    &scene.lock
}

fn write_twice(mutex: &Reentrant) {
    let outer = mutex.lock().unwrap();
    let inner = mutex.lock().unwrap();
    write(&inner);
    drop(inner);
    write(&outer);
}

fn free(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write_twice(mutex));
    });
    test.check(check).run()
}

fn held(walk: Walk) -> Report {
    let test = walk.of(scene_held).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write_twice(mutex));
    });
    test.blocked_after(SOON).when_blocked(Scene::go).check(check).run()
}

fn left(walk: Walk) -> Report {
    let left = || {
        scene().after(|mutex| {
            let (outer, inner) = (mutex.lock().unwrap(), mutex.lock().unwrap());
            inner.set([7, 0]);
            std::mem::forget((outer, inner));
        })
    };
    let test = walk.of(left).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| repair(mutex.lock().unwrap_err()));
    });
    test.check(check).run()
}

fn try_free(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| {
            let _outer = mutex.try_lock().unwrap();
            write(&mutex.try_lock().unwrap());
        });
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

fn unlock_for_waiter(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        let (outer, inner) = (mutex.lock().unwrap(), mutex.lock().unwrap());
        step.run(move || {
            write(&inner);
            drop(outer);
            drop(inner);
        });
    });
    test.waiter(|scene| _ = locks(&scene.lock)).check(|scene, _| _ = locks(&scene.lock)).run()
}

fn recovery(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mutex = ready(scene);
        step.run(|| write_twice(mutex));
    });
    let test = test.recoverer(|scene, step| {
        let mutex = ready(scene);
        step.run(|| match mutex.lock() {
            Ok(guard) => write(&guard),
            Err(died) => repair(died),
        });
    });
    test.recovery_stride(walk.stride * RECOVERY).check(|scene, _| _ = locks(&scene.lock)).run()
}
