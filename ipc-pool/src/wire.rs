//! What the parent and its workers say to each other.
//!
//! A worker gets *orders* through a queue of its own: a head of 24 bytes, then the arguments of one item after the other.
//! An order that is large, or has handles in it, travels through the worker's socket, and the queue has its head alone.
//! All workers put *reports* into one queue: a head in the family's encoding, then the results, or the head alone if they
//! are in the socket.
//!
//! Each item stands behind its length, so that one which cannot be decoded does not spoil the next.

use std::thread;

use ipc_core::codec::{self, CodecError};
use ipc_process::Panic;
use ipc_queue::{Queue, Reservation};
use serde::{Deserialize, Serialize};

/// More bytes travel through the socket, in memory of their own.
pub(crate) const LARGE: usize = 256 << 10;

/// What stands before the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Order {
    /// Of the first item; the others follow it.
    pub(crate) number: u64,
    /// Where in the program its function lies.
    pub(crate) function: u64,
    /// 0: there will be no more orders.
    pub(crate) items: u32,
    pub(crate) flags: u32,
}

/// The worker notes when it begins each item.
pub(crate) const TIMED: u32 = 1;
/// All of it is in the socket. In place of a function it has how many had come there with it: not the number, since a task
/// that was taken back may come once more.
pub(crate) const FETCH: u32 = 2;
/// Only in the socket: no items, but the numbers of functions that will be asked for. They are believed here alone:
/// nobody but the parent can write to the socket, while the queue is memory that others may have spoilt.
pub(crate) const FUNCTIONS: u32 = 4;
/// Of an order that was taken back, when its arguments were in the socket already: they are to be taken out of it, so that
/// they keep no room there and no handles open. In place of a function it has how many came into the socket before it was
/// put.
pub(crate) const SKIP: u32 = 8;

/// The number of the initializer, which is not counted.
pub(crate) const INITIALIZER: u64 = u64::MAX;

pub(crate) const ORDER: usize = 24;

impl Order {
    pub(crate) const STOP: Order = Order { number: 0, function: 0, items: 0, flags: 0 };

    pub(crate) fn to_bytes(self) -> [u8; ORDER] {
        let mut bytes = [0; ORDER];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.function.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.items.to_le_bytes());
        bytes[20..].copy_from_slice(&self.flags.to_le_bytes());
        bytes
    }

    /// The order, and the arguments behind it.
    pub(crate) fn parse(bytes: &[u8]) -> Option<(Order, &[u8])> {
        let (number, rest) = bytes.split_first_chunk()?;
        let (function, rest) = rest.split_first_chunk()?;
        let (items, rest) = rest.split_first_chunk()?;
        let (flags, rest) = rest.split_first_chunk()?;
        let order = Order {
            number: u64::from_le_bytes(*number),
            function: u64::from_le_bytes(*function),
            items: u32::from_le_bytes(*items),
            flags: u32::from_le_bytes(*flags),
        };
        Some((order, rest))
    }
}

/// Who reports what.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) place: u32,
    /// Of the worker: those that had this place before were others.
    pub(crate) generation: u64,
    pub(crate) what: What,
}

impl Report {
    /// Of nobody: wakes the one who takes reports.
    pub(crate) const NEWS: Report = Report { place: u32::MAX, generation: 0, what: What::Skipped };
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum What {
    /// The worker has started.
    Ready,
    /// What was to be skipped is out of the socket.
    Skipped,
    /// It could not, since its initializer failed.
    NotReady(Failure),
    /// Results of that many items, from that number on, follow or are in the socket. It took so many nanoseconds.
    Done { number: u64, items: u32, busy: u64, fetch: bool },
}

/// Puts a report, and what follows it, where `reserve` finds room for them.
pub(crate) fn put_report<'q, E>(
    report: &Report,
    results: &[u8],
    reserve: impl FnOnce(usize) -> Result<Reservation<'q>, E>,
) -> Result<(), E> {
    let mut head = Vec::with_capacity(64);
    codec::encode(report, &mut head).expect("a report has no handles and no maps");
    let mut room = reserve(head.len() + results.len())?;
    room.write_at(0, &head);
    room.write_at(head.len(), results);
    room.commit();
    Ok(())
}

/// Why an item has no result, as its worker says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Failure {
    Panicked(Panic),
    Arguments(String),
    Result(String),
    /// What an initializer returned.
    Refused(String),
}

/// Marks the length of an item that is a [`Failure`].
const FAILED: u64 = 1 << 63;
pub(crate) const LENGTH: usize = 8;

/// Appends an item, which `encode` writes. If it cannot, there is none.
#[inline]
pub(crate) fn push<E>(
    bytes: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH]);
    let encoded = encode(bytes);
    match encoded {
        Ok(()) => finish(bytes, start, 0),
        Err(_) => bytes.truncate(start),
    }
    encoded
}

/// Appends an item that failed.
pub(crate) fn push_failure(bytes: &mut Vec<u8>, failure: &Failure) {
    let start = bytes.len();
    bytes.extend_from_slice(&[0; LENGTH]);
    codec::encode(failure, bytes).expect("text can be encoded");
    finish(bytes, start, FAILED);
}

#[inline]
fn finish(bytes: &mut [u8], start: usize, mark: u64) {
    let len = (bytes.len() - start - LENGTH) as u64 | mark;
    bytes[start..start + LENGTH].copy_from_slice(&len.to_le_bytes());
}

/// One item: its bytes, and whether they are a [`Failure`].
pub(crate) struct Item<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) failed: bool,
}

impl Item<'_> {
    pub(crate) fn failure(&self) -> Result<Failure, CodecError> {
        codec::decode_all(self.bytes)
    }
}

/// The next item, and what is behind it; `None` if the bytes are none.
#[inline]
pub(crate) fn pop(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let len = u64::from_le_bytes(*len);
    let (bytes, rest) = rest.split_at_checked(usize::try_from(len & !FAILED).ok()?)?;
    Some((Item { bytes, failed: len & FAILED != 0 }, rest))
}

/// Lets others run for a moment until something is there. The other side is often on the same CPU, woken there: it
/// answers at once if it may run, while to spin would only keep it waiting.
pub(crate) fn look_for(queue: &Queue<[u8]>) {
    (0..LOOKS).take_while(|_| queue.is_empty()).for_each(|_| thread::yield_now());
}

const LOOKS: u32 = 16;
