//! The name of an owner that was killed: it is replaced, swept, or removed by the last user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Cause, Segment, remove_stale};

use crate::help::{Child, Gate, alone, exists, forever, fork, path, unique};

use super::{board, create, inode, open, owner, stale, users_go_together};

#[test]
fn the_name_of_a_killed_owner_is_replaced() {
    alone(|| {
        let name = unique("stale");
        let old = stale(&name);
        let segment = create(&name).unwrap();
        assert_ne!(segment, old);
        assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), 0);
        assert!(matches!(create(&name).unwrap_err().cause(), Cause::NameTaken));
        fork(|| drop(open(&name).unwrap())).join();
        assert!(exists(&name));
    });
}

#[test]
fn those_who_use_a_replaced_segment_do_not_remove_the_new_name() {
    alone(|| {
        let name = unique("replaced");
        let child = owner(&name);
        let old = open(&name).unwrap();
        child.kill();
        let new = create(&name).unwrap();
        assert_ne!(old, new);
        assert_eq!(open(&name).unwrap(), new);
        drop(old);
        assert_eq!(fs::metadata(path(&name)).unwrap().ino(), inode(&new));
    });
}

#[test]
fn the_last_user_removes_the_name_of_a_killed_owner() {
    alone(|| {
        let name = unique("last");
        let child = owner(&name);
        let users: Vec<_> = (0..3)
            .map(|_| {
                let (opened, go) = (Gate::new(), Gate::new());
                let user = fork(|| {
                    let segment = open(&name).unwrap();
                    opened.open();
                    go.pass();
                    drop(segment);
                });
                opened.pass();
                (user, go)
            })
            .collect();
        child.kill();
        for (user, go) in users {
            assert!(exists(&name), "it is still used");
            // It can still be opened.
            fork(|| drop(open(&name).unwrap())).join();
            assert!(exists(&name), "it is still used");
            go.open();
            user.join();
        }
        assert!(!exists(&name));
    });
}

#[test]
fn users_that_leave_at_the_same_moment_do_not_leave_the_name() {
    alone(|| {
        for round in 0..50 {
            users_go_together(&unique(&format!("leave-{round}")), drop);
        }
    });
}

#[test]
fn who_got_the_segment_in_a_message_removes_the_name_as_well() {
    alone(|| {
        let name = unique("sent");
        let (here, there) = transfer::channel().unwrap();
        let sent = Gate::new();
        let child = fork(|| {
            let segment = create(&name).unwrap();
            Parcel::pack(|| postcard::to_allocvec(&segment)).unwrap().send(&here).unwrap();
            sent.open();
            forever();
        });
        sent.pass();
        let segment: Segment =
            Parcel::receive(&there).unwrap().unwrap().unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
        child.kill();
        assert!(segment.label().contains(&name));
        remove_stale().unwrap();
        assert!(exists(&name));
        drop(segment);
        assert!(!exists(&name));
    });
}

#[test]
fn names_of_killed_owners_are_swept_unless_somebody_uses_the_segment() {
    alone(|| {
        let (unused, used, alive) = (unique("unused"), unique("used"), unique("alive"));
        let owners = [owner(&unused), owner(&used)];
        let _living = owner(&alive);
        let user = open(&used).unwrap();
        owners.iter().for_each(Child::kill);
        // The tests beside this one may have been faster, so that the number is not known.
        remove_stale().unwrap();
        assert!(!exists(&unused));
        assert!(exists(&used));
        assert!(exists(&alive));
        drop(user);
        assert!(!exists(&used));
        let living = open(&alive).unwrap();
        assert_eq!(living.participants().len(), 2);
        drop(_living);
        drop(living);
    });
}

#[test]
fn the_first_segment_that_a_process_creates_sweeps() {
    alone(|| {
        let name = unique("swept");
        owner(&name).kill();
        fork(|| drop(create(&unique("other")).unwrap())).join();
        assert!(!exists(&name));
    });
}

#[test]
fn a_killed_owner_can_be_replaced_while_others_sweep_and_look() {
    alone(|| {
        let stop = Gate::new();
        let name = unique("contended");
        let sweeper = || {
            let mut tries = 0_u64;
            while !stop.passes() {
                let _ = remove_stale();
                if let Ok(segment) = open(&name) {
                    drop(segment);
                }
                tries += 1;
            }
            assert!(tries > 0);
        };
        let sweepers = [(); 2].map(|()| fork(sweeper));
        for _ in 0..100 {
            // Only the sweepers contend for it: it must never be taken.
            owner(&name).kill();
        }
        stop.open();
        sweepers.into_iter().for_each(Child::join);
        let _ = remove_stale();
        assert!(!exists(&name));
    });
}

#[test]
fn only_one_of_many_creators_gets_a_stale_name() {
    alone(|| {
        for round in 0..30 {
            let name = unique(&format!("race-{round}"));
            let _old = stale(&name);
            let (go, done, end) = (Gate::new(), Gate::new(), Gate::new());
            let won = board();
            let creators = [(); 4].map(|()| {
                fork(|| {
                    go.pass();
                    let segment = create(&name);
                    match &segment {
                        Ok(_) => drop(won.at::<AtomicU64>(0).unwrap().fetch_add(1, Ordering::Relaxed)),
                        Err(error) => assert!(matches!(error.cause(), Cause::NameTaken), "{error}"),
                    }
                    done.open();
                    end.pass();
                })
            });
            creators.iter().for_each(|_| go.open());
            creators.iter().for_each(|_| done.pass());
            assert_eq!(won.at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), 1);
            assert!(exists(&name));
            creators.iter().for_each(|_| end.open());
            creators.into_iter().for_each(Child::join);
            assert!(!exists(&name));
        }
    });
}
