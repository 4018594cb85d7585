//! Killed at an instruction of every operation: the short form of `examples/pipe_kill_table.rs`.

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
    a_send_survives_a_kill_anywhere "send"
    a_try_survives_a_kill_anywhere "try_"
    a_recv_survives_a_kill_anywhere "recv"
    a_wait_survives_a_kill_anywhere "wait"
    bytes_survive_a_kill_anywhere "bytes"
    growing_and_shrinking_survive_a_kill_anywhere "large"
    descriptors_survive_a_kill_anywhere "handles"
    an_end_survives_a_kill_anywhere "end"
    nobody_is_told_wrong_of_what_happens_in_between "between"
    a_listener_survives_a_kill_anywhere "listen"
    a_recovery_survives_a_kill_anywhere "recovery"
}

#[test]
#[cfg_attr(debug_assertions, ignore = "half a million instructions without optimisation")]
fn two_who_meet_survive_a_kill_anywhere() {
    walk_some(cases, "connect");
}
