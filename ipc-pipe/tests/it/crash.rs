//! Killed at an instruction of every operation: the short form of `examples/pipe_kill_table.rs`.

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
    a_send_survives_a_kill_anywhere "send"
    a_try_survives_a_kill_anywhere "try_"
    a_recv_survives_a_kill_anywhere "recv"
    bytes_survive_a_kill_anywhere "bytes"
    growing_and_shrinking_survive_a_kill_anywhere "large"
    descriptors_survive_a_kill_anywhere "handles"
    an_end_survives_a_kill_anywhere "end"
    a_recovery_survives_a_kill_anywhere "recovery"
}
