//! Killed at an instruction of every operation: the short form of `examples/lock_kill_table.rs`.

use crate::help::alone;
use crate::kills::cases;

/// The cases whose name begins with one of these, killed at a few instructions only.
fn walk(primitive: &str) {
    alone(|| {
        let cases = cases();
        // The long ones are too long without optimisation.
        let is_long = |stride| cfg!(debug_assertions) && stride > 90;
        let mine =
            cases.iter().filter(|case| case.name.starts_with(primitive) && !is_long(case.stride(true)));
        let reports: Vec<_> = mine.map(|case| case.run(true, 3)).collect();
        println!("{}", ipc_crash_test::markdown_table(&reports));
        assert!(reports.len() > 2);
        reports.iter().for_each(|report| report.assert_complete());
        crate::help::leave();
    });
}

macro_rules! walks {
    ($($test:ident $primitive:literal)*) => { $(
        #[test]
        fn $test() {
            walk($primitive);
        }
    )* };
}
walks! {
    a_mutex_survives_a_kill_anywhere "Mutex:"
    a_reentrant_mutex_survives_a_kill_anywhere "ReentrantMutex:"
    a_rwlock_survives_a_kill_anywhere "RwLock:"
    a_semaphore_survives_a_kill_anywhere "Semaphore:"
    a_condvar_survives_a_kill_anywhere "Condvar:"
    an_event_survives_a_kill_anywhere "Event:"
    a_barrier_survives_a_kill_anywhere "Barrier:"
}
