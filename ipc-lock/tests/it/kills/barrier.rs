//! A barrier for two: whoever is left passes, or is told that it is broken; and a reset makes it good.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_lock::{Barrier, BarrierError};

use super::scene::Scene;
use super::{Entry, RECOVERY, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("Barrier: wait as the first, another comes", [3, 97], follow),
    ("Barrier: wait as the last, with a waiter", [1, 17], lead),
    ("Barrier: wait_with an action as the last, with a waiter", [1, 17], lead_with_action),
    ("Barrier: wait_timeout that passes", [101, 2003], timeout_passes),
    ("Barrier: reset, with a waiter", [101, 2003], reset),
    ("Barrier: reset after a party was killed", [101, 2003], reset_after_death),
    ("Barrier: abort, with a waiter", [1, 3], abort),
    ("Barrier: clone, drop", [1, 17], clone),
    ("Barrier: recovery of a killed recovery", [13, 101], recovery),
];

fn scene() -> Scene<Barrier> {
    Scene::new(Barrier::new(2).unwrap())
}

/// For whoever has come: passes or is told.
fn passes(barrier: &Barrier) -> bool {
    match barrier.wait_timeout(SOON) {
        Ok(_) => true,
        Err(BarrierError::Broken) => false,
        Err(BarrierError::Timeout) => panic!("a party died, and nobody was told"),
    }
}

/// After a reset two can meet, twice.
fn works(barrier: &Barrier) {
    barrier.reset();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| barrier.wait_timeout(SOON).unwrap());
            let one = barrier.wait_timeout(SOON).unwrap();
            let two = other.join().unwrap();
            assert_eq!(one.index + two.index, 1);
            assert_ne!(one.is_leader, two.is_leader);
        });
    }
}

/// A victim that is a party: it has a handle of its own.
fn test(
    walk: Walk,
    setup: fn() -> Scene<Barrier>,
    operation: fn(&Scene<Barrier>, &Barrier),
) -> KillTest<'static, Scene<Barrier>> {
    walk.of(setup).victim(move |scene, step| {
        let barrier = scene.lock.clone();
        step.run(|| operation(scene, &barrier));
    })
}

fn follow(walk: Walk) -> Report {
    let setup = || {
        scene().with_other(|barrier, notes, gate| {
            gate.stay_until(|| barrier.arrived() == 1);
            let _ = barrier.wait();
            notes[0].store(1, SeqCst);
        })
    };
    // If it is killed before the other comes, the other is told; which is the same as to be let on.
    let test = test(walk, setup, |_, barrier| _ = barrier.wait());
    let check = |scene: &Scene<Barrier>, _: Outcome| {
        scene.go();
        passes(&scene.lock);
        waiter_passed(scene);
        works(&scene.lock);
    };
    test.blocked_after(SOON).when_blocked(Scene::go).check(check).run()
}

fn waiter(scene: &Scene<Barrier>) {
    // A handle of its own that it drops before it ends, so that this is not the death of a party. Without a deadline, which
    // could pass while the victim is stepped.
    let passed = scene.lock.clone().wait().is_ok();
    scene.notes[0].store(1 + u64::from(passed), SeqCst);
}

/// Lets the waiter come to its end, and says whether it passed.
fn waiter_passed(scene: &Scene<Barrier>) -> bool {
    let deadline = ipc_core::deadline(SOON).unwrap();
    loop {
        match scene.notes[0].load(SeqCst) {
            0 => assert!(std::time::Instant::now() < deadline, "the waiter hangs"),
            end => return end == 2,
        }
        std::thread::yield_now();
    }
}

fn lead(walk: Walk) -> Report {
    let test = test(walk, scene, |_, barrier| assert!(barrier.wait().unwrap().is_leader));
    let check = |scene: &Scene<Barrier>, outcome: Outcome| {
        let passed = waiter_passed(scene);
        assert!(passed || outcome != Outcome::Completed, "only one of two passed");
        works(&scene.lock);
    };
    test.waiter(waiter).check(check).run()
}

fn lead_with_action(walk: Walk) -> Report {
    let test = test(walk, scene, |scene, barrier| {
        let arrival = barrier.wait_with(|| scene.notes[1].store(scene.notes[1].load(SeqCst) + 1, SeqCst));
        assert!(arrival.unwrap().is_leader);
    });
    let check = |scene: &Scene<Barrier>, outcome: Outcome| {
        let (passed, actions) = (waiter_passed(scene), scene.notes[1].load(SeqCst));
        assert!(passed || outcome != Outcome::Completed, "only one of two passed");
        assert!(actions == 1 || actions == 0 && !passed, "passed after {actions} actions");
        works(&scene.lock);
    };
    test.waiter(waiter).check(check).run()
}

fn timeout_passes(walk: Walk) -> Report {
    let operation = |_: &Scene<Barrier>, barrier: &Barrier| {
        assert_eq!(barrier.wait_timeout(Duration::from_millis(1)), Err(BarrierError::Timeout));
    };
    let check = |scene: &Scene<Barrier>, outcome: Outcome| {
        // Those who come after the one that arrived and died may pass with it.
        let passed = passes(&scene.lock);
        assert!(!passed || outcome != Outcome::Completed);
        works(&scene.lock);
    };
    test(walk, scene, operation).check(check).run()
}

fn reset(walk: Walk) -> Report {
    let check = |scene: &Scene<Barrier>, _: Outcome| {
        assert!(!waiter_passed(scene));
        works(&scene.lock);
    };
    test(walk, scene, |_, barrier| barrier.reset()).waiter(waiter).check(check).run()
}

fn reset_after_death(walk: Walk) -> Report {
    let setup = || {
        scene().after(|barrier| {
            let _ = barrier.wait_timeout(Duration::ZERO);
        })
    };
    let check = |scene: &Scene<Barrier>, outcome: Outcome| {
        assert!(outcome != Outcome::Completed || !scene.lock.is_broken());
        works(&scene.lock);
    };
    test(walk, setup, |_, barrier| barrier.reset()).check(check).run()
}

fn abort(walk: Walk) -> Report {
    let check = |scene: &Scene<Barrier>, outcome: Outcome| {
        assert!(!waiter_passed(scene));
        assert!(outcome != Outcome::Completed || scene.lock.is_broken());
        works(&scene.lock);
    };
    test(walk, scene, |_, barrier| barrier.abort()).waiter(waiter).check(check).run()
}

fn clone(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let barrier = scene.lock.clone();
        step.run(move || {
            let another = barrier.clone();
            drop(barrier);
            drop(another);
        });
    });
    let check = |scene: &Scene<Barrier>, outcome: Outcome| {
        std::thread::scope(|scope| {
            let other = scope.spawn(|| passes(&scene.lock));
            let passed = passes(&scene.lock);
            assert_eq!(other.join().unwrap(), passed);
            assert!(passed || outcome != Outcome::Completed, "broken by one that has no handle");
        });
        works(&scene.lock);
    };
    test.check(check).run()
}

fn recovery(walk: Walk) -> Report {
    let test = test(walk, scene, |_, barrier| _ = barrier.wait()).waiter(waiter);
    let test = test.recoverer(|scene, step| {
        let barrier = scene.lock.clone();
        step.run(|| barrier.reset());
    });
    let check = |scene: &Scene<Barrier>, _: Outcome| {
        waiter_passed(scene);
        works(&scene.lock);
    };
    test.recovery_stride(walk.stride * RECOVERY).check(check).run()
}
