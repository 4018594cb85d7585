//! Those who wait for something in a `JoinableQueue`, and those who owe it to them.

use std::time::Duration;

use ipc_crash_test::{Outcome, Report};

use super::joinable::{Queue, account, item, scene, scene_left, scene_of};
use super::{Entry, SOON, Walk};
use ipc_crash_test::scene::Scene;

pub(super) const CASES: &[Entry] = &[
    ("JoinableQueue: put while full, until another gets", [101, 1009], put_full),
    ("JoinableQueue: put_timeout that passes", [101, 1009], put_timeout_passes),
    ("JoinableQueue: get while empty, until another puts", [101, 1009], get_empty),
    ("JoinableQueue: get_timeout that passes", [101, 1009], get_timeout_passes),
    ("JoinableQueue: join while another works", [101, 1009], join_working),
    ("JoinableQueue: join_timeout that passes", [101, 1009], join_timeout_passes),
    ("JoinableQueue: join after the consumers were killed", [101, 1009], join_left),
    ("JoinableQueue: put, with a waiter that gets", [1, 31], put_for_waiter),
    ("JoinableQueue: put_all, with two waiters that get", [7, 97], put_all_for_waiters),
    ("JoinableQueue: get, with a waiter that puts", [1, 31], get_for_waiter),
    ("JoinableQueue: get, drop, with a waiter that gets", [7, 97], drop_for_waiter),
    ("JoinableQueue: done, with a waiter that joins", [1, 31], done_for_waiter),
    (
        "JoinableQueue: done of the last job of a closed queue, with a waiter that gets",
        [1, 31],
        end_for_waiter,
    ),
    ("JoinableQueue: close, with a waiter that gets", [1, 31], close_for_getter),
    ("JoinableQueue: close, with waiters that put and join", [1, 31], close_for_waiters),
];

const MOMENT: Duration = Duration::from_micros(100);

/// Two items are all that there is room for.
fn full() -> Queue {
    let queue = Queue::bounded(2).unwrap();
    [1, 2].into_iter().for_each(|number| queue.put(item(number)).unwrap());
    queue
}

fn get_and_done(queue: &Queue) {
    queue.get_timeout(SOON).unwrap().done().unwrap();
}

fn put_full(walk: Walk) -> Report {
    let setup = || {
        Scene::new(full()).with_other(|queue, _, gate| {
            gate.stay_until(|| !queue.stats().waiting_to_put.is_empty());
            get_and_done(queue);
        })
    };
    let test = walk.of(setup).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.put(item(3)).unwrap());
    });
    let check = |scene: &Scene<Queue>, outcome: Outcome| {
        scene.go();
        // The other takes the first, or the next if this was faster: two or three are left.
        let mut got = Vec::new();
        let sure = if outcome == Outcome::Completed { 2 } else { 1 };
        for _ in 0..sure {
            let job = scene.lock.get_timeout(SOON).expect("it is lost");
            got.push(job.0);
            job.done().unwrap();
        }
        assert!(got.is_sorted_by(|one, next| one < next), "{got:?}");
    };
    test.blocked_after(SOON).when_blocked(Scene::go).check(check).run()
}

fn put_timeout_passes(walk: Walk) -> Report {
    let test = walk.of(|| Scene::new(full())).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| assert!(scene.lock.put_timeout(item(3), MOMENT).is_err()));
    });
    test.check(|scene, _| _ = account(&scene.lock, &[1, 2], &[], 0)).run()
}

fn get_empty(walk: Walk) -> Report {
    let setup = || {
        scene_of([]).with_other(|queue, _, gate| {
            gate.stay_until(|| !queue.stats().waiting_to_get.is_empty());
            queue.put(item(1)).unwrap();
        })
    };
    let test = walk.of(setup).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| std::mem::forget(scene.lock.get().unwrap()));
    });
    let check = |scene: &Scene<Queue>, _: Outcome| {
        scene.go();
        let job = scene.lock.get_timeout(SOON).expect("it is lost");
        assert_eq!(job.0, 1);
        job.done().unwrap();
        account(&scene.lock, &[], &[], 0);
    };
    test.blocked_after(SOON).when_blocked(Scene::go).check(check).run()
}

fn get_timeout_passes(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([])).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| assert!(scene.lock.get_timeout(MOMENT).is_err()));
    });
    test.check(|scene, _| _ = account(&scene.lock, &[], &[], 0)).run()
}

fn join_working(walk: Walk) -> Report {
    let setup = || {
        scene_of([item(1)]).with_other(|queue, _, gate| {
            let job = queue.get().unwrap();
            gate.stay_until(|| !queue.stats().waiting_to_join.is_empty());
            job.done().unwrap();
        })
    };
    let test = walk.of(setup).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.join().unwrap());
    });
    let check = |scene: &Scene<Queue>, _: Outcome| {
        scene.go();
        assert!(scene.lock.join_timeout(SOON).unwrap());
        account(&scene.lock, &[], &[], 0);
    };
    test.blocked_after(SOON).when_blocked(Scene::go).check(check).run()
}

fn join_timeout_passes(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| assert!(!scene.lock.join_timeout(MOMENT).unwrap()));
    });
    test.check(|scene, _| _ = account(&scene.lock, &[1, 2], &[], 0)).run()
}

fn join_left(walk: Walk) -> Report {
    let test = walk.of(scene_left).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| assert!(!scene.lock.join_timeout(MOMENT * 10).unwrap()));
    });
    test.check(|scene, _| _ = account(&scene.lock, &[1, 2], &[], 0)).run()
}

fn put_for_waiter(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([])).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.put(item(1)).unwrap());
    });
    let check = |scene: &Scene<Queue>, outcome: Outcome| {
        if outcome != Outcome::Completed {
            // Instead of the one that may be missing.
            scene.lock.put(item(2)).unwrap();
        }
    };
    test.waiter(|scene| scene.lock.get().unwrap().done().unwrap()).check(check).run()
}

fn put_all_for_waiters(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([])).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.put_all([item(1), item(2)]).unwrap());
    });
    let check = |scene: &Scene<Queue>, outcome: Outcome| {
        if outcome != Outcome::Completed {
            scene.lock.put_all([item(3), item(4)]).unwrap();
        }
    };
    let waiter = |scene: &Scene<Queue>| scene.lock.get().unwrap().done().unwrap();
    test.waiter(waiter).waiter(waiter).check(check).run()
}

fn get_for_waiter(walk: Walk) -> Report {
    let test = walk.of(|| Scene::new(full())).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| std::mem::forget(scene.lock.get().unwrap()));
    });
    let check = |scene: &Scene<Queue>, outcome: Outcome| {
        if outcome != Outcome::Completed {
            get_and_done(&scene.lock);
        }
    };
    test.waiter(|scene| scene.lock.put(item(3)).unwrap()).check(check).run()
}

fn drop_for_waiter(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([item(1)])).victim(|scene, step| {
        let job = scene.lock.get().unwrap();
        step.run(move || drop(job));
    });
    // Whether it was given back or not, the waiter gets it.
    test.waiter(|scene| scene.lock.get().unwrap().done().unwrap())
        .check(|scene, _| assert!(scene.lock.join_timeout(SOON).unwrap()))
        .run()
}

fn done_for_waiter(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([item(1)])).victim(|scene, step| {
        let job = scene.lock.get().unwrap();
        step.run(move || job.done().unwrap());
    });
    let check = |scene: &Scene<Queue>, outcome: Outcome| {
        let may: &[u64] = if outcome == Outcome::Completed { &[] } else { &[1] };
        account(&scene.lock, &[], may, 0);
    };
    test.waiter(|scene| scene.lock.join().unwrap()).check(check).run()
}

fn end_for_waiter(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([item(1)])).victim(|scene, step| {
        let job = scene.lock.get().unwrap();
        scene.lock.close().unwrap();
        step.run(move || job.done().unwrap());
    });
    let waiter = |scene: &Scene<Queue>| scene.lock.iter().for_each(|job| job.unwrap().done().unwrap());
    test.waiter(waiter).check(|scene, _| assert!(scene.lock.join_timeout(SOON).unwrap())).run()
}

fn close_for_waiters(walk: Walk) -> Report {
    // Room for two, of which none is left: one waits to put, and one for all to be done.
    let test = walk.of(|| Scene::new(full())).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.close().unwrap());
    });
    let check = |scene: &Scene<Queue>, _: Outcome| {
        scene.lock.close().unwrap();
        account(&scene.lock, &[1, 2], &[3], 0);
    };
    test.waiter(|scene| _ = scene.lock.put(item(3)))
        .waiter(|scene| scene.lock.join().unwrap())
        .check(check)
        .run()
}

fn close_for_getter(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([])).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.close().unwrap());
    });
    test.waiter(|scene| assert!(scene.lock.get().is_err()))
        .check(|scene, _| scene.lock.close().unwrap())
        .run()
}
