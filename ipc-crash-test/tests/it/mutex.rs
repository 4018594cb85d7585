//! A mutex that dies with its owner, and one that does not.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, WalkEnd};

use crate::pthread::Mutex;

#[test]
fn a_plain_mutex_hangs_after_its_owners_death() {
    let report = KillTest::new("plain mutex: lock, unlock", || Mutex::new(false))
        .operation(|mutex| {
            mutex.lock().expect("the first owner follows nobody");
            mutex.unlock();
        })
        .check(|mutex, _| {
            mutex.lock().expect("a plain mutex does not tell of a death");
            mutex.unlock();
        })
        .deadline(Duration::from_secs(1))
        .max_failures(3)
        .run();
    println!("{report}");
    assert_eq!((report.hangs, report.violations, report.errors), (3, 0, 0), "{:?}", report.failures);
    assert_eq!(report.end, WalkEnd::Failed);
}

/// Counts both counters up under the lock; whoever comes after a death makes them equal again.
fn count_up(mutex: &Mutex) {
    let [first, second] = &mutex.pair;
    if mutex.lock().is_err() {
        second.store(first.load(Relaxed), Relaxed);
        mutex.make_consistent();
    }
    assert_eq!(first.load(Relaxed), second.load(Relaxed), "the pair is torn");
    first.fetch_add(1, Relaxed);
    second.fetch_add(1, Relaxed);
    mutex.unlock();
}

#[test]
fn a_robust_mutex_survives_its_owner() {
    let report = KillTest::new("robust mutex: lock, count, unlock; twice", || Mutex::new(true))
        .operation(|mutex| (0..2).for_each(|_| count_up(mutex)))
        .check(|mutex, outcome| {
            count_up(mutex);
            let counted = mutex.pair[0].load(Relaxed) - 1;
            assert!(if outcome == Outcome::Completed { counted == 2 } else { counted <= 2 }, "{counted}");
        })
        .run();
    println!("{report}");
    println!("{:?} for a step", report.elapsed / u32::try_from(report.single_steps).unwrap());
    report.assert_complete();
    assert_eq!(report.checks, report.steps + 1, "one check before each instruction, and one at the end");
}
