//! Killed at an instruction of every operation: the short form of `examples/shared_kill_table.rs`.

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
    a_dictionary_survives_a_kill_anywhere "dict"
    plain_data_survives_a_kill_anywhere "plain"
    a_list_survives_a_kill_anywhere "list"
    a_manager_survives_a_kill_anywhere "manager"
    a_namespace_survives_a_kill_anywhere "namespace"
    nested_containers_survive_a_kill_anywhere "nested"
    its_memory_survives_a_kill_anywhere "memory"
    a_recovery_survives_a_kill_anywhere "recovery"
}
