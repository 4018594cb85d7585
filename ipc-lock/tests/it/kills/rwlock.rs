//! A readers-writer lock around two numbers that are equal, whenever no writer is at it.

use std::hint::black_box;
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_lock::{LockTimeoutError, OwnerDied, RwLock, RwLockWriteGuard, TryLockError};

use super::scene::Scene;
use super::{Entry, RECOVERY, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("RwLock: read, unlock", [1, 11], read),
    ("RwLock: read while another writes, unlock", [7, 211], read_while_written),
    ("RwLock: read after a writer was killed, unlock", [7, 211], read_after_writer),
    ("RwLock: write, unlock", [1, 11], write),
    ("RwLock: write while another reads, unlock", [7, 211], write_while_read),
    ("RwLock: write while another writes, unlock", [7, 211], write_while_written),
    ("RwLock: write after a reader was killed, unlock", [31, 503], write_after_reader),
    ("RwLock: write after a writer was killed, repair, unlock", [7, 211], write_after_writer),
    ("RwLock: try_read, unlock", [1, 11], try_read),
    ("RwLock: try_write, unlock", [1, 11], try_write),
    ("RwLock: try_write while another reads", [101, 2003], try_write_while_read),
    ("RwLock: read_timeout that passes", [101, 2003], read_timeout),
    ("RwLock: write_timeout that passes", [101, 2003], write_timeout),
    ("RwLock: reader's unlock, with a waiting writer", [1, 11], unlock_for_writer),
    ("RwLock: writer's unlock, with a waiting reader and writer", [1, 11], unlock_for_both),
    ("RwLock: recovery of a killed writer, killed", [13, 101], recovery),
    ("RwLock: recovery of a killed reader, killed", [13, 101], recovery_of_reader),
];

type Pair = [u64; 2];
type Lock = RwLock<Pair>;

fn scene() -> Scene<Lock> {
    Scene::new(RwLock::new([0; 2]).unwrap())
}

fn scene_read() -> Scene<Lock> {
    scene().with_other(|lock, _, gate| {
        let _guard = lock.read().unwrap();
        gate.stay_until(|| lock.writer().is_some());
    })
}

fn scene_written() -> Scene<Lock> {
    scene().with_other(|lock, _, gate| {
        let _guard = lock.write().unwrap();
        gate.stay_until(|| !lock.waiters().is_empty());
    })
}

/// Held until the check begins.
fn scene_kept_read() -> Scene<Lock> {
    scene().with_other(|lock, _, gate| {
        let _guard = lock.read().unwrap();
        gate.stay();
    })
}

fn scene_kept_written() -> Scene<Lock> {
    scene().with_other(|lock, _, gate| {
        let _guard = lock.write().unwrap();
        gate.stay();
    })
}

fn scene_after_writer() -> Scene<Lock> {
    scene().after(|lock| {
        let mut guard = lock.write().unwrap();
        guard[0] = 7;
        std::mem::forget(guard);
    })
}

fn change(pair: &mut Pair) {
    let next = pair[0] + 1;
    *black_box(&mut pair[0]) = next;
    *black_box(&mut pair[1]) = next;
}

fn repair(died: OwnerDied<RwLockWriteGuard<'_, Pair>>) {
    let mut guard = died.into_inner();
    guard[1] = guard[0];
}

fn reads(lock: &Lock) -> bool {
    match lock.read_timeout(SOON) {
        Ok(guard) => {
            assert_eq!(guard[0], guard[1], "torn, and nobody said so");
            false
        }
        Err(LockTimeoutError::OwnerDied(_)) => true,
        Err(LockTimeoutError::Timeout) => panic!("the lock stays with the dead"),
    }
}

fn writes(lock: &Lock) -> bool {
    match lock.write_timeout(SOON) {
        Ok(mut guard) => {
            assert_eq!(guard[0], guard[1], "torn, and nobody said so");
            change(&mut guard);
            false
        }
        Err(LockTimeoutError::OwnerDied(died)) => {
            repair(died);
            true
        }
        Err(LockTimeoutError::Timeout) => panic!("the lock stays with the dead"),
    }
}

/// Reading is told what writing will be, and only a writer ends it.
fn use_it(lock: &Lock) -> bool {
    let told = reads(lock);
    assert_eq!(reads(lock), told);
    assert_eq!(writes(lock), told);
    assert!(!reads(lock) && !writes(lock), "told after it was repaired");
    let (one, two) = (lock.try_read().unwrap(), lock.try_read().unwrap());
    assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
    drop((one, two));
    assert!(lock.try_write().is_ok());
    told
}

fn check(scene: &Scene<Lock>, outcome: Outcome) {
    scene.go();
    let told = use_it(&scene.lock);
    assert!(!told || outcome != Outcome::Completed, "told of a death with the lock, which was released");
}

fn check_reader(scene: &Scene<Lock>, _: Outcome) {
    scene.go();
    assert!(!use_it(&scene.lock), "told of a death, but only readers died");
}

fn ready(scene: &Scene<Lock>) -> &Lock {
    scene.lock.segment().me().unwrap();
    &scene.lock
}

fn reader(walk: Walk, setup: fn() -> Scene<Lock>) -> KillTest<'static, Scene<Lock>> {
    let test = walk.of(setup).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| {
            let guard = lock.read().unwrap();
            assert_eq!(guard[0], guard[1]);
        });
    });
    test.blocked_after(SOON).when_blocked(Scene::go)
}

fn writer(walk: Walk, setup: fn() -> Scene<Lock>) -> KillTest<'static, Scene<Lock>> {
    let test = walk.of(setup).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| change(&mut lock.write().unwrap()));
    });
    test.blocked_after(SOON).when_blocked(Scene::go)
}

fn read(walk: Walk) -> Report {
    reader(walk, scene).check(check_reader).run()
}

fn read_while_written(walk: Walk) -> Report {
    reader(walk, scene_written).check(check_reader).run()
}

fn read_after_writer(walk: Walk) -> Report {
    let test = walk.of(scene_after_writer).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| drop(lock.read().unwrap_err()));
    });
    test.check(|scene, _| assert!(use_it(&scene.lock), "nobody repaired it, and nobody was told")).run()
}

fn write(walk: Walk) -> Report {
    writer(walk, scene).check(check).run()
}

fn write_while_read(walk: Walk) -> Report {
    writer(walk, scene_read).check(check).run()
}

fn write_while_written(walk: Walk) -> Report {
    writer(walk, scene_written).check(check).run()
}

fn write_after_reader(walk: Walk) -> Report {
    let setup = || scene().after(|lock| std::mem::forget(lock.read().unwrap()));
    writer(walk, setup).check(check).run()
}

fn write_after_writer(walk: Walk) -> Report {
    let test = walk.of(scene_after_writer).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| repair(lock.write().unwrap_err()));
    });
    // Killed right after the repair, between the two steps of the release, it was the last to be told.
    let check = |scene: &Scene<Lock>, outcome: Outcome| match outcome {
        Outcome::Completed => assert!(!use_it(&scene.lock)),
        _ => _ = use_it(&scene.lock),
    };
    test.check(check).run()
}

fn try_read(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| drop(lock.try_read().unwrap()));
    });
    test.check(check_reader).run()
}

fn try_write(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| change(&mut lock.try_write().unwrap()));
    });
    test.check(check).run()
}

fn try_write_while_read(walk: Walk) -> Report {
    let test = walk.of(scene_kept_read).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock))));
    });
    test.check(check_reader).run()
}

fn read_timeout(walk: Walk) -> Report {
    let test = walk.of(scene_kept_written).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| assert!(lock.read_timeout(Duration::from_micros(100)).is_err()));
    });
    test.check(check_reader).run()
}

fn write_timeout(walk: Walk) -> Report {
    let test = walk.of(scene_kept_read).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| assert!(lock.write_timeout(Duration::from_micros(100)).is_err()));
    });
    test.check(check_reader).run()
}

fn unlock_for_writer(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let guard = ready(scene).read().unwrap();
        step.run(move || drop(guard));
    });
    test.waiter(|scene| assert!(!writes(&scene.lock))).check(check_reader).run()
}

fn unlock_for_both(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let mut guard = ready(scene).write().unwrap();
        step.run(move || {
            change(&mut guard);
            drop(guard);
        });
    });
    let test = test.waiter(|scene| _ = reads(&scene.lock)).waiter(|scene| _ = writes(&scene.lock));
    test.check(|scene, _| _ = writes(&scene.lock)).run()
}

fn recovery(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| change(&mut lock.write().unwrap()));
    });
    let test = test.recoverer(|scene, step| {
        let lock = ready(scene);
        step.run(|| {
            reads(lock);
            writes(lock);
        });
    });
    test.recovery_stride(walk.stride * RECOVERY).check(|scene, _| _ = use_it(&scene.lock)).run()
}

fn recovery_of_reader(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let lock = ready(scene);
        step.run(|| drop(lock.read().unwrap()));
    });
    let test = test.recoverer(|scene, step| {
        let lock = ready(scene);
        step.run(|| assert!(!writes(lock)));
    });
    test.recovery_stride(walk.stride * RECOVERY).check(check_after_recovery).run()
}

fn check_after_recovery(scene: &Scene<Lock>, _: Outcome) {
    use_it(&scene.lock);
}
