//! Killed at an instruction of every operation: the short form of `examples/queue_kill_table.rs`.

use ipc_crash_test::walk_some;

use crate::kills::cases;

macro_rules! walks {
    ($($test:ident $prefix:literal)*) => { $(
        #[test]
        fn $test() {
            walk_some(cases, $prefix);
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
