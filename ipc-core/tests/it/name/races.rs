//! Many who open, create and remove one name at the same moment.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Cause, Segment, remove_stale};

use crate::help::{Child, Gate, alone, exists, fork, path, spec, unique};

use super::{board, create, inode, open, owner, stale};

#[test]
fn all_who_open_or_create_at_once_get_the_same_segment() {
    alone(|| {
        for round in 0..30 {
            let name = unique(&format!("same-{round}"));
            let board = board();
            let (go, done, end) = (Gate::new(), Gate::new(), Gate::new());
            let processes: Vec<_> = (0..5_u64)
                .map(|number| {
                    let (name, board, go, done, end) = (&name, &board, &go, &done, &end);
                    fork(move || {
                        go.pass();
                        let filled = |segment: &Segment| {
                            segment.at::<AtomicU64>(8)?.store(42, Ordering::Relaxed);
                            Ok(())
                        };
                        let segment = Segment::open_or_create(name, &spec(), filled).unwrap();
                        assert_eq!(segment.at::<AtomicU64>(8).unwrap().load(Ordering::Relaxed), 42);
                        board.at::<AtomicU64>(number * 8).unwrap().store(inode(&segment), Ordering::Release);
                        done.open();
                        end.pass();
                    })
                })
                .collect();
            processes.iter().for_each(|_| go.open());
            processes.iter().for_each(|_| done.pass());
            let words: &[AtomicU64] = board.slice(0, 5).unwrap();
            let different: HashSet<u64> = words.iter().map(|word| word.load(Ordering::Acquire)).collect();
            assert_eq!(different.len(), 1, "{different:?}");
            processes.iter().for_each(|_| end.open());
            processes.into_iter().for_each(Child::join);
            assert!(!exists(&name));
        }
    });
}

/// Has the kernel lock the byte that those lock who remove or open the name.
fn lock_name(file: &File) {
    // SAFETY: plain numbers, for which zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    (lock.l_type, lock.l_start, lock.l_len) = (libc::F_WRLCK as _, 1, 1);
    // SAFETY: reads the structure only.
    assert_eq!(unsafe { libc::fcntl(file.as_fd().as_raw_fd(), libc::F_OFD_SETLK, &lock) }, 0);
}

fn name_file(name: &str) -> File {
    File::options().read(true).write(true).open(path(name)).unwrap()
}

#[test]
fn a_name_that_is_just_being_opened_is_not_removed_as_unused() {
    alone(|| {
        let name = unique("opening");
        // Somebody who has opened it, and does not take part yet.
        let child = owner(&name);
        let file = name_file(&name);
        lock_name(&file);
        child.kill();
        remove_stale().unwrap();
        assert!(exists(&name));
        // He may have been stopped there.
        let error = create(&name).unwrap_err();
        assert!(matches!(error.cause(), Cause::NameBusy), "{error}");
        drop(file);
        remove_stale().unwrap();
        assert!(!exists(&name));
    });
}

#[test]
fn a_name_that_is_replaced_while_it_is_opened_gives_the_new_segment() {
    alone(|| {
        let (name, other) = (unique("old"), unique("new"));
        // The opener waits a tenth of a second for the lock; if that passes before all is done here, it rightly
        // gets the old one.
        let got_new = || {
            let first = create(&name).unwrap();
            let second = create(&other).unwrap();
            let file = name_file(&name);
            lock_name(&file);
            let mine = board();
            let child = fork(|| {
                let segment = open(&name).unwrap();
                mine.at::<AtomicU64>(0).unwrap().store(inode(&segment), Ordering::Release);
            });
            let has_opened = || {
                // Besides the copies of the descriptors here.
                let links = fs::read_dir(format!("/proc/{}/fd", child.pid())).unwrap();
                let links = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
                links.filter(|link| link.ends_with(path(&name).trim_start_matches('/'))).count() > 1
            };
            while !has_opened() {}
            fs::rename(path(&other), path(&name)).unwrap();
            drop(file);
            child.join();
            let got = mine.at::<AtomicU64>(0).unwrap().load(Ordering::Acquire);
            assert!([inode(&first), inode(&second)].contains(&got));
            let is_new = got == inode(&second);
            fs::remove_file(path(&name)).unwrap();
            is_new
        };
        assert!((0..50).any(|_| got_new()));
    });
}

#[test]
fn open_or_create_does_not_replace_what_others_began_to_use_meanwhile() {
    alone(|| {
        let name = unique("meanwhile");
        let mut user = None;
        let segment = Segment::open_or_create(&name, &spec(), |_| {
            user = Some(stale(&name));
            Ok(())
        });
        assert_eq!(segment.unwrap(), user.unwrap());
    });
}
