//! A number under a mutex, and a condition variable to wait until it is not 0.

use std::time::Duration;

use ipc_crash_test::{Outcome, Report};
use ipc_lock::{Condvar, Mutex, OwnerDied};

use super::scene::Scene;
use super::{Entry, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("Condvar: wait, notified by another", [7, 211], wait),
    ("Condvar: wait while another waits too", [7, 211], wait_beside),
    ("Condvar: wait_timeout that passes", [101, 2003], timeout_passes),
    ("Condvar: lock, write, unlock, notify_one, with a waiter", [1, 11], notify_one),
    ("Condvar: lock, write, unlock, notify_all, with two waiters", [1, 11], notify_all),
    ("Condvar: notify_one while nobody waits", [1, 3], notify_nobody),
];

type Pair = (Mutex<u32>, Condvar);

fn scene() -> Scene<Pair> {
    Scene::new((Mutex::new(0).unwrap(), Condvar::new().unwrap()))
}

fn announce((number, changed): &Pair) {
    *number.lock().unwrap_or_else(OwnerDied::into_inner) = 1;
    changed.notify_one();
}

/// Waits until the number is not 0; a number cannot be torn, so that it does not matter who died with the mutex.
fn await_number((number, changed): &Pair) {
    let mut guard = number.lock().unwrap_or_else(OwnerDied::into_inner);
    while changed.wait_while(&mut guard, |number| *number == 0).is_err() {}
}

fn ready(scene: &Scene<Pair>) -> &Pair {
    let (number, changed) = &scene.lock;
    number.segment().me().unwrap();
    changed.segment().me().unwrap();
    &scene.lock
}

/// Everybody else can still tell and be told.
fn check(scene: &Scene<Pair>, _: Outcome) {
    let pair = &scene.lock;
    announce(pair);
    await_number(pair);
    std::thread::scope(|scope| {
        *pair.0.lock().unwrap() = 0;
        let waiter = scope.spawn(|| await_number(pair));
        announce(pair);
        waiter.join().unwrap();
    });
    assert!(pair.0.lock_timeout(SOON).is_ok());
}

fn wait(walk: Walk) -> Report {
    let setup = || {
        scene().with_other(|pair, _, gate| {
            gate.stay_until(|| !pair.1.waiters().is_empty());
            announce(pair);
        })
    };
    let test = walk.of(setup).victim(|scene, step| {
        let pair = ready(scene);
        step.run(|| await_number(pair));
    });
    test.blocked_after(SOON).when_blocked(Scene::go).check(check).run()
}

fn wait_beside(walk: Walk) -> Report {
    let setup = || {
        scene().with_other(|pair, _, gate| {
            gate.stay_until(|| pair.1.waiters().len() == 2);
            announce(pair);
        })
    };
    let test = walk.of(setup).victim(|scene, step| {
        let pair = ready(scene);
        step.run(|| await_number(pair));
    });
    let test = test.blocked_after(SOON).when_blocked(Scene::go);
    // One notification: if the dead swallowed it, the waiter has it all the same.
    test.waiter(|scene| await_number(&scene.lock)).check(|scene, _| announce(&scene.lock)).run()
}

fn timeout_passes(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let (number, changed) = ready(scene);
        step.run(|| {
            let mut guard = number.lock().unwrap();
            let in_time =
                changed.wait_while_timeout(&mut guard, Duration::from_millis(1), |number| *number == 0);
            assert!(!in_time.unwrap());
        });
    });
    test.check(check).run()
}

fn notify_one(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let pair = ready(scene);
        step.run(|| announce(pair));
    });
    test.waiter(|scene| await_number(&scene.lock)).check(check_number).run()
}

fn notify_all(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let (number, changed) = ready(scene);
        step.run(|| {
            *number.lock().unwrap() = 1;
            changed.notify_all();
        });
    });
    let waiter = |scene: &Scene<Pair>| await_number(&scene.lock);
    test.waiter(waiter).waiter(waiter).check(check_number).run()
}

/// What was written reaches the waiters without anybody's help; only if it was not, another writes.
fn check_number(scene: &Scene<Pair>, outcome: Outcome) {
    let number = *scene.lock.0.lock().unwrap_or_else(OwnerDied::into_inner);
    if number == 0 {
        assert_ne!(outcome, Outcome::Completed);
        *scene.lock.0.lock().unwrap() = 1;
        scene.lock.1.notify_all();
    }
}

fn notify_nobody(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let (_, changed) = ready(scene);
        step.run(|| changed.notify_one());
    });
    test.check(check).run()
}
