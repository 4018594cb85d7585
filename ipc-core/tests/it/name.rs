use std::collections::HashSet;
use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Cause, Error, Segment, Spec, remove_stale};

use crate::help::{Child, Gate, alone, bytes_of, exists, forever, fork, own_files, path, spec, unique};

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
            let name = unique(&format!("leave-{round}"));
            let child = owner(&name);
            let (opened, go) = (Gate::new(), Gate::new());
            let users = [(); 4].map(|()| {
                fork(|| {
                    let segment = open(&name).unwrap();
                    opened.open();
                    go.pass();
                    drop(segment);
                })
            });
            users.iter().for_each(|_| opened.pass());
            child.kill();
            users.iter().for_each(|_| go.open());
            users.into_iter().for_each(Child::join);
            assert!(!exists(&name));
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

fn board() -> Segment {
    Segment::anonymous(&spec()).unwrap()
}

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
            let name = unique(&format!("exit-{round}"));
            let child = owner(&name);
            let (opened, go) = (Gate::new(), Gate::new());
            let users = [(); 4].map(|()| {
                fork(|| {
                    KEPT.get_or_init(|| open(&name).unwrap());
                    opened.open();
                    go.pass();
                    std::process::exit(0)
                })
            });
            users.iter().for_each(|_| opened.pass());
            child.kill();
            users.iter().for_each(|_| go.open());
            users.into_iter().for_each(Child::join);
            assert!(!exists(&name));
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

#[test]
fn the_property_that_differs_is_named() {
    alone(|| {
        let name = unique("differs");
        let made = Spec::new("queue", 3).type_name("u64").len(100);
        let segment = Segment::create(&name, &made, nothing).unwrap();
        let property = |spec: Spec<'_>| {
            for error in [
                Segment::open(&name, &spec).unwrap_err(),
                Segment::open_or_create(&name, &spec, nothing).unwrap_err(),
            ] {
                let Cause::Mismatch { property, found, expected } = error.cause() else { panic!("{error}") };
                let text = error.to_string();
                assert!(text.contains(property) && text.contains(found) && text.contains(expected), "{text}");
                assert!(text.contains(&name), "{text}");
            }
            let error = Segment::open(&name, &spec).unwrap_err();
            let Cause::Mismatch { property, .. } = error.cause() else { panic!("{error}") };
            *property
        };
        assert_eq!(property(Spec::new("pipe", 3).type_name("u64").len(100)), "kind");
        assert_eq!(property(Spec::new("queue", 2).type_name("u64").len(100)), "kind version");
        assert_eq!(property(Spec::new("queue", 3).type_name("i64").len(100)), "type");
        assert_eq!(property(Spec::new("queue", 3).type_name("u64").len(101)), "length");

        // Made by another version of this library. The layout's version stands behind the magic.
        let other = unique("version");
        let mut bytes = bytes_of(&segment);
        bytes[8] = 99;
        fs::write(path(&other), bytes).unwrap();
        fs::set_permissions(path(&other), fs::Permissions::from_mode(0o600)).unwrap();
        let error = Segment::open(&other, &made).unwrap_err();
        let Cause::Mismatch { property, .. } = error.cause() else { panic!("{error}") };
        assert_eq!(*property, "layout version");
        fs::remove_file(path(&other)).unwrap();
    });
}

#[test]
fn bad_names_are_refused() {
    for name in ["", "a/b", "..", "../x", "/x", "ü", "a b", "x\0", "*", &"x".repeat(201)] {
        if name == ".." {
            // Harmless behind the prefix.
            continue;
        }
        for error in [create(name).unwrap_err(), open(name).unwrap_err()] {
            assert!(matches!(error.cause(), Cause::BadName), "{name}: {error}");
        }
    }
    let longest = format!("{:x<200}", unique("longest"));
    let segment = create(&longest).unwrap();
    assert!(exists(&longest));
    drop(segment);
    assert!(!exists(&longest));
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    alone(|| {
        let name = unique("foreign");
        let path = path(&name);
        let refused = |what: &str| {
            let before = fs::symlink_metadata(&path).unwrap();
            let open_or_create = Segment::open_or_create(&name, &spec(), nothing).unwrap_err();
            for error in [create(&name).unwrap_err(), open(&name).unwrap_err(), open_or_create] {
                assert!(
                    !matches!(error.cause(), Cause::NameTaken) && !error.is_not_found(),
                    "{what}: {error}"
                );
            }
            let _ = remove_stale();
            let after = fs::symlink_metadata(&path).expect(what);
            assert_eq!((before.ino(), before.len()), (after.ino(), after.len()), "{what}");
        };
        for text in ["", "short", &"an ordinary file ".repeat(1000)] {
            fs::write(&path, text).unwrap();
            refused("an ordinary file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            refused("a private file");
            fs::remove_file(&path).unwrap();
        }

        fs::create_dir(&path).unwrap();
        refused("a directory");
        fs::remove_dir(&path).unwrap();

        let target = create(&unique("target")).unwrap();
        std::os::unix::fs::symlink(crate::help::path(&unique("target")), &path).unwrap();
        refused("a link to a good segment");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &path).unwrap();
        refused_dangling(&name);
        fs::remove_file(&path).unwrap();
        drop(target);

        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        refused("a pipe");
        fs::remove_file(&path).unwrap();
    });
}

fn refused_dangling(name: &str) {
    assert!(create(name).is_err());
    assert!(open(name).is_err());
    assert!(exists(name));
}

#[test]
fn a_named_file_that_others_may_write_is_refused() {
    alone(|| {
        let name = unique("mode");
        let mut bytes = bytes_of(&create(&name).unwrap());
        // No participants: this process stands there.
        bytes[512..].fill(0);
        fs::write(path(&name), bytes).unwrap();
        for mode in [0o660, 0o606, 0o640, 0o604] {
            fs::set_permissions(path(&name), fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(open(&name).unwrap_err().cause(), Cause::NotSealed));
        }
        fs::set_permissions(path(&name), fs::Permissions::from_mode(0o600)).unwrap();
        drop(open(&name).unwrap());
        assert!(!exists(&name), "nobody owned it, so the last user removed it");
    });
}

#[test]
fn a_named_file_of_another_user_is_refused() {
    alone(|| {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let name = unique("other-user");
        let bytes = bytes_of(&create(&name).unwrap());
        fs::write(path(&name), bytes).unwrap();
        std::os::unix::fs::chown(path(&name), Some(12345), None).unwrap();
        for error in [create(&name).unwrap_err(), open(&name).unwrap_err()] {
            assert!(matches!(error.cause(), Cause::ForeignOwner { uid: 12345 }), "{error}");
        }
        let _ = remove_stale();
        fs::remove_file(path(&name)).unwrap();
    });
}

#[test]
fn a_named_file_that_was_cut_off_is_refused() {
    alone(|| {
        let name = unique("short");
        let bytes = bytes_of(&create(&name).unwrap());
        for len in [0, 8, 511, 512, 600, bytes.len() - 1] {
            fs::write(path(&name), &bytes[..len]).unwrap();
            fs::set_permissions(path(&name), fs::Permissions::from_mode(0o600)).unwrap();
            let error = open(&name).unwrap_err();
            assert!(matches!(error.cause(), Cause::NotASegment | Cause::Damaged { .. }), "{error}");
            fs::remove_file(path(&name)).unwrap();
        }
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
