//! As many descriptors as there may be, and one too many: errors that leak nothing.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Cause, Fd};

use crate::help::{alone, descriptors, fork, leave_descriptors, limit_descriptors};

use super::{null, pack, receive, unpack};

#[test]
fn thousands_of_descriptors_travel_in_one_message() {
    alone(|| {
        limit_descriptors(20_000);
        let before = descriptors().len();
        let (here, there) = transfer::channel().unwrap();
        for count in [0, 1, 252, 253, 254, 506, 507, 1000, 5000] {
            for text in [String::new(), "x".repeat(100_000)] {
                let files: Vec<_> = (0..count).map(|_| null()).collect();
                let parcel = pack(&(files, &text));
                assert_eq!(parcel.handles(), count);
                parcel.send(&here).unwrap();
                drop(parcel);
                let (files, same): (Vec<Fd<File>>, String) = unpack(receive(&there));
                assert_eq!((files.len(), same == text), (count, true));
            }
            assert_eq!(descriptors().len(), before + 2);
        }
    });
}

#[test]
fn the_most_that_the_kernel_has_under_way_is_an_error() {
    alone(|| {
        fork(|| {
            if rustix::process::geteuid().is_root() {
                // Root has no such limit. Another user may start with none under way.
                // SAFETY: concerns this process only.
                assert_eq!(unsafe { libc::setresuid(54321, 54321, 54321) }, 0);
            }
            let (here, there) = transfer::channel().unwrap();
            let parcel = pack(&(0..300).map(|_| null()).collect::<Vec<_>>());
            limit_descriptors(400);
            let mut sent = 0;
            let error = loop {
                match parcel.send(&here) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
                assert!(sent < 10);
            };
            assert!(matches!(error.cause(), Cause::TooManyHandles { count: 300 }), "{error}");
            limit_descriptors(2000);
            for _ in 0..sent {
                assert_eq!(unpack::<Vec<Fd<File>>>(receive(&there)).len(), 300);
            }
            parcel.send(&here).unwrap();
        })
        .join();
    });
}

#[test]
fn a_receiver_at_its_limit_loses_the_parcel_and_nothing_else() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        for count in [1, 10, 253, 254, 1000] {
            let parcel = pack(&(0..count).map(|_| null()).collect::<Vec<_>>());
            parcel.send(&here).unwrap();
            drop(parcel);
            pack(&7_u32).send(&here).unwrap();
            let before = descriptors();
            // Some fit, but not all.
            let limit = leave_descriptors(count / 2);
            let error = Parcel::receive(&there).unwrap_err();
            limit_descriptors(limit);
            assert!(matches!(error.cause(), Cause::TooManyHandles { .. }), "{count}: {error}");
            assert_eq!(descriptors(), before, "{count}");
            assert_eq!(unpack::<u32>(receive(&there)), 7, "the next arrives");
            pack(&null()).send(&here).unwrap();
            let _: Fd<File> = unpack(receive(&there));
        }
    });
}

#[test]
fn a_sender_at_its_limit_gets_an_error() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        let many = pack(&(0..300).map(|_| null()).collect::<Vec<_>>());
        let before = descriptors();
        let limit = leave_descriptors(0);
        // The descriptors of a Fd are copied, a long text needs memory, and many descriptors a socket.
        let copy = Parcel::pack(|| serde_json::to_vec(&Fd(here.as_fd()))).unwrap_err();
        let text = pack(&"x".repeat(100_000)).send(&here).unwrap_err();
        let load = many.send(&here).unwrap_err();
        limit_descriptors(limit);
        assert!(copy.to_string().contains("Too many open files"), "{copy}");
        assert_eq!(text.os().unwrap().raw_os_error(), Some(libc::EMFILE), "{text}");
        assert_eq!(load.os().unwrap().raw_os_error(), Some(libc::EMFILE), "{load}");
        assert_eq!(descriptors(), before);
        many.send(&here).unwrap();
        assert_eq!(unpack::<Vec<Fd<File>>>(receive(&there)).len(), 300);
    });
}

/// The inodes of the sockets and memory files that no process may have any more after a test are not to be seen
/// from outside; but a pipe tells when its last writer is gone.
#[test]
fn parcels_that_nobody_sends_receives_or_unpacks_leak_nothing() {
    alone(|| {
        for count in [1, 300] {
            let (mut reader, writer) = std::io::pipe().unwrap();
            let (here, there) = transfer::channel().unwrap();
            let writers = || (0..count).map(|_| Fd(writer.try_clone().unwrap())).collect::<Vec<_>>();
            let unsent = pack(&writers());
            pack(&writers()).send(&here).unwrap();
            pack(&writers()).send(&here).unwrap();
            pack(&writers()).send(&here).unwrap();
            let not_unpacked = receive(&there);
            receive(&there).unpack(|_| ());
            drop((unsent, not_unpacked, writer));
            // The third is still in the socket.
            drop((here, there));
            assert_eq!(reader.read(&mut [0]).unwrap(), 0);
        }
    });
}
