//! What does not fit its specification, or was written by strangers: errors, and no crash.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use ipc_core::{Cause, Segment, Spec};
use proptest::prelude::*;

use crate::help::{alone, bytes_of, memfd, received, spec, unique};

use super::reopened;

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
