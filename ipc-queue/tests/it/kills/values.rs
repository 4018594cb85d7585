//! Values in and out, one by one and many at once.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_queue::{Queue, TryGetError, TryPutError};

use super::{Entry, Expected, Numbers, SOON, Scene, Walk, ready};

pub(super) const CASES: &[Entry] = &[
    ("put: into an empty queue", [1, 11], put_empty),
    ("put: into a half full queue", [1, 11], put_half),
    ("put: at the end of a region, going on at its start", [1, 11], put_wrapping),
    ("put: while one waits to get", [1, 11], put_for_getter),
    ("put: while the queue is full, until one gets", [61, 499], put_full),
    ("put: 5 at once", [7, 23], put_all),
    ("put: 5 at once, of which 3 fit, until one gets", [101, 997], put_all_full),
    ("try_put: into a half full queue", [1, 11], try_put),
    ("try_put: the queue is full", [1, 11], try_put_full),
    ("try_get: the queue is empty", [1, 11], try_get_empty),
    ("put_timeout that passes", [101, 4001], put_timeout),
    ("get: one of four", [1, 11], get),
    ("get: the last", [1, 11], get_last),
    ("get: at the end of a region, going on at its start", [1, 11], get_wrapping),
    ("get: while one waits to put", [1, 11], get_for_putter),
    ("get: while the queue is empty, until one puts", [61, 499], get_empty),
    ("get: 4 at once", [3, 23], get_many),
    ("get: all at once, while two wait to put", [3, 23], get_many_for_putters),
    ("get_timeout that passes", [101, 4001], get_timeout),
];

const ALL: [u64; 4] = [1, 2, 3, 4];

fn scene(capacity: usize, items: impl IntoIterator<Item = u64>) -> Scene<Queue<u64>> {
    let queue = Queue::bounded(capacity).unwrap();
    queue.put_all(items).unwrap();
    Scene::new(queue)
}

fn half_full() -> Scene<Queue<u64>> {
    scene(8, ALL)
}

fn full() -> Scene<Queue<u64>> {
    scene(4, ALL)
}

/// The smallest region has 4,096 bytes, of which a small number takes 16: this many fill it up to its last word.
fn before_the_end() -> Scene<Queue<u64>> {
    let scene = scene(8, []);
    for _ in 0..255 {
        scene.lock.put(0).unwrap();
        scene.lock.get().unwrap();
    }
    scene
}

/// With another process that gets so many when it sees that somebody waits to put, or is let on.
fn with_getter(scene: Scene<Queue<u64>>, times: usize) -> Scene<Queue<u64>> {
    scene.with_other(move |queue, notes, gate| {
        queue.segment().me().unwrap();
        gate.stay_until(|| !queue.stats().waiting_to_put.is_empty());
        for note in &notes[1..=times] {
            note.store(queue.try_get().unwrap_or_default(), SeqCst);
        }
        notes[0].store(1, SeqCst);
    })
}

/// What the other process has got, when it is done.
fn got(scene: &Scene<Queue<u64>>) -> Vec<u64> {
    scene.go();
    while scene.notes[0].load(SeqCst) == 0 {
        std::thread::yield_now();
    }
    scene.notes[1..].iter().map(|note| note.load(SeqCst)).filter(|number| *number != 0).collect()
}

fn test(
    walk: Walk,
    setup: fn() -> Scene<Queue<u64>>,
    victim: fn(&Queue<u64>),
) -> KillTest<'static, Scene<Queue<u64>>> {
    let test = walk.of(setup).victim(move |scene, step| {
        let queue = ready(scene);
        step.run(|| victim(queue));
    });
    test.blocked_after(SOON).when_blocked(Scene::go)
}

fn run(
    walk: Walk,
    setup: fn() -> Scene<Queue<u64>>,
    victim: fn(&Queue<u64>),
    expected: fn() -> Expected,
) -> Report {
    let check = move |scene: &Scene<Queue<u64>>, outcome: Outcome| {
        scene.go();
        expected().check(&scene.lock, outcome);
    };
    test(walk, setup, victim).check(check).run()
}

fn put_empty(walk: Walk) -> Report {
    run(walk, || scene(8, []), |queue| queue.put(5).unwrap(), || Expected::new([]).put([5]))
}

fn put_half(walk: Walk) -> Report {
    run(walk, half_full, |queue| queue.put(5).unwrap(), || Expected::new(ALL).put([5]))
}

fn put_wrapping(walk: Walk) -> Report {
    run(walk, before_the_end, |queue| queue.put(5).unwrap(), || Expected::new([]).put([5]))
}

/// One waits asleep before the put, and another gets what the first may have missed.
fn put_for_getter(walk: Walk) -> Report {
    let test = test(walk, || scene(8, []), |queue| queue.put(5).unwrap());
    let waiter = |scene: &Scene<Queue<u64>>| {
        let got = scene.lock.get_timeout(SOON * 20).unwrap();
        assert!(got == 5 || got == 6, "wrong item");
    };
    let check = |scene: &Scene<Queue<u64>>, outcome: Outcome| match outcome {
        Outcome::Completed => {}
        // Nothing may have been put, which is to wait for.
        _ => scene.lock.add(6),
    };
    test.waiter(waiter).check(check).run()
}

fn put_full(walk: Walk) -> Report {
    let test = test(walk, || with_getter(full(), 1), |queue| queue.put(5).unwrap());
    let check = |scene: &Scene<Queue<u64>>, outcome: Outcome| {
        Expected::new(ALL).put([5]).check_after(got(scene), &scene.lock, outcome);
    };
    test.check(check).run()
}

fn put_all(walk: Walk) -> Report {
    run(walk, || scene(8, [1]), |queue| queue.put_all(5..10).unwrap(), || Expected::new([1]).put(5..10))
}

fn put_all_full(walk: Walk) -> Report {
    let test = test(walk, || with_getter(scene(4, [1]), 3), |queue| queue.put_all(5..10).unwrap());
    let check = |scene: &Scene<Queue<u64>>, outcome: Outcome| {
        Expected::new([1]).put(5..10).check_after(got(scene), &scene.lock, outcome);
    };
    test.check(check).run()
}

fn try_put(walk: Walk) -> Report {
    run(walk, half_full, |queue| queue.try_put(5).unwrap(), || Expected::new(ALL).put([5]))
}

fn try_put_full(walk: Walk) -> Report {
    let victim = |queue: &Queue<u64>| assert!(matches!(queue.try_put(5), Err(TryPutError::Full(5))));
    run(walk, full, victim, || Expected::new(ALL))
}

fn put_timeout(walk: Walk) -> Report {
    let victim = |queue: &Queue<u64>| assert!(queue.put_timeout(5, Duration::from_micros(100)).is_err());
    run(walk, full, victim, || Expected::new(ALL))
}

fn get(walk: Walk) -> Report {
    run(walk, half_full, |queue| assert_eq!(queue.get().unwrap(), 1), || Expected::new(ALL).got(1))
}

fn get_last(walk: Walk) -> Report {
    run(walk, || scene(8, [1]), |queue| assert_eq!(queue.get().unwrap(), 1), || Expected::new([1]).got(1))
}

fn get_wrapping(walk: Walk) -> Report {
    let setup = || {
        let scene = before_the_end();
        scene.lock.put_all(ALL).unwrap();
        scene
    };
    run(walk, setup, |queue| assert_eq!(queue.get().unwrap(), 1), || Expected::new(ALL).got(1))
}

fn get_for_putter(walk: Walk) -> Report {
    let test = test(walk, full, |queue| assert_eq!(queue.get().unwrap(), 1));
    let waiter = |scene: &Scene<Queue<u64>>| scene.lock.put_timeout(5, SOON * 20).unwrap();
    let check = |scene: &Scene<Queue<u64>>, outcome: Outcome| match outcome {
        Outcome::Completed => {}
        _ => assert!(scene.lock.take().is_some()),
    };
    test.waiter(waiter).check(check).run()
}

fn get_empty(walk: Walk) -> Report {
    let setup = || {
        scene(8, []).with_other(|queue, _, gate| {
            queue.segment().me().unwrap();
            gate.stay_until(|| !queue.stats().waiting_to_get.is_empty());
            queue.put_all([1, 2]).unwrap();
        })
    };
    let check = |scene: &Scene<Queue<u64>>, _: Outcome| {
        scene.go();
        // One or both of what the other puts.
        assert!(scene.lock.take().is_some_and(|number| number <= 2), "lost item");
        let _ = scene.lock.try_get();
        super::works(&scene.lock);
    };
    test(walk, setup, |queue| assert_eq!(queue.get().unwrap(), 1)).check(check).run()
}

fn get_many(walk: Walk) -> Report {
    let victim = |queue: &Queue<u64>| assert_eq!(queue.get_many(4).unwrap().len(), 4);
    run(walk, || scene(8, 1..7), victim, || Expected::new(1..7).got(4))
}

fn get_many_for_putters(walk: Walk) -> Report {
    // When this process is slow, they look again by themselves, and it may get what they put.
    let test = test(walk, full, |queue| assert!(queue.get_many(10).unwrap().len() >= 4));
    let waiter = |scene: &Scene<Queue<u64>>| {
        scene.lock.put_timeout(5, SOON * 20).unwrap();
        scene.notes[0].fetch_add(1, SeqCst);
    };
    let check = |scene: &Scene<Queue<u64>>, outcome: Outcome| {
        // Where nothing was got, there is no room for them.
        while outcome != Outcome::Completed && scene.notes[0].load(SeqCst) < 2 {
            let _ = scene.lock.try_get();
        }
    };
    test.waiter(waiter).waiter(waiter).check(check).run()
}

fn try_get_empty(walk: Walk) -> Report {
    let victim = |queue: &Queue<u64>| assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    run(walk, || scene(8, []), victim, || Expected::new([]))
}

fn get_timeout(walk: Walk) -> Report {
    let victim = |queue: &Queue<u64>| assert!(queue.get_timeout(Duration::from_micros(100)).is_err());
    run(walk, || scene(8, []), victim, || Expected::new([]))
}
