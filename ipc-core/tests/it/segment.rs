use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Blob, Cause, Place, Segment, Spec};
use proptest::prelude::*;
use rustix::io::Errno;

use crate::help::{Gate, alone, bytes_of, fork, memfd, own_files, received, spec, unique};

/// A second opening of the same file, such as a process has that was not forked.
fn reopened(segment: &Segment) -> OwnedFd {
    use std::os::fd::AsRawFd;
    let link = format!("/proc/self/fd/{}", segment.as_fd().as_raw_fd());
    File::options().read(true).write(true).open(link).unwrap().into()
}

#[test]
fn what_one_process_writes_the_other_reads() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        let sent = Gate::new();
        // Begins before there is a segment, so that it has its own mapping.
        let child = fork(|| {
            sent.pass();
            let parcel = Parcel::receive(&there).unwrap().unwrap();
            let segment: Segment = parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
            let words: &[AtomicU64] = segment.slice(0, 8).unwrap();
            assert_eq!(words[0].load(Ordering::Acquire), 1);
            words[7].store(2, Ordering::Release);
        });
        let segment = Segment::anonymous(&spec()).unwrap();
        segment.at::<AtomicU64>(0).unwrap().store(1, Ordering::Release);
        Parcel::pack(|| postcard::to_allocvec(&segment)).unwrap().send(&here).unwrap();
        sent.open();
        child.join();
        assert_eq!(segment.at::<AtomicU64>(56).unwrap().load(Ordering::Acquire), 2);
    });
}

#[test]
fn it_begins_with_zeroes_and_is_aligned_to_64() {
    for participants in [1, 2, 3, 1024, 4095] {
        let segment = Segment::anonymous(&spec().participants(participants)).unwrap();
        assert_eq!(segment.capacity(), participants as usize);
        let bytes: &[AtomicU8] = segment.slice(0, 64).unwrap();
        assert!(bytes.as_ptr().cast::<[u64; 8]>().is_aligned());
        assert_eq!(bytes.as_ptr().addr() % 64, 0);
        assert!(bytes.iter().all(|byte| byte.load(Ordering::Relaxed) == 0));
    }
}

/// All of the address space would be looked through, page by page, while the process that crashed still counts as alive.
#[test]
fn a_crash_does_not_wait_until_it_is_written_to_a_file() {
    let segment = Segment::anonymous(&spec().max_len(1 << 34)).unwrap();
    let address = segment.bytes(0, 8).unwrap().addr();
    let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let is_it = |line: &&str| {
        let range = line.split(' ').next().and_then(|range| range.split_once('-'));
        range.is_some_and(|(from, to)| {
            let number = |text| usize::from_str_radix(text, 16).ok();
            number(from).zip(number(to)).is_some_and(|(from, to)| (from..to).contains(&address))
        })
    };
    let mut lines = maps.lines().skip_while(|line| !is_it(line));
    let flags = lines.find(|line| line.starts_with("VmFlags:")).unwrap();
    assert!(flags.split(' ').any(|flag| flag == "dd"), "{flags}");
}

#[test]
fn nobody_can_cut_it_off() {
    alone(|| {
        let fixed = Segment::anonymous(&spec()).unwrap();
        let growable = Segment::anonymous(&spec().max_len(1 << 20)).unwrap();
        let try_all = || {
            for segment in [&fixed, &growable] {
                let len = rustix::fs::fstat(segment).unwrap().st_size as u64;
                for fd in [segment.as_fd().try_clone_to_owned().unwrap(), reopened(segment)] {
                    assert_eq!(rustix::fs::ftruncate(&fd, 0), Err(Errno::PERM));
                    assert_eq!(rustix::fs::ftruncate(&fd, len - 1), Err(Errno::PERM));
                    // Nor take the seals away.
                    assert!(rustix::fs::fcntl_add_seals(&fd, rustix::fs::SealFlags::WRITE).is_err());
                }
            }
            assert_eq!(rustix::fs::ftruncate(&fixed, 1 << 20), Err(Errno::PERM), "a fixed one does not grow");
        };
        try_all();
        fork(try_all).join();
    });
}

#[test]
fn its_descriptor_is_closed_by_exec() {
    let segment = Segment::anonymous(&spec()).unwrap();
    assert!(rustix::io::fcntl_getfd(&segment).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
}

#[test]
fn its_descriptor_is_never_one_of_the_standard_streams() {
    alone(|| {
        fork(|| {
            // What daemons do.
            for fd in 0..3 {
                // SAFETY: nothing in this child uses them; panics are told by the exit code.
                unsafe { libc::close(fd) };
            }
            use std::os::fd::AsRawFd;
            let segment = Segment::anonymous(&spec()).unwrap();
            let named = Segment::create(&unique("stdio"), &spec(), |_| Ok(())).unwrap();
            let blob = ipc_core::Blob::new(b"blob").unwrap();
            let (here, there) = transfer::channel().unwrap();
            let parcel = Parcel::pack(|| postcard::to_allocvec(&blob)).unwrap();
            parcel.send(&here).unwrap();
            drop(parcel);
            let other: ipc_core::Blob = Parcel::receive(&there)
                .unwrap()
                .unwrap()
                .unpack(|bytes| postcard::from_bytes(bytes))
                .unwrap();
            for fd in
                [segment.as_fd(), named.as_fd(), blob.as_fd(), other.as_fd(), here.as_fd(), there.as_fd()]
            {
                assert!(fd.as_raw_fd() > 2);
            }
        })
        .join();
    });
}

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

#[test]
fn access_outside_or_misaligned_is_an_error() {
    let segment = Segment::anonymous(&spec().max_len(128)).unwrap();
    let outside = |result: Result<(), ipc_core::Error>| {
        assert!(matches!(result.unwrap_err().cause(), Cause::OutOfBounds { size: 64, .. }));
    };
    for offset in [57, 64, 65, 100, 1 << 40, u64::MAX - 7, u64::MAX] {
        outside(segment.at::<AtomicU64>(offset).map(drop));
    }
    outside(segment.slice::<AtomicU64>(0, 9).map(drop));
    outside(segment.slice::<AtomicU64>(8, usize::MAX / 8).map(drop));
    outside(segment.slice::<AtomicU64>(8, usize::MAX).map(drop));
    outside(segment.bytes(0, usize::MAX).map(drop));
    outside(segment.bytes(1, 64).map(drop));
    outside(Place::<AtomicU32>::new(&segment, 64).map(drop));
    for offset in [1, 2, 4, 7] {
        let error = segment.at::<AtomicU64>(offset).unwrap_err();
        assert!(matches!(error.cause(), Cause::Damaged { field: "alignment" }));
    }
    segment.at::<AtomicU64>(56).unwrap();
    segment.bytes(64, 0).unwrap();
    assert!(segment.slice::<AtomicU64>(64, 0).unwrap().is_empty());
    assert_eq!(segment.slice::<[AtomicU8; 0]>(0, usize::MAX).unwrap().len(), usize::MAX);
}

#[test]
fn opened_twice_in_one_process_it_is_one_mapping_and_one_participant() {
    let segment = Segment::anonymous(&spec()).unwrap();
    let again: Segment = received(reopened(&segment)).unwrap();
    assert_eq!(segment, again);
    assert_eq!(segment.me().unwrap(), again.me().unwrap());
    assert_eq!(segment.participants().len(), 1);
    assert!(std::ptr::eq(segment.at::<AtomicU8>(0).unwrap(), again.at::<AtomicU8>(0).unwrap()));
    let other = Segment::anonymous(&spec()).unwrap();
    assert_ne!(segment, other);
}

#[test]
fn threads_that_open_and_drop_it_at_once_share_or_succeed_each_other() {
    let segment = Segment::anonymous(&spec().participants(2)).unwrap();
    let fd = reopened(&segment);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let segment: Segment = received(fd.try_clone().unwrap()).unwrap();
                    let me = segment.me().unwrap();
                    assert!(segment.is_alive(me));
                }
            });
        }
    });
    assert_eq!(segment.participants().len(), 1);

    // And the same when every drop may be the last.
    let file = memfd(&bytes_of(&Segment::anonymous(&spec().participants(8)).unwrap()), true);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    let segment: Segment = received(file.try_clone().unwrap()).unwrap();
                    let again: Segment = received(file.try_clone().unwrap()).unwrap();
                    let me = segment.me().unwrap();
                    assert_eq!(again.me().unwrap(), me, "one identity for one process");
                    assert!(segment.is_alive(me));
                    segment.at::<AtomicU64>(0).unwrap().fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let segment: Segment = received(file).unwrap();
    assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), 2000);
}

#[test]
fn a_handle_may_outlive_all_others_in_any_order() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let place: Place<AtomicU64> = Place::new(&segment, 8).unwrap();
        let copy = place.clone();
        let again: Segment = received(reopened(&segment)).unwrap();
        drop(segment);
        drop(place);
        copy.store(5, Ordering::Relaxed);
        drop(copy);
        assert_eq!(again.at::<AtomicU64>(8).unwrap().load(Ordering::Relaxed), 5);
        assert_eq!(again.participants().len(), 1);
    });
}

#[test]
fn memory_outlives_its_maker() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        let maker = fork(|| {
            let segment = Segment::anonymous(&spec()).unwrap();
            segment.at::<AtomicU64>(0).unwrap().store(9, Ordering::Release);
            Parcel::pack(|| postcard::to_allocvec(&segment)).unwrap().send(&here).unwrap();
        });
        maker.join();
        let parcel = Parcel::receive(&there).unwrap().unwrap();
        let segment: Segment = parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
        assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Acquire), 9);
    });
}

#[test]
fn thousands_at_once_are_no_problem() {
    alone(|| {
        let segments: Vec<_> = (0..4000_u64)
            .map(|number| {
                let segment = Segment::anonymous(&spec()).unwrap();
                segment.at::<AtomicU64>(0).unwrap().store(number, Ordering::Relaxed);
                segment
            })
            .collect();
        for (number, segment) in segments.iter().enumerate() {
            assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), number as u64);
        }
    });
}

#[test]
fn no_descriptor_left_is_an_error() {
    alone(|| {
        let limit = crate::help::leave_descriptors(0);
        let error = Segment::anonymous(&spec()).unwrap_err();
        crate::help::limit_descriptors(limit);
        assert_eq!(error.os().unwrap().raw_os_error(), Some(libc::EMFILE), "{error}");
        Segment::anonymous(&spec()).unwrap();
    });
}

#[test]
fn a_specification_that_cannot_be_written_down_is_refused() {
    for kind in ["", "seventeen-letters", "ümlaut", "with space", "zero\0"] {
        let error = Segment::anonymous(&Spec::new(kind, 1)).unwrap_err();
        assert!(matches!(error.cause(), Cause::Mismatch { property: "kind", .. }), "{error}");
    }
    for participants in [0, 4096, u32::MAX] {
        assert!(Segment::anonymous(&spec().participants(participants)).is_err());
    }
}

#[test]
fn what_it_holds_is_compared_property_by_property() {
    let long = "a::long::path::".repeat(40);
    let made = Spec::new("queue", 3).type_name(&long).len(100);
    let segment = Segment::anonymous(&made).unwrap();
    segment.expect(&made).unwrap();
    segment.expect(&Spec::new("queue", 3).type_name(&long)).unwrap();
    let property = |spec: Spec<'_>| match segment.expect(&spec).unwrap_err().cause() {
        Cause::Mismatch { property, .. } => *property,
        other => panic!("{other:?}"),
    };
    assert_eq!(property(Spec::new("pipe", 3).type_name(&long)), "kind");
    assert_eq!(property(Spec::new("queue", 4).type_name(&long)), "kind version");
    assert_eq!(property(Spec::new("queue", 3).type_name("other")), "type");
    // Different only where it is not kept.
    assert_eq!(property(Spec::new("queue", 3).type_name(&(long.clone() + "x"))), "type");
    assert_eq!(property(made.len(101)), "length");
}

#[test]
fn files_that_are_no_segments_are_refused() {
    let good = bytes_of(&Segment::anonymous(&spec()).unwrap());
    received::<Segment>(memfd(&good, true)).unwrap();
    let refused = |bytes: &[u8], sealed, why: &str| {
        let error = received::<Segment>(memfd(bytes, sealed)).unwrap_err();
        assert!(error.contains(why), "{error}");
    };
    refused(&good, false, "not sealed");
    refused(&[], true, "not a segment");
    refused(&good[..511], true, "not a segment");
    refused(&good[..512], true, "damaged");
    refused(&good[..good.len() - 1], true, "damaged");
    refused(&[0; 4096], true, "not a segment");
    refused(&[0xff; 4096], true, "not a segment");
    // More places than an identity can count, all of which are in the file.
    let mut many = good.clone();
    many[12..16].copy_from_slice(&5000_u32.to_ne_bytes());
    many.resize(100_000, 0);
    refused(&many, true, "damaged");
    let (reader, writer) = std::io::pipe().unwrap();
    assert!(received::<Segment>(reader.into()).is_err());
    assert!(received::<Segment>(writer.into()).is_err());
    for path in ["/dev/null", "/dev/zero", "/", "/proc/self/maps"] {
        assert!(received::<Segment>(File::open(path).unwrap().into()).is_err());
    }
    // A private file of this user, which could be a named segment, but is not.
    let file = private_file("/dev/shm", &[7; 4096]);
    let error = received::<Segment>(file).unwrap_err();
    assert!(error.contains("not a segment"), "{error}");
}

/// A file without a name that only this user may open.
fn private_file(directory: &str, bytes: &[u8]) -> OwnedFd {
    let mut file = tempfile::tempfile_in(directory).unwrap();
    file.write_all(bytes).unwrap();
    make_private(&file);
    file.into()
}

fn make_private(file: impl AsFd) {
    rustix::fs::fchmod(file, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR).unwrap();
}

#[test]
fn what_can_be_cut_off_is_accepted_only_if_it_is_the_file_of_a_named_segment() {
    alone(|| {
        let nameless = bytes_of(&Segment::anonymous(&spec()).unwrap());
        let segment = Segment::create(&unique("named"), &spec(), |_| Ok(())).unwrap();
        let named = bytes_of(&segment);
        let memory = memfd(&named, false);
        make_private(&memory);
        let elsewhere = private_file("/tmp", &named);
        let without_name = private_file("/dev/shm", &nameless);
        for fd in [memory, elsewhere, without_name] {
            let error = received::<Segment>(fd).unwrap_err();
            assert!(error.contains("not sealed"), "{error}");
        }
        assert_eq!(received::<Segment>(reopened(&segment)).unwrap(), segment);
        // Also when the name was taken away from it, or given to another one.
        let file = reopened(&segment);
        drop(segment);
        let segment: Segment = received(file).unwrap();
        assert!(segment.label().contains(&unique("named")));
    });
}

#[test]
fn a_segment_of_another_namespace_is_refused() {
    let mut bytes = bytes_of(&Segment::anonymous(&spec()).unwrap());
    for at in [48, 56] {
        bytes[at] ^= 1;
        let error = received::<Segment>(memfd(&bytes, true)).unwrap_err();
        assert!(error.contains("namespace"), "{error}");
        bytes[at] ^= 1;
    }
}

/// Uses what was opened in every way that reads what others may have written.
fn use_all(segment: &Segment) {
    let _ = segment.expect(&spec());
    let len = segment.len();
    assert!(len <= segment.max_len());
    let bytes: &[AtomicU8] = segment.slice(0, len as usize).unwrap();
    let _ = bytes.iter().fold(0, |sum: u8, byte| sum ^ byte.load(Ordering::Relaxed));
    assert!(segment.slice::<AtomicU8>(0, len as usize + 1).is_err());
    let me = segment.me().unwrap();
    assert!(segment.is_alive(me));
    for participant in segment.participants() {
        assert!(participant.id.index() < segment.capacity());
        let _ = segment.participant(participant.id);
    }
    let _ = format!("{segment:?} {}", segment.label());
    let _ = segment.grow(len.saturating_add(1));
}

#[test]
fn every_byte_of_a_header_may_be_anything() {
    let good = bytes_of(&Segment::anonymous(&spec().max_len(1 << 20)).unwrap());
    let mut opened = 0;
    for at in 0..good.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff, good[at] ^ 1, good[at].wrapping_add(1)] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(segment) = received::<Segment>(memfd(&bytes, true)) {
                use_all(&segment);
                opened += 1;
            }
        }
    }
    assert!(opened > 0, "the test did not test");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_header_makes_a_reader_crash(
        changes in prop::collection::vec((0_usize..900, any::<u8>()), 1..12),
        fields in prop::collection::vec((0_usize..16, any::<u64>()), 0..4),
        len in 0_usize..900,
    ) {
        let mut bytes = bytes_of(&Segment::anonymous(&spec().max_len(1 << 30)).unwrap());
        for (at, value) in changes {
            if at < bytes.len() {
                bytes[at] = value;
            }
        }
        for (field, value) in fields {
            bytes[8 + field * 8..][..8].copy_from_slice(&value.to_ne_bytes());
        }
        bytes[..12].copy_from_slice(b"IPCSEG\x9d\x01\x01\0\0\0");
        bytes.truncate(len.max(512));
        if let Ok(segment) = received::<Segment>(memfd(&bytes, true)) {
            use_all(&segment);
        }
    }

    #[test]
    fn writing_anything_to_an_open_segment_makes_nobody_crash(
        words in prop::collection::vec((0_usize..88, any::<u64>()), 1..40),
    ) {
        let segment = Segment::anonymous(&spec().max_len(1 << 20)).unwrap();
        for (word, value) in words {
            let at = word as u64 * 8;
            rustix::io::pwrite(&segment, &value.to_ne_bytes(), at).unwrap();
        }
        let len = segment.len();
        prop_assert_eq!(len, 64);
        let _ = segment.expect(&spec());
        let _ = segment.participants();
        let again: Segment = segment.clone();
        segment.at::<AtomicU64>(0).unwrap().store(1, Ordering::Relaxed);
        prop_assert!(again.at::<AtomicU64>(64).is_err());
        prop_assert!(segment.is_alive(segment.me().unwrap()));
    }
}

#[test]
fn the_layout_is_that_of_the_specification() {
    let segment =
        Segment::anonymous(&Spec::new("queue", 3).type_name("ty").len(7).max_len(9).participants(2));
    let bytes = bytes_of(&segment.unwrap());
    let u32_at = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
    let u64_at = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(&bytes[..8], b"IPCSEG\x9d\x01");
    assert_eq!((u32_at(8), u32_at(12), u32_at(16), u32_at(20)), (2, 2, 3, 2));
    // FNV-1a of `ty`.
    assert_eq!(u64_at(24), 0x08c8_4707_b56a_d86e);
    assert_eq!((u64_at(32), u64_at(40)), (7, 9));
    assert_eq!(&bytes[64..80], b"queue\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(&bytes[120..123], b"ty\0");
    let taken: Vec<u64> = [512, 528].map(u64_at).into_iter().filter(|&state| state != 0).collect();
    assert_eq!(taken, [u64::from(std::process::id())]);
    assert_eq!(bytes.len(), 576 + 7);
}
