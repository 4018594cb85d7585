//! Bytes: room set aside, and items looked at in place.

use ipc_crash_test::{Outcome, Report};
use ipc_queue::Queue;

use super::{Entry, Expected, Scene, Walk, number_of, ready};

pub(super) const CASES: &[Entry] = &[
    ("reserve: written and committed", [1, 11], commit),
    ("reserve: written and dropped", [1, 11], abandon),
    ("put_bytes", [1, 11], put),
    ("put: 5 items of bytes at once", [1, 23], put_all),
    ("get: bytes in place", [1, 11], get_with),
    ("get: bytes into a buffer", [1, 11], get_into),
    ("get: 3 items of bytes at once, in place", [1, 11], get_many),
];

fn scene() -> Scene<Queue<[u8]>> {
    let queue = Queue::bounded(8).unwrap();
    queue.put_all_bytes((1..5_u64).map(u64::to_le_bytes)).unwrap();
    Scene::new(queue)
}

fn run(walk: Walk, victim: fn(&Queue<[u8]>), expected: fn(Expected) -> Expected) -> Report {
    let test = walk.of(scene).victim(move |scene, step| {
        let queue = ready(scene);
        step.run(|| victim(queue));
    });
    let check = move |scene: &Scene<Queue<[u8]>>, outcome: Outcome| {
        expected(Expected::new(1..5)).check(&scene.lock, outcome);
    };
    test.check(check).run()
}

fn commit(walk: Walk) -> Report {
    let victim = |queue: &Queue<[u8]>| {
        let mut room = queue.reserve(8).unwrap();
        room.write_at(0, &5_u64.to_le_bytes());
        room.commit();
    };
    run(walk, victim, |expected| expected.put([5]))
}

fn abandon(walk: Walk) -> Report {
    let victim = |queue: &Queue<[u8]>| {
        let mut room = queue.reserve(8).unwrap();
        room.write_at(0, &5_u64.to_le_bytes());
    };
    run(walk, victim, |expected| expected)
}

fn put(walk: Walk) -> Report {
    run(walk, |queue| queue.put_bytes(&5_u64.to_le_bytes()).unwrap(), |expected| expected.put([5]))
}

fn put_all(walk: Walk) -> Report {
    let victim = |queue: &Queue<[u8]>| queue.put_all_bytes((5..9_u64).map(u64::to_le_bytes)).unwrap();
    run(walk, victim, |expected| expected.put(5..9))
}

fn get_with(walk: Walk) -> Report {
    let victim = |queue: &Queue<[u8]>| {
        queue.get_bytes_with(|bytes| assert_eq!(bytes.len(), 8)).unwrap();
    };
    run(walk, victim, |expected| expected.got(1))
}

fn get_into(walk: Walk) -> Report {
    let victim = |queue: &Queue<[u8]>| {
        let mut buffer = [0; 8];
        assert_eq!(queue.get_bytes_into(&mut buffer).unwrap(), 8);
        assert_eq!(number_of(&buffer), 1);
    };
    run(walk, victim, |expected| expected.got(1))
}

fn get_many(walk: Walk) -> Report {
    let victim = |queue: &Queue<[u8]>| assert_eq!(queue.get_many_bytes(3, |_| {}).unwrap(), 3);
    run(walk, victim, |expected| expected.got(3))
}
