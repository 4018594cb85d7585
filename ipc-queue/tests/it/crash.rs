//! Killed at an instruction of every operation: the short form of `examples/queue_kill_table.rs`.

use crate::help::{alone, leave};
use crate::kills::cases;

/// Without optimisation everything is ten times as long.
const COARSER: u64 = if cfg!(debug_assertions) { 41 } else { 5 };

/// The cases whose name begins with that, killed at a few instructions only.
fn walk(prefix: &str) {
    alone(|| {
        let cases = cases();
        let mine = cases.iter().filter(|case| case.name.starts_with(prefix));
        let reports: Vec<_> = mine.map(|case| case.run(true, COARSER)).collect();
        println!("{}", ipc_crash_test::markdown_table(&reports));
        assert!(reports.len() > 1);
        reports.iter().for_each(|report| report.assert_complete());
        leave();
    });
}

macro_rules! walks {
    ($($test:ident $prefix:literal)*) => { $(
        #[test]
        fn $test() {
            walk($prefix);
        }
    )* };
}
walks! {
    a_put_survives_a_kill_anywhere "put"
    a_try_put_survives_a_kill_anywhere "try_"
    a_reservation_survives_a_kill_anywhere "reserve"
    a_get_survives_a_kill_anywhere "get"
    growing_and_shrinking_survive_a_kill_anywhere "memory"
    an_end_survives_a_kill_anywhere "end"
    a_name_survives_a_kill_anywhere "name"
    a_recovery_survives_a_kill_anywhere "recovery"
}
