//! What lies in shared memory. This file is the specification; any change here changes [`VERSION`].
//!
//! The segment begins with a [`Queue`]. Behind it, the items lie in *regions*: the region of class `k` is the part of the
//! segment from 2^k to 2^(k+1), so that a position tells its region by its highest bit. Each region is a ring. The one of
//! class `base` is always there; others come and go with the backlog.
//!
//! An item is a *record*: a word with its length in bytes and [`PRESENT`] set, then the bytes, filled up to a multiple of
//! 8. A record never crosses the end of its region. A word with [`JUMP`] set says instead where the next record is: at the
//! start of the same region or of another. Behind the last record the word is 0.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, AtomicU64};

use ipc_core::SharedLayout;
use ipc_lock::raw::{RawLock, Waiters};

/// Version of the layouts in this file.
pub(crate) const VERSION: u32 = 1;

/// How many processes can take part in one queue.
pub(crate) const PARTICIPANTS: u32 = 1024;

/// The smallest region, which begins behind the structs of this file.
pub(crate) const MIN_CLASS: u32 = 12;
/// The largest region: 8 GiB.
pub(crate) const MAX_CLASS: u32 = 33;

/// Marks the word of a record.
pub(crate) const PRESENT: u64 = 1 << 62;

/// Marks a word that leads to the next record.
pub(crate) const JUMP: u64 = 1 << 63;

/// The capacity of a queue without a bound.
pub(crate) const UNBOUNDED: u64 = u64::MAX;
/// The capacity of a ring that is bound by its bytes instead.
pub(crate) const ONE_REGION: u64 = u64::MAX - 1;

/// Where items come in, or go out. Changed by the holder of its lock alone.
///
/// A change is prepared in the invalid one of `at`, and one store of `state` makes it valid. At the head that is all that
/// counts: there is nothing to repair after a kill but a region that nobody would use. The tail follows what the words of
/// the records say, which is where it finds its way after a kill.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct End {
    /// Items that have passed here << 1 | which of `at` is valid.
    pub(crate) state: AtomicU64,
    /// Positions of the next record.
    pub(crate) at: [AtomicU64; 2],
    /// At the tail: what was last seen of the head, its `state` and its position.
    pub(crate) seen: AtomicU64,
    pub(crate) seen_at: AtomicU64,
    /// In the low half, how many sleep until this end moves, or are about to; or more: the killed are not taken off at
    /// once. Above that, in a byte each, how many have come, and how often the count was set to 0.
    pub(crate) sleepers: AtomicU32,
    /// The class of a region that is being added to the regions in use, or taken off; 0 if none.
    pub(crate) moving: AtomicU32,
    pub(crate) lock: RawLock,
    /// Slept on; changes when this end has moved and somebody may sleep.
    pub(crate) signal: AtomicU32,
    /// Who sleeps until this end moves.
    pub(crate) waiters: Waiters,
}

/// `Queue<T>`.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Queue {
    pub(crate) tail: End,
    pub(crate) head: End,
    /// Items that it can hold, or [`UNBOUNDED`].
    pub(crate) capacity: AtomicU64,
    /// The classes of the regions in use, as bits.
    pub(crate) regions: AtomicU64,
    /// The class of the region that is always there.
    pub(crate) base: AtomicU32,
    /// Not 0: nothing comes in any more. See `CLOSED` and `NO_CONSUMERS`.
    pub(crate) closed: AtomicU32,
    /// Not 0 once there has been a `Producer`.
    pub(crate) had_producers: AtomicU32,
    /// Not 0 once there has been a `Consumer`.
    pub(crate) had_consumers: AtomicU32,
    /// Milliseconds of the monotonic clock, cut off, when a region was last added.
    pub(crate) grown: AtomicU32,
}

/// In `closed`: the queue was closed, for good.
pub(crate) const CLOSED: u32 = 1;
/// In `closed`: the last `Consumer` is gone. A `Producer` is refused, until there is another consumer.
pub(crate) const NO_CONSUMERS: u32 = 2;

// SAFETY: repr(C) and made of atomics only.
unsafe impl SharedLayout for Queue {}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(End, lock) == 48);
    // What a put or a get touches lies in one line.
    assert!(offset_of!(End, lock) + 8 <= 64);
    assert!(offset_of!(End, signal) == 120);
    assert!(size_of::<End>() == 256);
    assert!(offset_of!(Queue, capacity) == 512);
    // What lies behind belongs to those who build on the ring.
    assert!(size_of::<Queue>() <= 1024 && 1024 < 1 << MIN_CLASS);
};
