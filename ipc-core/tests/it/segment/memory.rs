//! Memory that is not there, limits, and growth.

use std::fs::File;
use std::io::Write;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use ipc_core::{Blob, Cause, Place, Segment};

use crate::help::{Gate, alone, fork, own_files, spec, unique};

#[test]
fn more_memory_than_there_is_is_an_error_with_both_sizes() {
    let check = |error: ipc_core::Error, least: u64| match *error.cause() {
        Cause::NoMemory { asked, available } => {
            assert!(asked >= least && available > 0 && available < asked, "{asked} {available}");
        }
        ref other => panic!("{other:?}"),
    };
    check(Segment::anonymous(&spec().len(1 << 50)).unwrap_err(), 1 << 50);
    check(Segment::create(&unique("huge"), &spec().len(1 << 50), |_| Ok(())).unwrap_err(), 1 << 50);
    assert_eq!(own_files(), Vec::<String>::new());

    let segment = Segment::anonymous(&spec().max_len(1 << 45)).unwrap();
    check(segment.grow(1 << 44).unwrap_err(), 1 << 43);
    assert_eq!(segment.len(), 64, "nothing has changed");
    segment.grow(128).unwrap();
}

#[test]
fn beyond_the_limit_for_files_is_an_error_with_both_sizes_and_not_a_signal() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    alone(|| {
        let growable = Segment::anonymous(&spec().max_len(1 << 30)).unwrap();
        let old = getrlimit(Resource::Fsize);
        setrlimit(Resource::Fsize, Rlimit { current: Some(1 << 16), ..old }).unwrap();
        let refused = |error: ipc_core::Error, at_least: u64| {
            let Cause::FileLimit { asked, limit } = *error.cause() else { panic!("{error}") };
            assert!(asked >= at_least && asked < at_least + 4096 && limit == 1 << 16, "{error}");
        };
        refused(Segment::anonymous(&spec().len(1 << 17)).unwrap_err(), 1 << 17);
        let name = unique("large");
        refused(Segment::create(&name, &spec().len(1 << 17), |_| Ok(())).unwrap_err(), 1 << 17);
        refused(growable.grow(1 << 20).unwrap_err(), 1 << 20);
        // It counts from the start of the file.
        refused(growable.grow(1 << 16).unwrap_err(), 1 << 16);
        refused(Blob::new(&[1; 1 << 17]).unwrap_err(), 1 << 17);
        growable.grow(1 << 15).unwrap();
        assert_eq!(Blob::new(&[1; 1 << 16]).unwrap().len(), 1 << 16);
        setrlimit(Resource::Fsize, old).unwrap();
        growable.grow(1 << 20).unwrap();
    });
}

#[test]
fn lengths_that_cannot_be_mapped_are_errors() {
    for len in [u64::MAX, i64::MAX as u64, 1 << 62] {
        assert!(Segment::anonymous(&spec().len(len)).is_err());
        assert!(Segment::anonymous(&spec().max_len(len)).is_err());
    }
}

/// Makes /dev/shm one megabyte in size for this process. `false` where that needs rights.
fn small_shm() -> bool {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    // SAFETY: concerns this process only, which has one thread.
    if unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) } != 0 {
        return false;
    }
    let write = |file, text: String| std::fs::write(format!("/proc/self/{file}"), text).is_ok();
    let mapped = write("setgroups", "deny".into())
        && write("uid_map", format!("0 {uid} 1"))
        && write("gid_map", format!("0 {gid} 1"));
    // SAFETY: the strings end with a zero, and live during the call.
    let mounted = unsafe {
        libc::mount(c"tmpfs".as_ptr(), c"/dev/shm".as_ptr(), c"tmpfs".as_ptr(), 0, c"size=1m".as_ptr().cast())
    };
    mapped && mounted == 0
}

#[test]
fn a_full_file_system_is_an_error_and_not_a_signal() {
    alone(|| {
        fork(|| {
            if !small_shm() {
                return;
            }
            let error = Segment::create("full", &spec().len(1 << 20), |_| Ok(())).unwrap_err();
            let Cause::NoMemory { asked, available } = *error.cause() else { panic!("{error}") };
            assert!(asked > 1 << 20 && available <= 1 << 20, "{error}");

            let spec = spec().len(1 << 19).max_len(1 << 22);
            let segment = Segment::create("full", &spec, |_| Ok(())).unwrap();
            let error = segment.grow(1 << 22).unwrap_err();
            assert!(matches!(error.cause(), Cause::NoMemory { .. }), "{error}");
            assert_eq!(segment.len(), 1 << 19, "nothing has changed");
            // Something else takes all that is left; what was reserved is still there.
            let mut hog = File::create("/dev/shm/hog").unwrap();
            while hog.write_all(&[1; 4096]).is_ok() {}
            let bytes: &[AtomicU8] = segment.slice(0, 1 << 19).unwrap();
            bytes.iter().for_each(|byte| byte.store(1, Ordering::Relaxed));
        })
        .join();
    });
}

#[test]
fn growth_is_seen_by_those_who_mapped_before_and_moves_nothing() {
    alone(|| {
        let segment = Segment::anonymous(&spec().max_len(64 << 20)).unwrap();
        let (mapped, grown, written) = (Gate::new(), Gate::new(), Gate::new());
        let first: Place<AtomicU64> = Place::new(&segment, 0).unwrap();
        let child = fork(|| {
            let before: &AtomicU64 = segment.at(0).unwrap();
            assert!(segment.at::<AtomicU64>(32 << 20).is_err());
            mapped.open();
            grown.pass();
            assert_eq!(segment.len(), 40 << 20);
            segment.at::<AtomicU64>(32 << 20).unwrap().store(7, Ordering::Release);
            assert!(std::ptr::eq(before, segment.at(0).unwrap()));
            before.store(8, Ordering::Release);
            written.open();
        });
        mapped.pass();
        segment.grow(40 << 20).unwrap();
        grown.open();
        written.pass();
        assert_eq!(segment.at::<AtomicU64>(32 << 20).unwrap().load(Ordering::Acquire), 7);
        assert_eq!(first.load(Ordering::Acquire), 8);
        child.join();
        segment.grow(1).unwrap();
        assert_eq!(segment.len(), 40 << 20, "it never shrinks");
    });
}

#[test]
fn growth_beyond_the_limit_is_an_error() {
    let segment = Segment::anonymous(&spec().max_len(4096)).unwrap();
    segment.grow(4096).unwrap();
    assert!(matches!(segment.grow(4097).unwrap_err().cause(), Cause::OutOfBounds { len: 4097, .. }));
    assert!(matches!(segment.grow(u64::MAX).unwrap_err().cause(), Cause::OutOfBounds { .. }));
    assert_eq!(segment.len(), 4096);
}

#[test]
fn processes_that_grow_at_once_all_get_what_they_asked_for() {
    alone(|| {
        let segment = Segment::anonymous(&spec().max_len(1 << 20)).unwrap();
        let go = Gate::new();
        let grow = |from: u64| {
            go.pass();
            for len in (from..=1 << 20).step_by(1 << 12) {
                segment.grow(len).unwrap();
                assert!(segment.len() >= len);
                segment.at::<AtomicU8>(len - 1).unwrap().fetch_add(1, Ordering::Relaxed);
            }
        };
        let children: Vec<_> = [64, 1000, 4096].map(|from| fork(|| grow(from))).into();
        children.iter().for_each(|_| go.open());
        children.into_iter().for_each(|child| child.join());
        assert_eq!(segment.len(), 1 << 20);
        assert_eq!(segment.at::<AtomicU8>((1 << 20) - 1).unwrap().load(Ordering::Relaxed), 1);
    });
}
