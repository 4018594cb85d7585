//! Killed at an instruction of every operation: the short form of `examples/joinable_kill_table.rs`.

use super::kills::cases;
use crate::help::alone;

#[test]
fn a_joinable_queue_survives_a_kill_anywhere() {
    alone(|| {
        let cases = cases();
        // Without optimisation, operations take 25 times as many instructions.
        let coarser = if cfg!(debug_assertions) { 61 } else { 3 };
        let is_long = |stride| cfg!(debug_assertions) && stride > 90;
        let mine = cases.iter().filter(|case| !is_long(case.stride(true)));
        let reports: Vec<_> = mine.map(|case| case.run(true, coarser)).collect();
        println!("{}", ipc_crash_test::markdown_table(&reports));
        assert!(reports.len() > 2);
        reports.iter().for_each(|report| report.assert_complete());
        crate::help::leave();
    });
}
