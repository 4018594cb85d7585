//! Names when processes exit: nothing drops what they keep, and still no name is left.

use std::sync::OnceLock;

use ipc_core::{Cause, Segment};

use crate::help::{Gate, alone, exists, fork, own_files, unique};

use super::{create, open, owner, users_go_together};

#[test]
fn exit_removes_names_that_nothing_drops() {
    static KEPT: OnceLock<Segment> = OnceLock::new();
    alone(|| {
        let name = unique("static");
        let mut child = fork(|| {
            KEPT.get_or_init(|| create(&name).unwrap());
            std::process::exit(7);
        });
        assert_eq!(child.wait().exit_status(), Some(7));
        assert!(!exists(&name));

        // The same for the last user, when the owner was killed.
        let child = owner(&name);
        let (opened, go) = (Gate::new(), Gate::new());
        let mut user = fork(|| {
            KEPT.get_or_init(|| open(&name).unwrap());
            opened.open();
            go.pass();
            std::process::exit(7);
        });
        opened.pass();
        child.kill();
        go.open();
        assert_eq!(user.wait().exit_status(), Some(7));
        assert!(!exists(&name));
    });
}

#[test]
fn users_that_exit_at_the_same_moment_do_not_leave_the_name() {
    static KEPT: OnceLock<Segment> = OnceLock::new();
    alone(|| {
        for round in 0..20 {
            users_go_together(&unique(&format!("exit-{round}")), |segment| {
                KEPT.get_or_init(|| segment);
                std::process::exit(0)
            });
        }
    });
}

#[test]
fn a_thread_that_runs_on_at_exit_leaves_no_name() {
    alone(|| {
        let name = |thread| unique(&format!("late-{thread}"));
        for _ in 0..50 {
            fork(|| {
                for thread in 0..2 {
                    std::thread::spawn(move || {
                        loop {
                            match create(&name(thread)) {
                                Ok(segment) => drop(segment),
                                Err(error) if matches!(error.cause(), Cause::Exiting) => return,
                                Err(_) => std::process::abort(),
                            }
                        }
                    });
                }
                while !exists(&name(0)) {}
                std::process::exit(0)
            })
            .join();
            assert_eq!(own_files(), Vec::<String>::new());
        }
    });
}

#[test]
fn a_forked_child_does_not_remove_the_name_of_its_parent() {
    alone(|| {
        let name = unique("forked");
        let segment = create(&name).unwrap();
        let mut handles = vec![segment.clone(), segment];
        // Only the child's copies of them are dropped.
        fork(|| handles.clear()).join();
        assert!(exists(&name));
        let mut child = fork(|| std::process::exit(7));
        assert_eq!(child.wait().exit_status(), Some(7));
        assert!(exists(&name));
        drop(handles);
    });
}
