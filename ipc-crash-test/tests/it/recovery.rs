//! A recovery that is killed has to be repeatable.

use std::panic::catch_unwind;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use ipc_crash_test::{KillTest, SharedBox, WalkEnd};

use crate::futex;

/// A balance, and a redo log: the balance to come, or zero.
type Account = (AtomicU64, AtomicU64);

/// The victim commits a deposit of 1 to the log; whoever comes next redoes it.
fn test<'a>(name: &str, redo: fn(&Account)) -> KillTest<'a, SharedBox<Account>> {
    KillTest::new(name, || SharedBox::new((AtomicU64::new(0), AtomicU64::new(0))))
        .operation(|account| account.1.store(1, SeqCst))
        .check(move |account, _| {
            redo(account);
            let (balance, log) = &**account;
            assert_eq!(log.load(SeqCst), 0, "all is redone");
            assert!(balance.load(SeqCst) <= 1, "a deposit counts once");
        })
}

fn redo_by_store((balance, log): &Account) {
    if log.load(SeqCst) != 0 {
        balance.store(log.load(SeqCst), SeqCst);
        log.store(0, SeqCst);
    }
}

fn redo_by_increment((balance, log): &Account) {
    if log.load(SeqCst) != 0 {
        balance.fetch_add(1, SeqCst);
        log.store(0, SeqCst);
    }
}

#[test]
fn a_repeatable_recovery_passes() {
    let report = test("redo by store", redo_by_store)
        .recoverer(|account, step| step.run(|| redo_by_store(account)))
        .stride(10)
        .run();
    println!("{report}");
    report.assert_complete();
    assert!(report.recovery_steps.is_some_and(|steps| steps > 1));
    assert_eq!(report.kills, 2 * report.checks, "a victim and a recoverer for each check");
}

#[test]
fn a_recovery_that_counts_twice_is_found() {
    let once = test("redo by increment", redo_by_increment).run();
    println!("{once}");
    once.assert_clean();

    let again = test("redo by increment", redo_by_increment)
        .recoverer(|account, step| step.run(|| redo_by_increment(account)))
        .stride(10)
        .run();
    println!("{again}");
    assert!(again.violations > 0 && again.hangs == 0 && again.errors == 0, "{:?}", again.failures);
    let text = again.failures[0].to_string();
    assert!(text.contains("a deposit counts once") && text.contains("recoverer killed at step"), "{text}");
}

#[test]
fn a_recovery_that_blocks_is_not_complete() {
    let report = test("blocked redo", redo_by_store)
        .recoverer(|_, step| step.run(|| futex::wait(&AtomicU32::new(0), 0, None)))
        .stride(1000)
        .recovery_stride(1000)
        .run();
    report.assert_clean();
    assert_eq!((report.end, report.blocked), (WalkEnd::Complete, 2), "one for each victim");
    assert!(catch_unwind(|| report.assert_complete()).is_err());
}
