mod hostile;
mod memory;

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Cause, Place, Segment};
use rustix::io::Errno;

use crate::help::{Gate, alone, bytes_of, fork, memfd, received, spec, unique};

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
