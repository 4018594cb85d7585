mod limits;
mod packets;

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Blob, Error, Fd, Segment};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::help::{Gate, alone, descriptors, fork, limit_descriptors, spec};

fn pack<T: Serialize>(value: &T) -> Parcel {
    Parcel::pack(|| postcard::to_allocvec(value)).unwrap()
}

fn unpack<T: DeserializeOwned>(parcel: Parcel) -> T {
    parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap()
}

fn receive(socket: &OwnedFd) -> Parcel {
    Parcel::receive(socket).unwrap().unwrap()
}

/// Something with a descriptor that costs nothing.
fn null() -> Fd<File> {
    Fd(File::open("/dev/null").unwrap())
}

#[derive(Serialize, Deserialize)]
enum Tree {
    Leaf(Segment),
    Blob { name: String, blob: Blob },
    Nodes(Vec<Tree>, Option<Box<Tree>>),
    File(Fd<File>),
}

#[test]
fn handles_stand_anywhere_inside_a_value() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"text").unwrap();
        let tree = Tree::Nodes(
            vec![
                Tree::Leaf(segment.clone()),
                Tree::Nodes(vec![Tree::File(Fd(file))], None),
                Tree::Blob { name: "b".into(), blob: Blob::new(b"bytes").unwrap() },
            ],
            Some(Box::new(Tree::Leaf(segment.clone()))),
        );
        let (here, there) = transfer::channel().unwrap();
        let child = fork(|| {
            pack(&tree).send(&here).unwrap();
        });
        child.join();
        let Tree::Nodes(mut nodes, Some(last)) = unpack(receive(&there)) else { panic!() };
        let Tree::Leaf(last) = *last else { panic!() };
        last.at::<AtomicU64>(0).unwrap().store(5, Ordering::Relaxed);
        assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), 5);
        let Some(Tree::Blob { name, blob }) = nodes.pop() else { panic!() };
        assert_eq!((&name[..], &blob[..]), ("b", &b"bytes"[..]));
        let Some(Tree::Nodes(mut files, None)) = nodes.pop() else { panic!() };
        let Some(Tree::File(Fd(mut file))) = files.pop() else { panic!() };
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "text");
    });
}

#[test]
fn the_same_handle_many_times_is_one_descriptor() {
    let segment = Segment::anonymous(&spec()).unwrap();
    let blob = Blob::new(b"blob").unwrap();
    let parcel = pack(&vec![(segment.clone(), blob.clone(), segment.clone()); 1000]);
    assert_eq!(parcel.handles(), 2);
    let (here, there) = transfer::channel().unwrap();
    parcel.send(&here).unwrap();
    let copies: Vec<(Segment, Blob, Segment)> = unpack(receive(&there));
    assert_eq!(copies.len(), 1000);
    assert!(copies.iter().all(|copy| copy.0 == segment && copy.1 == blob && copy.2 == segment));
}

#[test]
fn any_format_will_do() {
    let parcel = Parcel::pack(|| serde_json::to_vec(&vec![null(), null()])).unwrap();
    assert_eq!(parcel.handles(), 2);
    let files: Vec<Fd<File>> = parcel.unpack(|bytes| serde_json::from_slice(bytes)).unwrap();
    assert_eq!(files.len(), 2);
}

#[test]
fn outside_of_a_transfer_a_handle_is_a_clear_error() {
    let segment = Segment::anonymous(&spec()).unwrap();
    for error in [
        serde_json::to_string(&segment).unwrap_err(),
        serde_json::to_string(&Blob::new(b"x").unwrap()).unwrap_err(),
        serde_json::to_string(&null()).unwrap_err(),
        serde_json::from_str::<Segment>("0").unwrap_err(),
        serde_json::from_str::<Fd<OwnedFd>>("0").unwrap_err(),
    ] {
        assert!(error.to_string().contains("handles travel in pipes and in arguments"), "{error}");
    }
    // One direction is no place for the other.
    let parcel = pack(&segment);
    parcel.unpack(|_| assert!(serde_json::to_string(&segment).is_err()));
    let refused = Parcel::pack(|| serde_json::from_str::<Segment>("0").map(|_| Vec::new()));
    assert!(refused.is_err());
}

#[test]
fn a_serialisation_that_fails_leaves_nothing_to_the_next() {
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("expected"))
        }
    }
    alone(|| {
        let before = descriptors();
        Parcel::pack(|| postcard::to_allocvec(&(null(), null(), Fails))).unwrap_err();
        assert_eq!(descriptors(), before);
        let parcel = pack(&null());
        assert_eq!(parcel.handles(), 1);
        drop(parcel);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_serialisation_that_panics_leaves_nothing_to_the_next() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("expected")
        }
    }
    alone(|| {
        let before = descriptors();
        let panic = || Parcel::pack(|| postcard::to_allocvec(&(null(), Panics)));
        assert!(std::panic::catch_unwind(panic).is_err());
        assert_eq!(descriptors(), before);
        assert!(serde_json::to_string(&null()).is_err(), "the transfer is over");

        // Within another one, that goes on.
        let outer = Parcel::pack(|| {
            let first = postcard::to_allocvec(&null())?;
            assert!(std::panic::catch_unwind(panic).is_err());
            Ok::<_, postcard::Error>([first, postcard::to_allocvec(&null())?].concat())
        });
        let outer = outer.unwrap();
        assert_eq!(outer.handles(), 2);
        let _: (Fd<File>, Fd<File>) = unpack(outer);
        assert_eq!(descriptors(), before);

        let parcel = pack(&null());
        let panics = std::panic::AssertUnwindSafe(|| parcel.unpack(|_| panic!("expected")));
        assert!(std::panic::catch_unwind(panics).is_err());
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn transfers_nest() {
    let (segment, blob) = (Segment::anonymous(&spec()).unwrap(), Blob::new(b"inner").unwrap());
    let mut inner = None;
    let outer = Parcel::pack(|| {
        let first = postcard::to_allocvec(&segment)?;
        inner = Some(pack(&(blob.clone(), null())));
        // Unpacking one while another is packed.
        let (copy, _): (Blob, Fd<File>) = unpack(inner.take().unwrap());
        inner = Some(pack(&copy));
        Ok::<_, postcard::Error>([first, postcard::to_allocvec(&null())?].concat())
    });
    let (outer, inner) = (outer.unwrap(), inner.unwrap());
    assert_eq!((outer.handles(), inner.handles()), (2, 1));
    let copy = outer.unpack(|bytes| {
        let copy: Blob = unpack(inner);
        let both: (Segment, Fd<File>) = postcard::from_bytes(bytes).unwrap();
        assert_eq!(both.0, segment);
        copy
    });
    assert_eq!(copy, blob);
}

#[test]
fn a_descriptor_is_owned_by_one_only() {
    let parcel = Parcel::pack(|| postcard::to_allocvec(&null())).unwrap();
    parcel.unpack(|bytes| {
        postcard::from_bytes::<Fd<OwnedFd>>(bytes).unwrap();
        assert!(postcard::from_bytes::<Fd<OwnedFd>>(bytes).is_err(), "it was taken");
        assert!(postcard::from_bytes::<Fd<OwnedFd>>(&[1]).is_err(), "it never came");
        let error = serde_json::from_str::<Fd<OwnedFd>>("4294967295").unwrap_err();
        assert!(error.to_string().contains("did not come with the message"), "{error}");
    });
    // A shared one can be owned as well: as a copy.
    let parcel = pack(&Blob::new(b"x").unwrap());
    parcel.unpack(|bytes| {
        let blob: Blob = postcard::from_bytes(bytes).unwrap();
        let _: Fd<OwnedFd> = postcard::from_bytes(bytes).unwrap();
        assert_eq!(&blob[..], b"x");
    });
}

#[test]
fn received_descriptors_are_close_on_exec() {
    let (here, there) = transfer::channel().unwrap();
    pack(&null()).send(&here).unwrap();
    let file: Fd<File> = unpack(receive(&there));
    for fd in [file.0.as_fd(), here.as_fd(), there.as_fd()] {
        assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
}

#[test]
fn when_the_peer_is_gone_sending_is_an_error_and_no_signal() {
    alone(|| {
        fork(|| {
            // As in a program that did not ignore it, which the Rust runtime does.
            // SAFETY: the default action.
            unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            for unread in [false, true] {
                let (here, there) = transfer::channel().unwrap();
                if unread {
                    pack(&1_u32).send(&here).unwrap();
                }
                drop(there);
                for value in ["short".to_owned(), "x".repeat(100_000)] {
                    let error = pack(&value).send(&here).unwrap_err();
                    assert_eq!(error.os().unwrap().kind(), std::io::ErrorKind::BrokenPipe, "{error}");
                }
            }
        })
        .join();
    });
}

#[test]
fn what_was_sent_arrives_also_when_the_sender_is_gone() {
    for unread in [false, true] {
        let (here, there) = transfer::channel().unwrap();
        if unread {
            // The kernel reports this loss to us before what is under way.
            pack(&0_u32).send(&there).unwrap();
        }
        for number in 1..=3_u32 {
            pack(&(number, null())).send(&here).unwrap();
        }
        drop(here);
        for number in 1..=3 {
            assert_eq!(unpack::<(u32, Fd<File>)>(receive(&there)).0, number);
        }
        assert!(Parcel::receive(&there).unwrap().is_none());
        assert!(Parcel::receive(&there).unwrap().is_none());
    }
}

#[test]
fn a_channel_that_takes_no_more_says_so_and_goes_on_later() {
    alone(|| {
        limit_descriptors(20_000);
        for count in [0, 300] {
            let (here, there) = transfer::channel().unwrap();
            let value = ("x".repeat(8000), (0..count).map(|_| null()).collect::<Vec<_>>());
            let parcel = pack(&value);
            let mut sent = 0;
            let error = loop {
                match parcel.send(&here) {
                    Ok(()) => sent += 1,
                    Err(error) => break error,
                }
            };
            assert_eq!(error.os().map(std::io::Error::kind), Some(std::io::ErrorKind::WouldBlock), "{error}");
            assert!(sent > 3);
            for _ in 0..sent {
                assert_eq!(unpack::<(String, Vec<Fd<File>>)>(receive(&there)).1.len(), count);
            }
            assert!(Parcel::receive(&there).unwrap().is_none());
            parcel.send(&here).unwrap();
            receive(&there);
        }
    });
}

#[test]
fn large_values_travel_through_shared_memory() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        for len in [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100 << 20] {
            let bytes: Vec<u8> = (0..len).map(|i: u32| (i ^ i >> 9) as u8).collect();
            let child = fork(|| {
                let parcel = Parcel::pack(|| Ok::<_, Error>(bytes.clone())).unwrap();
                parcel.send(&here).unwrap();
            });
            child.join();
            receive(&there).unpack(|received| assert!(received == bytes));
        }
    });
}

#[test]
fn a_received_parcel_can_be_passed_on() {
    let (here, there) = transfer::channel().unwrap();
    for text in ["short".to_owned(), "long".repeat(10_000)] {
        pack(&(null(), &text)).send(&here).unwrap();
        receive(&there).send(&here).unwrap();
        let parcel = receive(&there);
        assert_eq!(parcel.handles(), 1);
        assert_eq!(unpack::<(Fd<File>, String)>(parcel).1, text);
    }
}

#[test]
fn a_channel_end_travels_like_anything_else() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        let (inner, end) = transfer::channel().unwrap();
        let sent = Gate::new();
        let child = fork(|| {
            sent.pass();
            let end: Fd<OwnedFd> = unpack(receive(&there));
            pack(&"through the second").send(&end.0).unwrap();
        });
        pack(&Fd(end)).send(&here).unwrap();
        sent.open();
        child.join();
        assert_eq!(unpack::<String>(receive(&inner)), "through the second");
    });
}
