//! A `JoinableQueue`: however its users die, what was put and not done is got, and what was done is not.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};

use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_queue::{Job, JoinableQueue, TryGetError};
use serde::{Deserialize, Serialize};

use super::{Entry, RECOVERY, SOON, Walk};
use ipc_crash_test::scene::{Notes, Scene};

pub(super) const CASES: &[Entry] = &[
    ("JoinableQueue: put", [1, 31], put),
    ("JoinableQueue: put a large item, which adds memory", [1009, 4001], put_large),
    ("JoinableQueue: put where memory is at its end, with jobs out", [13, 211], put_collects),
    ("JoinableQueue: put where memory is at its end, with a backlog", [13, 211], put_grows),
    ("JoinableQueue: put_all", [7, 97], put_all),
    ("JoinableQueue: try_put when full", [7, 97], try_put_full),
    ("JoinableQueue: get", [1, 31], get),
    ("JoinableQueue: try_get when empty", [1, 31], try_get_empty),
    ("JoinableQueue: get, done", [1, 31], get_done),
    ("JoinableQueue: get, done after the records moved", [3, 97], done_moved),
    ("JoinableQueue: get, drop", [1, 31], get_drop),
    ("JoinableQueue: get two, drop, get again, done", [31, 97], get_drop_get_done),
    ("JoinableQueue: get, drop at the limit of deliveries", [1, 31], get_reject),
    ("JoinableQueue: get what cannot be decoded", [17, 211], get_undecodable),
    ("JoinableQueue: get after a consumer was killed", [61, 211], get_left),
    ("JoinableQueue: get after a consumer was killed at the limit of deliveries", [17, 211], get_left_reject),
    ("JoinableQueue: get when a large backlog is gone", [17, 211], get_trims),
    ("JoinableQueue: rejected, take_rejected", [7, 97], take_rejected),
    ("JoinableQueue: close", [1, 31], close),
    ("JoinableQueue: join when all is done", [1, 31], join_done),
    ("JoinableQueue: new, drop", [211, 2003], made),
    ("JoinableQueue: create by name, put, drop", [307, 2003], create),
    ("JoinableQueue: open by name, put, drop", [211, 2003], open),
    ("JoinableQueue: clone, put, drop", [7, 97], clone),
    ("JoinableQueue: recovery of a killed get, done", [53, 211], recovery),
    ("JoinableQueue: recovery of a killed put that adds memory", [211, 503], recovery_put),
    ("JoinableQueue: recovery of a killed get after a consumer was killed", [211, 503], recovery_left),
];

/// A number, and ballast. One of [`BAD`] cannot be decoded.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
#[serde(try_from = "(u64, String)")]
pub(crate) struct Item(pub(crate) u64, pub(crate) String);

const BAD: u64 = 99;

impl TryFrom<(u64, String)> for Item {
    type Error = &'static str;

    fn try_from((number, ballast): (u64, String)) -> Result<Item, &'static str> {
        if number == BAD { Err("a bad one") } else { Ok(Item(number, ballast)) }
    }
}

pub(crate) type Queue = JoinableQueue<Item>;

pub(crate) fn item(number: u64) -> Item {
    Item(number, String::new())
}

/// An item with so much ballast. The smallest region has 16 KiB.
fn heavy(number: u64, ballast: usize) -> Item {
    Item(number, "x".repeat(ballast))
}

pub(crate) fn scene_of(items: impl IntoIterator<Item = Item>) -> Scene<Queue> {
    let queue = JoinableQueue::bounded(16).unwrap();
    items.into_iter().for_each(|item| queue.put(item).unwrap());
    Scene::new(queue)
}

pub(crate) fn scene() -> Scene<Queue> {
    scene_of([item(1), item(2)])
}

/// A process was killed that had both items.
pub(crate) fn scene_left() -> Scene<Queue> {
    scene().after(|queue| std::mem::forget([(); 2].map(|()| queue.get().unwrap())))
}

/// What there is to get, all of it marked done.
fn drain(queue: &Queue) -> Vec<u64> {
    let mut numbers = Vec::new();
    loop {
        match queue.try_get() {
            Ok(job) => {
                numbers.push(job.0);
                job.done().unwrap();
            }
            Err(TryGetError::Empty | TryGetError::Closed) => return numbers,
            Err(error) => assert!(error.to_string().contains("decode"), "{error}"),
        }
    }
}

/// All that must be there is, once, and nothing else but what may; then the queue is as good as new. `held` jobs are with
/// somebody who lives. The order is that in which they were put, but for what comes back from the dead.
pub(crate) fn account(queue: &Queue, must: &[u64], may: &[u64], held: usize) -> Vec<u64> {
    let mut got = drain(queue);
    got.sort_unstable();
    assert!(got.is_sorted_by(|one, next| one < next), "twice: {got:?}");
    assert!(must.iter().all(|number| got.contains(number)), "lost: of {must:?} there are {got:?}");
    assert!(got.iter().all(|number| must.contains(number) || may.contains(number)), "too many: {got:?}");
    assert_eq!(queue.len(), 0);
    assert_eq!(queue.unfinished(), held);
    assert_eq!(queue.join_timeout(SOON / 100).unwrap(), held == 0);
    if !queue.is_closed() {
        queue.put_timeout(item(100), SOON).unwrap();
        assert_eq!(queue.len(), 1);
        let job = queue.get_timeout(SOON).unwrap();
        assert_eq!((job.0, job.deliveries()), (100, 1));
        job.done().unwrap();
        assert_eq!(queue.unfinished(), held);
    }
    got
}

/// A test of an operation, after which there must be `must` if it came to its end; `may` be more or less, if not.
fn test(
    walk: Walk,
    setup: impl Fn() -> Scene<Queue> + 'static,
    operation: fn(&Queue, &Notes),
    check: fn(&Queue, Outcome, &Notes),
) -> KillTest<'static, Scene<Queue>> {
    let test = walk.of(setup).victim(move |scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| operation(&scene.lock, &scene.notes));
    });
    test.check(move |scene, outcome| check(&scene.lock, outcome, &scene.notes))
}

/// `number` is there if the put came to its end, and may be otherwise.
fn check_put(queue: &Queue, outcome: Outcome, before: &[u64], number: u64, held: usize) {
    let must: Vec<_> =
        before.iter().copied().chain((outcome == Outcome::Completed).then_some(number)).collect();
    account(queue, &must, &[number], held);
}

fn put(walk: Walk) -> Report {
    let check = |queue: &Queue, outcome, _: &Notes| check_put(queue, outcome, &[1, 2], 3, 0);
    test(walk, scene, |queue, _| queue.put(item(3)).unwrap(), check).run()
}

fn put_large(walk: Walk) -> Report {
    let operation = |queue: &Queue, _: &Notes| queue.put(heavy(3, 20_000)).unwrap();
    let check = |queue: &Queue, outcome, _: &Notes| check_put(queue, outcome, &[1, 2], 3, 0);
    test(walk, scene, operation, check).run()
}

/// There is no room left where the items are: another process has one of them, a large one is done, two are left.
fn scene_full_of_jobs() -> Scene<Queue> {
    scene_of([item(1), heavy(2, 16_000), item(3), item(4)]).with_other(|queue, _, gate| {
        let _job = queue.get().unwrap();
        queue.get().unwrap().done().unwrap();
        gate.stay();
    })
}

fn put_collects(walk: Walk) -> Report {
    let check = |queue: &Queue, outcome, _: &Notes| {
        assert!(outcome != Outcome::Completed || queue.stats().memory > 16 << 10);
        check_put(queue, outcome, &[3, 4], 5, 1);
    };
    test(walk, scene_full_of_jobs, |queue, _| queue.put(heavy(5, 300)).unwrap(), check).run()
}

/// There is no room left where the items are.
fn scene_full_of_items() -> Scene<Queue> {
    scene_of((1..=8).map(|number| heavy(number, 2000)))
}

const EIGHT: [u64; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn put_grows(walk: Walk) -> Report {
    let check = |queue: &Queue, outcome, _: &Notes| {
        assert!(outcome != Outcome::Completed || queue.stats().memory > 16 << 10);
        check_put(queue, outcome, &EIGHT, 9, 0);
    };
    test(walk, scene_full_of_items, |queue, _| queue.put(heavy(9, 300)).unwrap(), check).run()
}

fn put_all(walk: Walk) -> Report {
    let operation = |queue: &Queue, _: &Notes| queue.put_all((3..=5).map(item)).unwrap();
    let check = |queue: &Queue, outcome: Outcome, _: &Notes| {
        let all: Vec<u64> = (1..=5).collect();
        let must = if outcome == Outcome::Completed { &all[..] } else { &all[..2] };
        let got = account(queue, must, &all, 0);
        assert_eq!(got, all[..got.len()]);
    };
    test(walk, scene, operation, check).run()
}

fn try_put_full(walk: Walk) -> Report {
    let setup = || scene_of((1..=16).map(item));
    let operation = |queue: &Queue, _: &Notes| assert!(queue.try_put(item(17)).is_err());
    let check = |queue: &Queue, _: Outcome, _: &Notes| {
        account(queue, &(1..=16).collect::<Vec<_>>(), &[], 0);
    };
    test(walk, setup, operation, check).run()
}

/// Nothing was marked done.
fn nothing_done(queue: &Queue, _: Outcome, _: &Notes) {
    account(queue, &[1, 2], &[], 0);
}

fn get(walk: Walk) -> Report {
    let operation = |queue: &Queue, _: &Notes| {
        let job = queue.get().unwrap();
        assert_eq!((job.0, job.deliveries()), (1, 1));
        std::mem::forget(job);
    };
    test(walk, scene, operation, nothing_done).run()
}

fn try_get_empty(walk: Walk) -> Report {
    let operation = |queue: &Queue, _: &Notes| assert!(queue.try_get().is_err());
    let check = |queue: &Queue, _: Outcome, _: &Notes| _ = account(queue, &[], &[], 0);
    test(walk, || scene_of([]), operation, check).run()
}

/// Marks it done, and notes that.
fn done(job: Job<Item>, notes: &Notes) {
    let number = job.0;
    job.done().unwrap();
    notes[0].store(number, SeqCst);
}

/// What was noted as done is not there any more; if it was not noted, it may be.
fn one_done(queue: &Queue, notes: &Notes, held: usize) {
    let noted = notes[0].load(SeqCst);
    let may: &[u64] = if noted == 0 { &[1] } else { &[] };
    account(queue, &[2], may, held);
}

fn get_done(walk: Walk) -> Report {
    let check = |queue: &Queue, _: Outcome, notes: &Notes| one_done(queue, notes, 0);
    test(walk, scene, |queue, notes| done(queue.get().unwrap(), notes), check).run()
}

fn done_moved(walk: Walk) -> Report {
    let test = walk.of(|| scene_of([heavy(1, 2000), item(2)])).victim(|scene, step| {
        let job = scene.lock.get().unwrap();
        let other = scene.lock.get().unwrap();
        // Twice, since a region is left for another.
        (0..10).for_each(|_| scene.lock.put(heavy(3, 2000)).unwrap());
        step.run(move || done(job, &scene.notes));
        drop(other);
    });
    let check = |scene: &Scene<Queue>, _: Outcome| {
        let numbers = drain(&scene.lock);
        let noted = scene.notes[0].load(SeqCst) == 1;
        assert_eq!(numbers.iter().filter(|&&number| number == 2).count(), 1);
        assert_eq!(numbers.iter().filter(|&&number| number == 3).count(), 10);
        assert!(!(noted && numbers.contains(&1)), "done, and handed out again");
        account(&scene.lock, &[], &[], 0);
    };
    test.check(check).run()
}

fn get_drop(walk: Walk) -> Report {
    test(walk, scene, |queue, _| drop(queue.get().unwrap()), nothing_done).run()
}

fn get_drop_get_done(walk: Walk) -> Report {
    let operation = |queue: &Queue, notes: &Notes| {
        let first = queue.get().unwrap();
        let second = queue.get().unwrap();
        drop(first);
        let first = queue.get().unwrap();
        assert_eq!((first.0, first.deliveries()), (1, 2));
        done(first, notes);
        drop(second);
    };
    let check = |queue: &Queue, _: Outcome, notes: &Notes| one_done(queue, notes, 0);
    test(walk, scene, operation, check).run()
}

/// `number` is ready or rejected, and not both.
fn ready_or_rejected(queue: &Queue, numbers: &[u64]) {
    let got = drain(queue);
    let rejected: Vec<u64> =
        queue.rejected().unwrap().iter().map(|one| one.value.as_ref().unwrap().0).collect();
    assert_eq!(queue.stats().rejected, rejected.len());
    for number in numbers {
        let times = [&got, &rejected].map(|list| list.iter().filter(|found| *found == number).count());
        assert_eq!(times[0] + times[1], 1, "{number}: got {got:?}, rejected {rejected:?}");
    }
    assert_eq!(queue.take_rejected().unwrap().len(), rejected.len());
    account(queue, &[], &[], 0);
}

fn limited() -> Scene<Queue> {
    let queue = JoinableQueue::bounded(16).unwrap().with_max_deliveries(1);
    [1, 2].into_iter().for_each(|number| queue.put(item(number)).unwrap());
    Scene::new(queue)
}

fn get_reject(walk: Walk) -> Report {
    let check = |queue: &Queue, _: Outcome, _: &Notes| ready_or_rejected(queue, &[1, 2]);
    test(walk, limited, |queue, _| drop(queue.get().unwrap()), check).run()
}

fn get_undecodable(walk: Walk) -> Report {
    let setup = || scene_of([item(BAD), item(2)]);
    let check = |queue: &Queue, outcome: Outcome, _: &Notes| {
        if outcome == Outcome::Completed {
            assert_eq!(queue.stats().rejected, 1);
        }
        assert_eq!(drain(queue), [2]);
        let rejected = queue.rejected().unwrap();
        assert!(rejected.len() == 1 && rejected[0].value.is_err(), "{rejected:?}");
        account(queue, &[], &[], 0);
    };
    test(walk, setup, |queue, _| assert!(queue.get().is_err()), check).run()
}

fn get_left(walk: Walk) -> Report {
    let operation = |queue: &Queue, notes: &Notes| {
        let job = queue.get().unwrap();
        assert_eq!((job.0, job.deliveries()), (1, 2));
        done(job, notes);
    };
    let check = |queue: &Queue, _: Outcome, notes: &Notes| one_done(queue, notes, 0);
    test(walk, scene_left, operation, check).run()
}

fn get_left_reject(walk: Walk) -> Report {
    let setup = || limited().after(|queue| std::mem::forget(queue.get().unwrap()));
    let operation = |queue: &Queue, _: &Notes| std::mem::forget(queue.get().unwrap());
    let check = |queue: &Queue, _: Outcome, _: &Notes| ready_or_rejected(queue, &[1, 2]);
    test(walk, setup, operation, check).run()
}

fn get_trims(walk: Walk) -> Report {
    let setup = || {
        let scene = scene_of([]);
        (0..3).for_each(|number| scene.lock.put(heavy(number, 900_000)).unwrap());
        drain(&scene.lock);
        // As if that were long ago.
        let grown = scene.lock.segment().at::<AtomicU32>(GROWN).unwrap();
        grown.fetch_sub(1000, Relaxed);
        assert!(scene.lock.stats().memory > 1 << 21);
        scene
    };
    let check = |queue: &Queue, outcome: Outcome, _: &Notes| {
        account(queue, &[], &[], 0);
        assert!(outcome != Outcome::Completed || queue.stats().memory < 1 << 21);
    };
    test(walk, setup, |queue, _| assert!(queue.try_get().is_err()), check).run()
}

/// Where it says when memory was last added.
const GROWN: u64 = 112;

fn take_rejected(walk: Walk) -> Report {
    let setup = || {
        let scene = limited();
        drop(scene.lock.get().unwrap());
        scene
    };
    let operation = |queue: &Queue, _: &Notes| {
        assert_eq!(queue.rejected().unwrap().len(), 1);
        assert_eq!(queue.take_rejected().unwrap().len(), 1);
    };
    let check = |queue: &Queue, outcome: Outcome, _: &Notes| {
        let left = queue.rejected().unwrap().len();
        assert!(if outcome == Outcome::Completed { left == 0 } else { left <= 1 });
        assert_eq!(queue.stats().rejected, left);
        account(queue, &[2], &[], 0);
    };
    test(walk, setup, operation, check).run()
}

fn close(walk: Walk) -> Report {
    let check = |queue: &Queue, outcome: Outcome, _: &Notes| {
        assert!(queue.is_closed() || outcome != Outcome::Completed);
        account(queue, &[1, 2], &[], 0);
        assert!(!queue.is_closed() || matches!(queue.try_get(), Err(TryGetError::Closed)));
    };
    test(walk, scene, |queue, _| queue.close().unwrap(), check).run()
}

fn join_done(walk: Walk) -> Report {
    let check = |queue: &Queue, _: Outcome, _: &Notes| _ = account(queue, &[], &[], 0);
    test(walk, || scene_of([]), |queue, _| queue.join().unwrap(), check).run()
}

fn name() -> String {
    // Of the process that makes the scenes, which its children have from it.
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| format!("kills-joinable-{}", std::process::id())).clone()
}

fn files() -> Vec<String> {
    let files = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().file_name());
    files.map(|name| name.into_string().unwrap()).filter(|file| file.contains(&name())).collect()
}

fn made(walk: Walk) -> Report {
    let make = || drop(Queue::bounded(16).unwrap());
    let test = walk.of(|| Scene::new(())).victim(move |_, step| step.run(make));
    test.check(move |_, _| make()).run()
}

fn create(walk: Walk) -> Report {
    let setup = || {
        name();
        Scene::new(())
    };
    let test = walk.of(setup).victim(|_, step| {
        let name = name();
        step.run(|| Queue::create_bounded(&name, 16).unwrap().put(item(1)).unwrap());
    });
    let check = |_: &Scene<()>, outcome: Outcome| {
        match Queue::open(&name()) {
            Ok(queue) => {
                assert_ne!(outcome, Outcome::Completed, "its name is left");
                account(&queue, &[], &[1], 0);
            }
            Err(error) => assert!(error.is_not_found(), "{error}"),
        }
        let queue = Queue::create_bounded(&name(), 16).unwrap();
        account(&queue, &[], &[], 0);
        drop(queue);
        assert_eq!(files(), Vec::<String>::new());
    };
    test.check(check).run()
}

fn open(walk: Walk) -> Report {
    let setup = || Scene::new(Queue::create_bounded(&name(), 16).unwrap());
    let test = walk.of(setup).victim(|_, step| {
        let name = name();
        step.run(|| Queue::open(&name).unwrap().put(item(1)).unwrap());
    });
    let check = |scene: &Scene<Queue>, outcome: Outcome| {
        assert!(Queue::open(&name()).is_ok());
        check_put(&scene.lock, outcome, &[], 1, 0);
    };
    test.check(check).run()
}

fn clone(walk: Walk) -> Report {
    let operation = |queue: &Queue, _: &Notes| queue.clone().put(item(3)).unwrap();
    let check = |queue: &Queue, outcome, _: &Notes| check_put(queue, outcome, &[1, 2], 3, 0);
    test(walk, scene, operation, check).run()
}

/// One that looks after what the victim left, and is killed as well.
fn recover(
    walk: Walk,
    test: KillTest<'static, Scene<Queue>>,
    operation: fn(&Queue),
) -> KillTest<'static, Scene<Queue>> {
    let test = test.recoverer(move |scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| operation(&scene.lock));
    });
    test.recovery_stride(walk.stride * RECOVERY)
}

fn get_and_keep(queue: &Queue) {
    std::mem::forget(queue.get().unwrap());
}

fn recovery(walk: Walk) -> Report {
    let check = |queue: &Queue, _: Outcome, notes: &Notes| one_done(queue, notes, 0);
    let test = test(walk, scene, |queue, notes| done(queue.get().unwrap(), notes), check);
    recover(walk, test, get_and_keep).run()
}

fn recovery_put(walk: Walk) -> Report {
    let check = |queue: &Queue, _: Outcome, _: &Notes| {
        let mut got = drain(queue);
        got.sort_unstable();
        assert!(EIGHT.iter().all(|number| got.contains(number)), "lost: {got:?}");
        assert!(got.is_sorted_by(|one, next| one < next), "twice: {got:?}");
        account(queue, &[], &[], 0);
    };
    let test = test(walk, scene_full_of_items, |queue, _| queue.put(heavy(9, 300)).unwrap(), check);
    recover(walk, test, |queue| queue.put(heavy(10, 300)).unwrap()).run()
}

fn recovery_left(walk: Walk) -> Report {
    let test = test(walk, scene_left, |queue, _| get_and_keep(queue), nothing_done);
    recover(walk, test, get_and_keep).run()
}
