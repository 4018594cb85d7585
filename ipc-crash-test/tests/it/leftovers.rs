//! Nothing is left behind, whatever happens in the processes that take part.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use ipc_crash_test::{FailureKind, KillTest, SharedBox, WalkEnd, kill_at_every_instruction};
use nix::errno::Errno;
use nix::sched::sched_getaffinity;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use crate::futex;

fn flag() -> SharedBox<AtomicU32> {
    SharedBox::new(AtomicU32::new(0))
}

fn set(flag: &SharedBox<AtomicU32>) {
    flag.store(1, SeqCst);
}

/// This thread has no child, neither running nor dead; the other tests' threads may have some.
fn assert_no_children() {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WNOTHREAD;
    assert_eq!(waitpid(None, Some(flags)), Err(Errno::ECHILD));
}

#[test]
fn no_process_is_left_and_the_affinity_is_restored() {
    let before = sched_getaffinity(Pid::from_raw(0)).unwrap();
    let report = KillTest::new("set", flag).operation(set).check(|_, _| {}).leave_zombies().run();
    report.assert_clean();
    assert_no_children();
    assert_eq!(sched_getaffinity(Pid::from_raw(0)).unwrap(), before);
}

#[test]
fn no_process_is_left_after_hangs() {
    let report = KillTest::new("set", flag)
        .operation(set)
        .waiter(|flag| futex::wait(flag, 0, None))
        .check(|_, _| {
            loop {
                std::thread::park();
            }
        })
        .deadline(Duration::from_secs(1))
        .max_failures(2)
        .run();
    assert_eq!((report.hangs, report.end), (2, WalkEnd::Failed));
    assert_no_children();
}

#[test]
fn no_process_is_left_when_the_harness_panics() {
    let test = KillTest::new("closed gate", flag)
        .operation(|flag| futex::wait(flag, 0, None))
        .when_blocked(|_| panic!("in the tracer"))
        .waiter(|flag| futex::wait(flag, 0, None))
        .check(|flag, _| futex::wake_all(flag));
    assert!(catch_unwind(AssertUnwindSafe(|| test.run())).is_err());
    assert_no_children();
}

#[test]
fn a_panicking_check_is_a_violation_with_its_message() {
    let report = kill_at_every_instruction("set", flag, set, |_, outcome| panic!("seen {outcome:?}"));
    assert_eq!(report.violations, report.checks);
    assert_eq!(report.failures[0].kind, FailureKind::Violation);
    assert!(report.failures[0].message.contains("seen Killed { step: 0 }"), "{}", report.failures[0]);
    assert!(report.failures[0].message.contains("leftovers.rs"), "{}", report.failures[0]);
    assert!(catch_unwind(|| report.assert_clean()).is_err());
    assert_no_children();
}

#[test]
fn a_check_that_dies_is_a_violation() {
    let report = kill_at_every_instruction("set", flag, set, |_, _| std::process::abort());
    assert_eq!(report.violations, report.checks);
    assert!(report.failures[0].message.contains("SIGABRT"), "{}", report.failures[0]);
}

#[test]
fn a_victim_that_panics_is_an_error() {
    let report = kill_at_every_instruction("panic", flag, |_| panic!("on its own"), |_, _| {});
    assert_eq!((report.errors, report.end), (1, WalkEnd::Failed));
    assert!(report.failures[0].message.contains("the victim panicked: on its own"), "{}", report.failures[0]);
    assert_no_children();
}

#[test]
fn a_victim_without_an_operation_is_an_error() {
    let report = KillTest::new("none", flag).victim(|_, _| {}).check(|_, _| {}).run();
    assert_eq!((report.checks, report.errors), (0, 1));
    assert!(report.failures[0].message.contains("never called Step::run"), "{}", report.failures[0]);
}

#[test]
fn a_walk_without_a_single_check_is_not_clean() {
    let report = KillTest::new("set", flag).operation(set).check(|_, _| {}).start_at(1).max_steps(0).run();
    assert_eq!((report.checks, report.end), (0, WalkEnd::StepLimit));
    assert!(catch_unwind(|| report.assert_clean()).is_err());
}
