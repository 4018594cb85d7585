//! An event: a `set` is there or not, and if it is, it reaches everybody.

use std::time::Duration;

use ipc_crash_test::{Outcome, Report};
use ipc_lock::Event;

use super::scene::Scene;
use super::{Entry, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("Event: set, with two waiters", [1, 3], set),
    ("Event: set, clear, with a waiter", [1, 3], set_and_clear),
    ("Event: clear", [1, 3], clear),
    ("Event: wait, set by another", [7, 211], wait),
    ("Event: wait_timeout that passes", [101, 2003], timeout_passes),
];

fn scene() -> Scene<Event> {
    Scene::new(Event::new().unwrap())
}

fn ready(scene: &Scene<Event>) -> &Event {
    scene.lock.segment().me().unwrap();
    &scene.lock
}

fn works(event: &Event) {
    event.set();
    assert!(event.is_set());
    event.wait_timeout(SOON).unwrap();
    event.clear();
    assert!(!event.is_set());
    assert!(event.wait_timeout(Duration::from_millis(1)).is_err());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| event.wait_timeout(SOON));
        event.set();
        waiter.join().unwrap().unwrap();
    });
}

fn set(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let event = ready(scene);
        step.run(|| event.set());
    });
    let waiter = |scene: &Scene<Event>| scene.lock.wait();
    let check = |scene: &Scene<Event>, outcome: Outcome| {
        if !scene.lock.is_set() {
            assert_ne!(outcome, Outcome::Completed);
            scene.lock.set();
        }
    };
    test.waiter(waiter).waiter(waiter).check(check).run()
}

fn set_and_clear(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let event = ready(scene);
        step.run(|| {
            event.set();
            scene.notes[0].store(1, std::sync::atomic::Ordering::SeqCst);
            event.clear();
        });
    });
    let check = |scene: &Scene<Event>, outcome: Outcome| {
        let was_set = scene.notes[0].load(std::sync::atomic::Ordering::SeqCst) != 0;
        assert!(was_set || outcome != Outcome::Completed);
        if !was_set {
            scene.lock.set();
        }
    };
    test.waiter(|scene| scene.lock.wait()).check(check).run()
}

fn clear(walk: Walk) -> Report {
    let setup = || {
        let scene = scene();
        scene.lock.set();
        scene
    };
    let test = walk.of(setup).victim(|scene, step| {
        let event = ready(scene);
        step.run(|| event.clear());
    });
    let check = |scene: &Scene<Event>, outcome: Outcome| {
        assert!(outcome != Outcome::Completed || !scene.lock.is_set());
        works(&scene.lock);
    };
    test.check(check).run()
}

fn wait(walk: Walk) -> Report {
    let setup = || {
        scene().with_other(|event, _, gate| {
            gate.stay_until(|| !event.waiters().is_empty());
            event.set();
        })
    };
    let test = walk.of(setup).victim(|scene, step| {
        let event = ready(scene);
        step.run(|| event.wait());
    });
    let test = test.blocked_after(SOON).when_blocked(Scene::go);
    let check = |scene: &Scene<Event>, _: Outcome| {
        scene.go();
        scene.lock.wait_timeout(SOON).unwrap();
        works(&scene.lock);
    };
    test.check(check).run()
}

fn timeout_passes(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let event = ready(scene);
        step.run(|| assert!(event.wait_timeout(Duration::from_millis(1)).is_err()));
    });
    test.check(|scene, _| works(&scene.lock)).run()
}
