//! Operations that sleep in the kernel.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use ipc_crash_test::{KillTest, Outcome, SharedBox, WalkEnd};

use crate::futex;

/// The word that is waited for, and the number of completed operations.
type Gate = (AtomicU32, AtomicU32);

fn closed() -> SharedBox<Gate> {
    SharedBox::new((AtomicU32::new(0), AtomicU32::new(0)))
}

fn pass((gate, passed): &Gate) {
    while gate.load(SeqCst) == 0 {
        futex::wait(gate, 0, None);
    }
    passed.store(1, SeqCst);
}

#[test]
fn a_blocked_victim_is_killed_asleep_and_ends_the_walk() {
    let report = KillTest::new("closed gate", closed)
        .operation(|gate| pass(gate))
        .check(|gate, outcome| {
            assert_ne!(outcome, Outcome::Completed);
            assert_eq!(gate.1.load(SeqCst), 0);
        })
        .run();
    println!("{report}");
    report.assert_clean();
    assert_eq!((report.end, report.blocked), (WalkEnd::Blocked, 1));
    assert!(catch_unwind(|| report.assert_complete()).is_err());
}

#[test]
fn a_blocked_victim_that_is_woken_is_walked_to_its_end() {
    let report = KillTest::new("gate opened for a sleeper", closed)
        .operation(|gate| pass(gate))
        .when_blocked(|gate| {
            gate.0.store(1, SeqCst);
            futex::wake_all(&gate.0);
        })
        .check(|gate, outcome| {
            assert!(outcome != Outcome::Completed || gate.1.load(SeqCst) == 1);
        })
        .run();
    println!("{report}");
    report.assert_complete();
    assert_eq!(report.blocked, 0);
}

#[test]
fn a_victim_that_nobody_wakes_is_killed_asleep() {
    let report = KillTest::new("closed gate, useless wake", closed)
        .operation(|gate| pass(gate))
        .when_blocked(|_| {})
        .check(|gate, _| assert_eq!(gate.1.load(SeqCst), 0))
        .run();
    println!("{report}");
    report.assert_clean();
    assert_eq!((report.end, report.blocked), (WalkEnd::Blocked, 1));
}

#[test]
fn a_victim_that_sleeps_twice_is_woken_twice() {
    let report = KillTest::new("gate opened at the second look", closed)
        .operation(|gate| pass(gate))
        .when_blocked(|gate| {
            gate.0.store(gate.1.fetch_add(1, SeqCst), SeqCst);
            futex::wake_all(&gate.0);
        })
        .check(|_, _| {})
        .run();
    println!("{report}");
    report.assert_complete();
    assert_eq!(report.blocked, 0);
}
