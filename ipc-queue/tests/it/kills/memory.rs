//! Regions come and go: growing, going down to a smaller one, giving back.

use ipc_crash_test::alone::with_file_limit;
use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_queue::Queue;

use super::{Entry, Expected, KEPT, Numbers, SOON, Scene, Walk, age, ready, trim};

pub(super) const CASES: &[Entry] = &[
    ("memory: put into a larger region", [5, 37], put_larger),
    ("memory: put 5 at once, the third into a larger region", [7, 53], put_all_larger),
    ("memory: reserve in a larger region, committed", [5, 53], commit_larger),
    ("memory: reserve in a larger region, dropped", [5, 53], abandon_larger),
    ("memory: put into a smaller region", [1, 31], put_smaller),
    ("memory: put when all is free and no larger region is to be had", [211, 997], put_rewound),
    ("memory: get the first of a larger region", [1, 17], get_larger),
    ("memory: get the first of a smaller region", [1, 31], get_smaller),
    ("memory: get the first of a smaller region, which then grows", [1, 31], get_smaller_and_grow),
    ("memory: get many over three regions", [3, 61], get_many),
    ("memory: given back when nothing is left", [1, 31], give_back),
    ("memory: given back when nothing is left, and grown at once", [1, 31], give_back_and_grow),
];

type Bytes = Scene<Queue<[u8]>>;

/// Bytes of an item in memory.
fn taken(len: usize) -> usize {
    8 + len.next_multiple_of(8)
}

/// An item of so many bytes, which are not touched but for its number.
fn put(queue: &Queue<[u8]>, number: u64, len: usize) {
    let mut room = queue.reserve(len).unwrap();
    room.write_at(0, &number.to_le_bytes());
    room.commit();
}

pub(super) fn skip(queue: &Queue<[u8]>) {
    queue.get_bytes_with(|_| ()).unwrap();
}

/// Larger than the first region.
const LARGE: usize = 600_000;

/// With item 1, and room for `len` bytes more in the region.
fn with_room(queue: &Queue<[u8]>, used: usize, len: usize) {
    let size = queue.stats().memory as usize;
    put(queue, 0, size - used - taken(8) - taken(len) - 16);
    put(queue, 1, 8);
    skip(queue);
}

/// A queue in its first region, which has room for one small item behind item 1.
fn small() -> Bytes {
    let queue = Queue::unbounded().unwrap();
    let size = queue.stats().memory as usize;
    put(&queue, 1, size - 2 * taken(8) - 8);
    Scene::new(queue)
}

/// A queue in its first region, in which items 1 and 2 have left no room.
pub(super) fn full_region() -> Bytes {
    let scene = small();
    add(&scene.lock, 2);
    scene
}

/// A queue in a large region, in which only the last item is left, and no room for another behind it.
fn large() -> Bytes {
    let queue = Queue::unbounded().unwrap();
    put(&queue, 0, LARGE);
    skip(&queue);
    let size = queue.stats().memory as usize;
    assert!(size > KEPT as usize && size.is_power_of_two());
    with_room(&queue, taken(LARGE), 0);
    Scene::new(queue)
}

/// A large region that is empty, for long.
pub(super) fn emptied() -> Bytes {
    let scene = large();
    skip(&scene.lock);
    age(&scene.lock);
    scene
}

/// Item 1 in a large region, and item 2 in a smaller one.
pub(super) fn two_regions() -> Bytes {
    let scene = large();
    let before = scene.lock.stats().memory;
    put(&scene.lock, 2, 1000);
    assert!(scene.lock.stats().memory > before && scene.lock.stats().memory < 2 * before);
    skip(&scene.lock);
    scene
}

fn test(walk: Walk, setup: fn() -> Bytes, victim: fn(&Queue<[u8]>)) -> KillTest<'static, Bytes> {
    let test = walk.of(setup).victim(move |scene, step| {
        let queue = ready(scene);
        step.run(|| victim(queue));
    });
    // The survivors set megabytes aside, which a busy machine takes its time for.
    test.deadline(10 * SOON)
}

fn run(walk: Walk, setup: fn() -> Bytes, victim: fn(&Queue<[u8]>), expected: fn() -> Expected) -> Report {
    let check = move |scene: &Bytes, outcome: Outcome| expected().check(&scene.lock, outcome);
    test(walk, setup, victim).check(check).run()
}

fn add(queue: &Queue<[u8]>, number: u64) {
    queue.put_bytes(&number.to_le_bytes()).unwrap();
}

fn put_larger(walk: Walk) -> Report {
    run(walk, full_region, |queue| add(queue, 3), || Expected::new([1, 2]).put([3]))
}

fn put_all_larger(walk: Walk) -> Report {
    let setup = || {
        let queue = Queue::unbounded().unwrap();
        let size = queue.stats().memory as usize;
        put(&queue, 1, size - 3 * taken(8) - 8);
        Scene::new(queue)
    };
    let victim = |queue: &Queue<[u8]>| queue.put_all_bytes((2..7_u64).map(u64::to_le_bytes)).unwrap();
    run(walk, setup, victim, || Expected::new([1]).put(2..7))
}

fn commit_larger(walk: Walk) -> Report {
    run(walk, small, |queue| put(queue, 2, 100), || Expected::new([1]).put([2]))
}

fn abandon_larger(walk: Walk) -> Report {
    run(walk, small, |queue| drop(queue.reserve(100).unwrap()), || Expected::new([1]))
}

fn put_smaller(walk: Walk) -> Report {
    let report = run(walk, large, |queue| put(queue, 2, 1000), || Expected::new([1]).put([2]));
    let scene = large();
    let before = scene.lock.stats().memory;
    put(&scene.lock, 2, 1000);
    assert!(scene.lock.stats().memory > before, "it stayed in its region");
    report
}

/// Too large for what is before or behind the ends, which go back to the first region so that this one is free.
fn put_rewound(walk: Walk) -> Report {
    let setup = || {
        let queue = Queue::unbounded().unwrap();
        put(&queue, 0, LARGE);
        skip(&queue);
        Scene::new(queue)
    };
    let victim = |queue: &Queue<[u8]>| {
        let size = queue.stats().memory;
        with_file_limit(2 * size + KEPT, || put(queue, 1, size as usize - LARGE));
    };
    run(walk, setup, victim, || Expected::new([]).put([1]))
}

fn get_larger(walk: Walk) -> Report {
    let setup = || {
        let scene = small();
        put(&scene.lock, 2, 100);
        skip(&scene.lock);
        scene
    };
    run(walk, setup, skip, || Expected::new([2]).got(1))
}

fn get_smaller(walk: Walk) -> Report {
    run(walk, two_regions, skip, || Expected::new([2]).got(1))
}

/// The region that was left is entered again before anybody else gets something.
fn get_smaller_and_grow(walk: Walk) -> Report {
    let check = |scene: &Bytes, outcome: Outcome| {
        let queue = &scene.lock;
        (3..7).for_each(|number| put(queue, number, LARGE));
        let found: Vec<u64> = (0..queue.len()).map_while(|_| queue.take()).collect();
        Expected::new([2]).got(1).put(3..7).check_after(found, queue, outcome);
    };
    test(walk, two_regions, skip).check(check).run()
}

fn get_many(walk: Walk) -> Report {
    let setup = || {
        let scene = small();
        put(&scene.lock, 2, 100);
        put(&scene.lock, 3, LARGE);
        put(&scene.lock, 4, 8);
        scene
    };
    let victim = |queue: &Queue<[u8]>| assert_eq!(queue.get_many_bytes(10, |_| ()).unwrap(), 4);
    run(walk, setup, victim, || Expected::new(1..5).got(4))
}

fn give_back(walk: Walk) -> Report {
    let victim = |queue: &Queue<[u8]>| queue.find_nothing();
    let report = run(walk, emptied, victim, || Expected::new([]));
    let scene = emptied();
    trim(&scene.lock);
    assert!(scene.lock.stats().memory <= KEPT, "it was not given back");
    report
}

/// An item that needs a large region comes before anybody has seen that memory was being given back.
fn give_back_and_grow(walk: Walk) -> Report {
    let check = |scene: &Bytes, outcome: Outcome| {
        put(&scene.lock, 1, LARGE);
        put(&scene.lock, 2, 8);
        Expected::new([1, 2]).check(&scene.lock, outcome);
    };
    test(walk, emptied, |queue| queue.find_nothing()).check(check).run()
}
