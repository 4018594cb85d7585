//! Whatever another process writes into a pipe's memory or sends through its socket: no crash, no descriptor left behind,
//! and calls with a deadline come back.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ipc_core::transfer::Parcel;
use ipc_core::{Fd, Segment, codec};
use ipc_crash_test::soak::Random;
use ipc_pipe::{Builder, Receiver, Sender, one_way, wait};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use rustix::net::{SendFlags, send};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::help::{LONG, alone, descriptors, fork, with_file_limit};

/// The words that the pipe is controlled by: the ring's, and its own.
const CONTROL: [(u64, u64); 2] = [(0, 560), (1024, 1088)];
/// No operation with a deadline of 100 us takes that long.
const LIMIT: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_micros(100);

/// Not even garbage makes a pipe take more memory than this.
const MEMORY: u64 = 16 << 20;

type Item = (u64, Option<Fd<File>>);

/// Both ends of a pipe.
struct Ends(Sender<Item>, Receiver<Item>);

/// Runs a test that may write anything to a pipe.
fn hostile(test: impl FnOnce()) {
    alone(|| with_file_limit(MEMORY, test));
}

fn null() -> Option<Fd<File>> {
    Some(Fd(File::open("/dev/null").unwrap()))
}

/// With messages of both kinds in it.
fn ends() -> Ends {
    let (sender, receiver) = Builder::new().ring(4096).one_way().unwrap();
    for number in 0..6 {
        sender.send((number, null().filter(|_| number % 2 == 1))).unwrap();
    }
    Ends(sender, receiver)
}

impl Ends {
    fn segment(&self) -> &Segment {
        self.1.segment().unwrap()
    }

    fn bytes(&self) -> &[AtomicU8] {
        self.segment().slice(0, 8192).unwrap()
    }

    /// Everything that can be done with a deadline.
    fn operate(&self) {
        let begin = Instant::now();
        let Ends(sender, receiver) = self;
        let _ = sender.try_send((1, None));
        let _ = sender.try_send((2, null()));
        let _ = sender.send_timeout((3, None), MOMENT);
        let _ = receiver.try_recv();
        let _ = receiver.recv_timeout(MOMENT);
        let _ = (receiver.poll(Some(Duration::ZERO)), receiver.poll(Some(MOMENT)));
        let _ = wait(&[receiver], Some(MOMENT));
        let _ = (receiver.incoming_stats(), sender.outgoing_stats(), sender.is_closed());
        for _ in 0..5 {
            if receiver.try_recv().is_err() {
                break;
            }
        }
        let _ = receiver.recv_timeout(MOMENT);
        assert!(begin.elapsed() < LIMIT, "took {:?}", begin.elapsed());
    }

    /// As they are, or as they will be again.
    fn remember(&self) -> Vec<u8> {
        self.bytes().iter().map(|byte| byte.load(Ordering::Relaxed)).collect()
    }

    fn restore(&self, remembered: &[u8]) {
        self.bytes().iter().zip(remembered).for_each(|(byte, value)| byte.store(*value, Ordering::Relaxed));
    }
}

fn control(step: usize) -> impl Iterator<Item = u64> {
    CONTROL.into_iter().flat_map(move |(start, end)| (start..end).step_by(step))
}

#[test]
fn garbage_in_any_byte_is_survived() {
    hostile(|| {
        let ends = ends();
        let pristine = ends.remember();
        for offset in control(1) {
            for value in [0, 0xff, 0x55, 1 << (offset % 8)] {
                ends.bytes()[offset as usize].store(value, Ordering::Relaxed);
                ends.operate();
                ends.restore(&pristine);
            }
        }
    });
}

#[test]
fn garbage_in_any_word_is_survived() {
    hostile(|| {
        let ends = ends();
        let pristine = ends.remember();
        let positions = [4096, 4104, 8184, 1 << 22, (1 << 34) - 8, 12];
        let counts = [0, 1, 7, u64::MAX, i64::MAX as u64, 1 << 62];
        // Of the first messages, too.
        for offset in control(8).chain((4096..4160).step_by(8)) {
            for value in positions.into_iter().chain(counts).flat_map(|value| [value, value | 1 << 63]) {
                ends.segment().at::<AtomicU64>(offset).unwrap().store(value, Ordering::Relaxed);
                ends.operate();
                ends.restore(&pristine);
            }
        }
    });
}

/// Always the same sequences of writes and operations.
#[test]
fn sequences_of_garbage_are_survived() {
    hostile(|| {
        let config = ProptestConfig {
            cases: 150,
            rng_seed: RngSeed::Fixed(5),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let offset = prop_oneof![4 => 0..560_u64 / 8, 1 => 1024 / 8..1088_u64 / 8, 2 => 512..540_u64];
        let value = prop_oneof![any::<u64>(), 0..16_u64, (3..35_u32).prop_map(|bit| 1 << bit)];
        let writes = prop::collection::vec((offset, value), 1..12);
        let run = |writes: Vec<(u64, u64)>| {
            let ends = ends();
            for (word, value) in writes {
                ends.segment().at::<AtomicU64>(word * 8).unwrap().store(value, Ordering::Relaxed);
                ends.operate();
            }
            Ok(())
        };
        TestRunner::new(config).run(&writes, run).unwrap();
    });
}

/// A handle taken apart as whoever receives it may: the memory and the socket.
fn taken_apart(handle: &impl Serialize) -> (OwnedFd, OwnedFd) {
    let (segment, socket): (Fd<OwnedFd>, Fd<OwnedFd>) = pack(handle).unpack(codec::decode_all).unwrap();
    (segment.0, socket.0)
}

fn pack(value: &impl Serialize) -> Parcel {
    let mut bytes = Vec::new();
    Parcel::pack(|| codec::encode(value, &mut bytes).map(|()| std::mem::take(&mut bytes))).unwrap()
}

/// Sends something that no honest process would.
fn send_garbage(socket: &OwnedFd, random: &mut Random) {
    let len = random.below(40) as usize;
    let mut bytes: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
    match random.below(4) {
        0 => drop(send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)),
        // Something like the head of a parcel.
        1 => {
            bytes.splice(..0, *b"ipc1\0\0\0\0\x01\0\0\0");
            let _ = send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
        }
        // Parcels with any number, before and behind those that belong to messages.
        _ => {
            let mut parcel = pack(&vec![null().unwrap(), null().unwrap()]);
            parcel.set_bytes(random.below(12).to_le_bytes().to_vec());
            let _ = parcel.send(socket);
        }
    }
}

#[test]
fn garbage_on_the_socket_is_survived_and_leaves_no_descriptor() {
    alone(|| {
        let before = descriptors();
        let mut random = Random::new(11);
        for _ in 0..60 {
            let ends = ends();
            let (memory, sending) = taken_apart(&ends.0);
            let (_, receiving) = taken_apart(&ends.1);
            for _ in 0..20 {
                send_garbage(&sending, &mut random);
                send_garbage(&receiving, &mut random);
                ends.operate();
            }
            drop((memory, sending, receiving, ends));
            assert_eq!(descriptors(), before);
        }
    });
}

#[test]
fn messages_go_on_behind_garbage_on_the_socket() {
    let (sender, receiver) = one_way::<Item>().unwrap();
    let (_, socket) = taken_apart(&sender);
    let mut random = Random::new(12);
    for number in 0..50 {
        // With numbers that are behind, as a killed sender leaves them.
        let mut parcel = pack(&null());
        parcel.set_bytes(0_u64.to_le_bytes().to_vec());
        parcel.send(&socket).unwrap();
        let _ = send(&socket, &[], SendFlags::DONTWAIT);
        let _ = send(&socket, &vec![1; random.below(9) as usize], SendFlags::DONTWAIT);
        sender.send((number, null())).unwrap();
        let (received, handle) = receiver.recv_timeout(LONG).unwrap();
        assert!(received == number && handle.is_some());
        assert!(receiver.try_recv().is_err());
    }
}

fn received<T: DeserializeOwned>(parcel: Parcel) -> Result<T, codec::CodecError> {
    parcel.unpack(codec::decode_all)
}

#[test]
fn what_is_no_end_of_a_pipe_is_refused() {
    let (sender, _receiver) = one_way::<u64>().unwrap();
    let (memory, socket) = taken_apart(&sender);
    let file = File::open("/dev/null").unwrap();
    let (memory, socket, file) = (Fd(memory), Fd(socket), Fd(file));
    assert!(received::<Sender<u64>>(pack(&(&memory, &socket))).is_ok());
    assert!(received::<Sender<u64>>(pack(&(&memory, &file))).is_err());
    assert!(received::<Sender<u64>>(pack(&(&file, &socket))).is_err());
    assert!(received::<Sender<u32>>(pack(&(&memory, &socket))).is_err(), "of another type");
    assert!(received::<Sender<u64>>(pack(&&memory)).is_err());
    // As a handle is nothing outside of a transfer.
    assert!(codec::encode(&sender, &mut Vec::new()).is_err());
    assert!(memory.0.as_fd().try_clone_to_owned().is_ok());
}

#[test]
fn garbage_under_processes_at_work_is_survived() {
    hostile(|| {
        let ends = ends();
        let workers: Vec<_> = (0..3)
            .map(|_| {
                fork(|| {
                    let begin = Instant::now();
                    while begin.elapsed() < Duration::from_secs(2) {
                        ends.operate();
                    }
                })
            })
            .collect();
        let (_, socket) = taken_apart(&ends.0);
        let mut random = Random::new(13);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(2) {
            let (start, end) = if random.below(4) == 0 { (1024, 1088) } else { (0, 560) };
            let offset = start + random.below(end - start);
            ends.bytes()[offset as usize].store(random.next() as u8, Ordering::Relaxed);
            if random.below(10) == 0 {
                send_garbage(&socket, &mut random);
            }
            std::thread::yield_now();
        }
        workers.into_iter().for_each(|worker| worker.join());
    });
}
