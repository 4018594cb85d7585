//! Where the workers note what they do, in memory that they share with their parent: so it knows what a worker was at when
//! it died.
//!
//! Each worker has a note of its own, and writes to it before each item and after it. The parent reads it.

use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Place, Result, Segment, Spec};

/// A note, in cache lines of its own.
type Lines = [AtomicU64; 16];

const LEN: u64 = size_of::<Lines>() as u64;
/// The item that was begun last: its number + 1, and whether it is being run in the lowest bit. 0: none was.
const ITEM: usize = 0;
/// When it was begun, if it is timed: nanoseconds on the monotonic clock.
const SINCE: usize = 1;

fn spec(places: u32) -> Spec<'static> {
    // The parent and all workers, and those that are just replaced.
    Spec::new("pool", 1).len(u64::from(places) * LEN).participants((2 * places + 8).min(4095))
}

/// The notes of all workers.
pub(crate) fn create(places: u32) -> Result<Segment> {
    Segment::anonymous(&spec(places))
}

/// The note of one worker.
#[derive(Debug)]
pub(crate) struct Note(Place<Lines>);

/// What a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Of the item.
    pub(crate) number: u64,
    /// It is not over, as far as the worker came to say.
    pub(crate) running: bool,
}

impl Note {
    pub(crate) fn new(board: &Segment, place: u32) -> Result<Note> {
        Place::new(board, u64::from(place) * LEN).map(Note)
    }

    /// By the worker: this item is begun now.
    #[inline]
    pub(crate) fn begin(&self, number: u64, timed: bool) {
        if timed {
            self.0[SINCE].store(now(), Ordering::Relaxed);
        }
        self.0[ITEM].store((number + 1) << 1 | 1, Ordering::Release);
    }

    /// By the worker: that item is over.
    #[inline]
    pub(crate) fn end(&self, number: u64) {
        self.0[ITEM].store((number + 1) << 1, Ordering::Release);
    }

    /// By the parent: what the worker has begun last.
    pub(crate) fn begun(&self) -> Option<Begun> {
        let word = self.0[ITEM].load(Ordering::Acquire);
        Some(Begun { number: (word >> 1).checked_sub(1)?, running: word & 1 != 0 })
    }

    /// By the parent: for how many nanoseconds it has been running, if it is timed.
    pub(crate) fn elapsed(&self) -> u64 {
        now().saturating_sub(self.0[SINCE].load(Ordering::Relaxed))
    }

    /// By the parent: for the next worker.
    pub(crate) fn clear(&self) {
        self.0[ITEM].store(0, Ordering::Release);
    }
}

fn now() -> u64 {
    ipc_core::monotonic().as_nanos() as u64
}
