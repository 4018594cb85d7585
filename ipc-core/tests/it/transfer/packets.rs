//! Packets that no sender of ours makes: errors, no crash, and nothing stays open.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Blob, Fd, Segment};
use proptest::prelude::*;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use crate::help::{alone, descriptors, memfd, spec};

use super::receive;

/// Sends a packet as it stands.
fn send_raw(socket: &OwnedFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) {
    let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(253))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() {
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
    }
    sendmsg(socket, &[std::io::IoSlice::new(bytes)], &mut control, SendFlags::empty()).unwrap();
}

fn packet(flags: u32, count: u32, bytes: &[u8]) -> Vec<u8> {
    [b"ipc1", &flags.to_le_bytes()[..], &count.to_le_bytes(), bytes].concat()
}

#[test]
fn malformed_packets_are_errors_and_close_what_came_with_them() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        let null = File::open("/dev/null").unwrap();
        let (blob, unsealed) = (Blob::new(b"blob").unwrap(), memfd(b"unsealed", true));
        let (some, carrier) = transfer::channel().unwrap();
        let before = descriptors();
        let fds = |count| vec![null.as_fd(); count];
        let bad: Vec<(Vec<u8>, Vec<BorrowedFd<'_>>)> = vec![
            (vec![0], fds(0)),
            (b"ipc".to_vec(), fds(1)),
            (b"ipc1\0\0\0\0\0\0\0".to_vec(), fds(0)),
            (b"ipc2\0\0\0\0\0\0\0\0".to_vec(), fds(0)),
            (vec![0; 100], fds(3)),
            (vec![0xff; 20_000], fds(3)),
            (packet(2, 0, b""), fds(0)),
            (packet(u32::MAX, 0, b""), fds(0)),
            (packet(0, 1, b""), fds(0)),
            (packet(0, 0, b""), fds(1)),
            (packet(0, 2, b""), fds(1)),
            (packet(0, 1, b""), fds(2)),
            (packet(0, 253, b""), fds(1)),
            (packet(0, 254, b""), fds(0)),
            (packet(0, 254, b""), fds(1)),
            (packet(0, 254, b""), fds(253)),
            (packet(0, u32::MAX, b""), fds(0)),
            (packet(0, u32::MAX, b""), fds(1)),
            // A carrier without a load; a memory file that is none; a blob that can change.
            (packet(0, u32::MAX, b""), vec![carrier.as_fd()]),
            (packet(1, 0, b""), fds(0)),
            (packet(1, 1, b""), fds(1)),
            (packet(1, 1, b""), vec![unsealed.as_fd()]),
            (packet(1, 1, b""), vec![here.as_fd()]),
            (packet(0, 0, &[0; 16 * 1024 + 1]), fds(0)),
        ];
        for (bytes, fds) in &bad {
            send_raw(&here, bytes, fds);
            Parcel::receive(&there).unwrap_err();
            assert_eq!(descriptors(), before);
        }
        // A carrier with too little, with a message without descriptors, and one whose other end is gone.
        for (load, count) in [(fds(253), 254_u32), (fds(0), 254), (fds(1), u32::MAX)] {
            send_raw(&some, &[0], &load);
            send_raw(&here, &packet(0, count, b""), &[carrier.as_fd()]);
            Parcel::receive(&there).unwrap_err();
            assert_eq!(descriptors(), before);
        }
        drop(some);
        send_raw(&here, &packet(0, 254, b""), &[carrier.as_fd()]);
        Parcel::receive(&there).unwrap_err();
        // More in the carrier than was announced.
        let (some, other) = transfer::channel().unwrap();
        for _ in 0..3 {
            send_raw(&some, &[0], &fds(253));
        }
        send_raw(&here, &packet(0, 255, b""), &[other.as_fd()]);
        Parcel::receive(&there).unwrap_err();

        send_raw(&here, &packet(1, 1, b"ignored"), &[blob.as_fd()]);
        receive(&there).unpack(|bytes| assert_eq!(bytes, b"blob"));
        send_raw(&here, &packet(0, 0, b""), &[]);
        receive(&there).unpack(|bytes| assert_eq!(bytes, b""));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_packet_makes_a_receiver_crash_or_wait(
        good_magic in any::<bool>(),
        flags in prop_oneof![Just(0_u32), Just(1), any::<u32>()],
        count in prop_oneof![0_u32..6, 250_u32..256, any::<u32>()],
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        kinds in prop::collection::vec(0_usize..4, 0..5),
    ) {
        let (here, there) = transfer::channel().unwrap();
        let mut text = packet(flags, count, &bytes);
        if !good_magic {
            text[0] = bytes.len() as u8;
        }
        let null = File::open("/dev/null").unwrap();
        let blob = Blob::new(&bytes).unwrap();
        let segment = Segment::anonymous(&spec()).unwrap();
        let all = [null.as_fd(), blob.as_fd(), segment.as_fd(), here.as_fd()];
        let fds: Vec<_> = kinds.into_iter().map(|kind| all[kind]).collect();
        send_raw(&here, &text, &fds);
        if let Ok(Some(parcel)) = Parcel::receive(&there) {
            parcel.unpack(|bytes| {
                let _ = postcard::from_bytes::<(Segment, Blob, Fd<OwnedFd>)>(bytes);
                let _ = postcard::from_bytes::<Vec<Segment>>(bytes);
                let _ = postcard::from_bytes::<Vec<Blob>>(bytes);
                let _ = postcard::from_bytes::<Vec<Fd<OwnedFd>>>(bytes);
            });
        }
    }
}
