//! Wake-ups that a dead process owes.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, SharedBox};

use crate::futex;

/// A victim sets a flag and wakes those who wait for it, with their sleeps limited to `recheck`.
fn test<'a>(name: &str, recheck: Option<Duration>) -> KillTest<'a, SharedBox<AtomicU32>> {
    KillTest::new(name, || SharedBox::new(AtomicU32::new(0)))
        .operation(|flag| {
            flag.store(1, SeqCst);
            futex::wake_all(flag);
        })
        .waiter(move |flag| {
            while flag.load(SeqCst) == 0 {
                futex::wait(flag, 0, recheck);
            }
        })
        .check(|flag, outcome| {
            if flag.load(SeqCst) == 0 {
                assert_ne!(outcome, Outcome::Completed);
                flag.store(1, SeqCst);
                futex::wake_all(flag);
            }
        })
}

#[test]
fn a_wake_lost_with_the_victim_is_a_hang() {
    let report = test("set, wake", None).deadline(Duration::from_secs(1)).max_failures(2).run();
    println!("{report}");
    assert_eq!((report.hangs, report.violations, report.errors), (2, 0, 0), "{:?}", report.failures);
    assert!(report.failures[0].message.contains("waiter"), "{:?}", report.failures);
}

#[test]
fn a_waiter_that_looks_again_needs_no_wake() {
    let report = test("set, wake, looked at again", Some(Duration::from_millis(5))).run();
    println!("{report}");
    report.assert_complete();
}
