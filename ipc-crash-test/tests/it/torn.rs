//! Updates that a kill tears, and one that it cannot.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ipc_crash_test::{Outcome, SharedBox, kill_at_every_instruction};

fn pair() -> SharedBox<[AtomicU64; 2]> {
    SharedBox::new([const { AtomicU64::new(0) }; 2])
}

#[test]
fn two_stores_tear() {
    let report = kill_at_every_instruction(
        "two stores",
        pair,
        |pair| pair.iter().for_each(|counter| counter.store(1, Relaxed)),
        |pair, _| assert_eq!(pair[0].load(Relaxed), pair[1].load(Relaxed), "the pair is torn"),
    );
    println!("{report}");
    assert!(report.violations > 0 && report.hangs == 0 && report.errors == 0, "{:?}", report.failures);
    let text = report.failures[0].to_string();
    assert!(text.contains("the pair is torn") && text.contains("torn.rs"), "message and place: {text}");
    assert!(text.contains("victim killed at step ") && text.contains("0x"), "step and address: {text}");
}

#[test]
fn one_store_does_not_tear() {
    let report = kill_at_every_instruction(
        "one store",
        pair,
        |pair| pair[0].store(u64::MAX, Relaxed),
        |pair, outcome| match (pair[0].load(Relaxed), outcome) {
            (0, Outcome::Killed { .. }) | (u64::MAX, _) => {}
            torn => panic!("{torn:?}"),
        },
    );
    println!("{report}");
    report.assert_complete();
    assert!(report.steps > 1);
}
