mod exit;
mod races;
mod refused;
mod stale;

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Cause, Error, Segment, remove_stale};

use crate::help::{Child, Gate, alone, exists, forever, fork, own_files, path, spec, unique};

fn nothing(_: &Segment) -> Result<(), Error> {
    Ok(())
}

fn create(name: &str) -> Result<Segment, Error> {
    Segment::create(name, &spec(), nothing)
}

fn open(name: &str) -> Result<Segment, Error> {
    Segment::open(name, &spec())
}

fn inode(segment: &Segment) -> u64 {
    rustix::fs::fstat(segment).unwrap().st_ino
}

/// A process that owns the name, until it is killed.
fn owner(name: &str) -> Child {
    let ready = Gate::new();
    let child = fork(|| {
        let _segment = create(name).unwrap();
        ready.open();
        forever()
    });
    ready.pass();
    child
}

/// The name of an owner that was killed. Somebody uses the segment, or the tests beside this one might sweep it.
fn stale(name: &str) -> Segment {
    let owner = owner(name);
    let segment = open(name).unwrap();
    owner.kill();
    assert!(exists(name));
    segment
}

fn board() -> Segment {
    Segment::anonymous(&spec()).unwrap()
}

#[test]
fn it_is_opened_by_name_and_removed_by_its_owner() {
    alone(|| {
        let name = unique("jobs");
        let segment = create(&name).unwrap();
        fork(|| open(&name).unwrap().at::<AtomicU64>(0).unwrap().store(3, Ordering::Release)).join();
        assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Acquire), 3);
        let again = open(&name).unwrap();
        assert_eq!(segment, again);
        drop(segment);
        assert!(exists(&name), "a handle of its owner is left");
        drop(again);
        assert!(!exists(&name));
        assert!(open(&name).unwrap_err().is_not_found());
    });
}

#[test]
fn only_its_user_may_open_it() {
    alone(|| {
        // SAFETY: concerns this process only.
        unsafe { libc::umask(0) };
        let name = unique("private");
        let _segment = create(&name).unwrap();
        assert_eq!(fs::metadata(path(&name)).unwrap().permissions().mode() & 0o7777, 0o600);
        // SAFETY: as above.
        unsafe { libc::umask(0o777) };
        let name = unique("private-2");
        let _segment = create(&name).unwrap();
        assert_eq!(fs::metadata(path(&name)).unwrap().permissions().mode() & 0o7777, 0o600);
    });
}

#[test]
fn a_creator_killed_while_it_fills_the_segment_leaves_nothing() {
    alone(|| {
        let name = unique("half");
        let filling = Gate::new();
        let child = fork(|| {
            let _ = Segment::create(&name, &spec(), |segment| {
                segment.at::<AtomicU64>(0).unwrap().store(1, Ordering::Relaxed);
                filling.open();
                forever()
            });
        });
        filling.pass();
        assert!(open(&name).unwrap_err().is_not_found());
        child.kill();
        assert_eq!(own_files(), Vec::<String>::new());
        create(&name).unwrap();
    });
}

#[test]
fn when_filling_fails_or_panics_nothing_is_left() {
    alone(|| {
        let name = unique("failing");
        let wrong = |segment: &Segment| segment.at::<AtomicU64>(1 << 40).map(drop);
        assert!(matches!(
            Segment::create(&name, &spec(), wrong).unwrap_err().cause(),
            Cause::OutOfBounds { .. }
        ));
        let panic = std::panic::catch_unwind(|| Segment::create(&name, &spec(), |_| panic!("expected")));
        assert!(panic.is_err());
        assert!(!exists(&name));
        create(&name).unwrap();
    });
}

#[test]
fn a_name_is_taken_while_its_owner_lives() {
    alone(|| {
        let name = unique("taken");
        let child = owner(&name);
        let taken = || {
            let error = create(&name).unwrap_err();
            assert!(matches!(error.cause(), Cause::NameTaken), "{error}");
        };
        taken();
        child.signal(rustix::process::Signal::STOP);
        child.until_stopped();
        taken();
        remove_stale().unwrap();
        assert!(exists(&name));
        child.kill();
        // A zombie owns nothing.
        create(&name).unwrap();
    });
}

#[test]
fn a_name_is_taken_within_one_process_too() {
    alone(|| {
        let name = unique("taken");
        let _segment = create(&name).unwrap();
        assert!(matches!(create(&name).unwrap_err().cause(), Cause::NameTaken));
        assert!(exists(&name));
    });
}

#[test]
fn a_named_segment_grows_like_any_other() {
    alone(|| {
        let name = unique("grows");
        let spec = spec().max_len(1 << 20);
        let segment = Segment::create(&name, &spec, nothing).unwrap();
        fork(|| Segment::open(&name, &spec).unwrap().grow(1 << 20).unwrap()).join();
        assert_eq!(segment.len(), 1 << 20);
        segment.at::<AtomicU64>((1 << 20) - 8).unwrap().store(1, Ordering::Relaxed);
        fork(|| drop(Segment::open(&name, &spec.len(1 << 20)).unwrap())).join();
    });
}

#[test]
fn the_owners_lock_does_not_travel_with_the_segment() {
    alone(|| {
        let name = unique("lock");
        let child = owner(&name);
        let user = open(&name).unwrap();
        // Kept open by somebody else for ever.
        let copy = user.as_fd().try_clone_to_owned().unwrap();
        let file = File::open(path(&name)).unwrap();
        child.kill();
        drop(user);
        assert!(!exists(&name));
        drop((copy, file));
    });
}

/// Several users of a name whose owner was killed go at the same moment, in that way: the name is gone then.
fn users_go_together(name: &str, go_away: impl Fn(Segment)) {
    let child = owner(name);
    let (opened, go) = (Gate::new(), Gate::new());
    let users = [(); 4].map(|()| {
        fork(|| {
            let segment = open(name).unwrap();
            opened.open();
            go.pass();
            go_away(segment);
        })
    });
    users.iter().for_each(|_| opened.pass());
    child.kill();
    users.iter().for_each(|_| go.open());
    users.into_iter().for_each(Child::join);
    assert!(!exists(name));
}
