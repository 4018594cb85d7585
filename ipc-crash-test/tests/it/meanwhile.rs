//! Others that do something while the victim is stopped, which goes on then.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ipc_crash_test::{KillTest, Outcome, Report, SharedBox};

fn add(count: &AtomicU64) {
    count.fetch_add(1, Relaxed);
}

fn count_from_both(victim: fn(&AtomicU64)) -> Report {
    KillTest::new("count up", || SharedBox::new([const { AtomicU64::new(0) }; 1]))
        .operation(move |count| victim(&count[0]))
        .meanwhile(|count| add(&count[0]))
        .check(|count, outcome| {
            let both = if outcome == Outcome::Completed { 1 } else { 2 };
            assert_eq!(count[0].load(Relaxed), both, "one is lost");
        })
        .run()
}

#[test]
fn a_count_in_two_steps_is_lost_between_them() {
    let report = count_from_both(|count| count.store(count.load(Relaxed) + 1, Relaxed));
    println!("{report}");
    assert!(report.violations > 0 && report.hangs == 0 && report.errors == 0, "{:?}", report.failures);
}

#[test]
fn a_count_in_one_step_is_not() {
    count_from_both(add).assert_complete();
}
