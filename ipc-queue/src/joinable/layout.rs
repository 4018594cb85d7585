//! What lies in the shared memory of a `JoinableQueue`. This file is the specification; any change here changes
//! [`VERSION`].
//!
//! The segment begins with a [`Joinable`]. Behind it, the items lie one after the other in a *region*: the part of the
//! segment from 2^k to 2^(k+1). When it has no room left, those that still count are copied into another region, in order.
//!
//! An item is a *record*: three words, then its bytes, filled up to a multiple of 8. The words are its length in bytes; its
//! number, which grows from record to record; and its [`State`].
//!
//! A region begins with an *index* of the jobs that were out when it was copied, two words each: the record's number and
//! its position, so that who has a job finds its record again.
//!
//! Everything is changed by the holder of the lock alone, and in one way: new [`Numbers`] are written into the [`Slot`] that
//! is not valid, and one store of `turn` makes them valid. A slot also says what is to be written elsewhere, at most one
//! record's state and one cell, and that is done afterwards; again, if its writer may have died before it did.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, AtomicU64};

use ipc_core::SharedLayout;
use ipc_lock::raw::{RawLock, Waiters};

use crate::layout::PARTICIPANTS;

/// Version of the layouts in this file.
pub(crate) const VERSION: u32 = 1;

/// The smallest region, which begins behind the structs of this file.
pub(crate) const MIN_CLASS: u32 = 14;

/// The largest region that a queue begins with.
pub(crate) const MAX_BASE: u32 = 16;

/// Bytes of a record before those of its item.
pub(crate) const RECORD_HEAD: u64 = 24;
/// Where a record has its number and its state.
pub(crate) const RECORD_NUMBER: u64 = 8;
pub(crate) const RECORD_STATE: u64 = 16;
/// Bytes of an entry of the index.
pub(crate) const INDEX_ENTRY: u64 = 16;

/// `JoinableQueue<T>`.
#[repr(C)]
pub(crate) struct Joinable {
    /// How often something has changed. The lowest bit says which of `slots` is valid.
    pub(crate) turn: AtomicU64,
    /// Items that it can hold, or `UNBOUNDED`.
    pub(crate) capacity: AtomicU64,
    /// The classes of the regions that may have memory, as bits.
    pub(crate) regions: AtomicU64,
    /// The class of the region that is always there.
    pub(crate) base: AtomicU32,
    /// Not 0: nothing comes in any more.
    pub(crate) closed: AtomicU32,
    /// A job that was handed out so often is not handed out again; 0 if there is no limit.
    pub(crate) max_deliveries: AtomicU32,
    /// Milliseconds of the monotonic clock, cut off, when somebody last looked after those who have jobs.
    pub(crate) looked: AtomicU32,
    pub(crate) lock: RawLock,
    /// The same, when a region was last taken.
    pub(crate) grown: AtomicU32,
    pub(crate) slots: [Slot; 2],
    /// Waited for by who gets.
    pub(crate) ready: Signal,
    /// Waited for by who puts.
    pub(crate) room: Signal,
    /// Waited for by who joins.
    pub(crate) finished: Signal,
    /// How many jobs each participant has: its identity << 32 | the number.
    pub(crate) cells: [AtomicU64; PARTICIPANTS as usize],
}

/// The [`Numbers`] of the queue, and what is to be written when they have become valid.
#[repr(C, align(128))]
pub(crate) struct Slot {
    pub(crate) numbers: [AtomicU64; NUMBERS],
    /// The position of a record's state, and the state; 0 if there is none to write.
    pub(crate) state_at: AtomicU64,
    pub(crate) state: AtomicU64,
    /// The cell of the participant whose identity it has; 0 if there is none to write.
    pub(crate) cell: AtomicU64,
}

pub(crate) const NUMBERS: usize = 13;

/// What there is to know of the records without looking at them. In a slot, in this order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Numbers {
    /// Where the records begin in their region, behind the index.
    pub(crate) first: u64,
    /// The first record that counts.
    pub(crate) head: u64,
    /// No record that is ready and was handed out before lies before this.
    pub(crate) returned_from: u64,
    /// The first record that never was handed out; nor were those behind it.
    pub(crate) fresh: u64,
    /// Where the next record goes.
    pub(crate) tail: u64,
    /// Records that are ready.
    pub(crate) ready: u64,
    /// Those of them that lie before `fresh`.
    pub(crate) returned: u64,
    /// Records that somebody has.
    pub(crate) leased: u64,
    /// Records that are rejected.
    pub(crate) rejected: u64,
    /// Bytes of all these.
    pub(crate) live: u64,
    /// The number of the next record.
    pub(crate) next: u64,
    /// How often records have moved.
    pub(crate) epoch: u64,
    /// How often everything was done.
    pub(crate) rounds: u64,
}

impl Numbers {
    /// As words.
    #[inline]
    pub(crate) fn to_words(self) -> [u64; NUMBERS] {
        [
            self.first,
            self.head,
            self.returned_from,
            self.fresh,
            self.tail,
            self.ready,
            self.returned,
            self.leased,
            self.rejected,
            self.live,
            self.next,
            self.epoch,
            self.rounds,
        ]
    }

    #[inline]
    pub(crate) fn from_words(words: [u64; NUMBERS]) -> Numbers {
        let [
            first,
            head,
            returned_from,
            fresh,
            tail,
            ready,
            returned,
            leased,
            rejected,
            live,
            next,
            epoch,
            rounds,
        ] = words;
        Numbers {
            first,
            head,
            returned_from,
            fresh,
            tail,
            ready,
            returned,
            leased,
            rejected,
            live,
            next,
            epoch,
            rounds,
        }
    }

    /// Jobs that are not done.
    #[inline]
    pub(crate) fn unfinished(&self) -> u64 {
        self.ready.saturating_add(self.leased)
    }
}

/// What has become of a record: two bits of [`Kind`], 31 of how often it was handed out, 31 of the identity of who has it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State {
    pub(crate) kind: Kind,
    pub(crate) deliveries: u32,
    /// 0 if nobody has it.
    pub(crate) holder: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// To be handed out.
    Ready,
    /// Handed out.
    Leased,
    /// Done: counts no more.
    Done,
    /// Never to be handed out again.
    Rejected,
}

const LOW: u64 = (1 << 31) - 1;

impl State {
    #[inline]
    pub(crate) fn word(self) -> u64 {
        (self.kind as u64) << 62 | (u64::from(self.deliveries) & LOW) << 31 | u64::from(self.holder) & LOW
    }

    #[inline]
    pub(crate) fn from_word(word: u64) -> State {
        let kind = [Kind::Ready, Kind::Leased, Kind::Done, Kind::Rejected][(word >> 62) as usize];
        State { kind, deliveries: (word >> 31 & LOW) as u32, holder: (word & LOW) as u32 }
    }
}

/// Slept on by those who wait for something. All but `word` and `missed` is changed within the lock alone.
#[repr(C, align(64))]
pub(crate) struct Signal {
    /// Changes when it has happened and somebody may sleep.
    pub(crate) word: AtomicU32,
    /// How many sleep, or are about to. Too many if one was killed.
    pub(crate) sleepers: AtomicU32,
    /// How often `sleepers` has been set to 0.
    pub(crate) cleared: AtomicU32,
    /// How often in a row there was nobody to wake although `sleepers` said so.
    pub(crate) missed: AtomicU32,
    /// Who sleeps.
    pub(crate) waiters: Waiters,
}

// SAFETY: repr(C) and made of atomics only.
unsafe impl SharedLayout for Joinable {}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(Joinable, lock) == 40);
    assert!(offset_of!(Joinable, slots) == 128);
    assert!(size_of::<Slot>() == 128);
    assert!(offset_of!(Joinable, ready) == 384);
    assert!(size_of::<Signal>() == 128);
    assert!(offset_of!(Joinable, cells) == 768);
    assert!(size_of::<Joinable>() <= 1 << MIN_CLASS);
};
