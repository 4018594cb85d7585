//! Who comes after a killed process is killed as well.

use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_queue::Queue;

use super::{Entry, Expected, Numbers, RECOVERY, Scene, Walk, memory, ready};

pub(super) const CASES: &[Entry] = &[
    ("recovery: put after the put of a killed", [17, 193], put),
    ("recovery: get after the get of a killed", [17, 193], get),
    ("recovery: put into a larger region, after the same of a killed", [29, 293], put_larger),
    ("recovery: get out of a smaller region, after the same of a killed", [29, 293], get_smaller),
    ("recovery: giving memory back, after the same of a killed", [37, 293], give_back),
    ("recovery: close after the close of a killed", [17, 193], close),
];

type Bytes = Scene<Queue<[u8]>>;

fn test(walk: Walk, setup: fn() -> Bytes, both: fn(&Queue<[u8]>, u64)) -> KillTest<'static, Bytes> {
    let body = |number: u64| {
        move |scene: &Bytes, step: ipc_crash_test::Step<'_>| {
            let queue = ready(scene);
            step.run(|| both(queue, number));
        }
    };
    walk.of(setup).victim(body(8)).recoverer(body(9)).recovery_stride(walk.stride * RECOVERY)
}

fn run(walk: Walk, setup: fn() -> Bytes, both: fn(&Queue<[u8]>, u64), expected: fn() -> Expected) -> Report {
    let check = move |scene: &Bytes, _: Outcome| {
        // What the victim has done, the one that came after it may not have.
        expected().check(&scene.lock, Outcome::Killed { step: 0 });
    };
    test(walk, setup, both).check(check).run()
}

fn add(queue: &Queue<[u8]>, number: u64) {
    queue.put_bytes(&number.to_le_bytes()).unwrap();
}

fn some() -> Bytes {
    let queue = Queue::bounded(8).unwrap();
    (1..5).for_each(|number| add(&queue, number));
    Scene::new(queue)
}

fn put(walk: Walk) -> Report {
    run(walk, some, add, || Expected::new(1..5).put([8]).put([9]))
}

fn get(walk: Walk) -> Report {
    run(walk, some, |queue, _| memory::skip(queue), || Expected::new(1..5).got(2))
}

fn put_larger(walk: Walk) -> Report {
    run(walk, memory::full_region, add, || Expected::new([1, 2]).put([8]).put([9]))
}

fn get_smaller(walk: Walk) -> Report {
    let setup = || {
        let scene = memory::two_regions();
        add(&scene.lock, 3);
        scene
    };
    run(walk, setup, |queue, _| memory::skip(queue), || Expected::new([2, 3]).got(2))
}

fn give_back(walk: Walk) -> Report {
    run(walk, memory::emptied, |queue, _| queue.find_nothing(), || Expected::new([]))
}

fn close(walk: Walk) -> Report {
    let check = |scene: &Bytes, _: Outcome| {
        let queue = &scene.lock;
        queue.close();
        let found: Vec<u64> = (0..queue.len()).map_while(|_| queue.take()).collect();
        assert_eq!(found, [1, 2, 3, 4], "lost items");
        assert!(matches!(queue.get_bytes(), Err(ipc_queue::GetError::Closed)));
    };
    test(walk, some, |queue, _| queue.close()).check(check).run()
}
