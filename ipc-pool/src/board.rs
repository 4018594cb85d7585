//! Where the workers note what they do, in memory that they share with their parent: so it knows what a worker was at when
//! it died.
//!
//! Each worker has a note of its own, and writes to it before each item and after it. The parent reads it.

use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Place, Result, Segment, Spec};

/// A note, in cache lines of its own.
type Lines = [AtomicU64; 16];

const LEN: u64 = size_of::<Lines>() as u64;
/// The item that was begun last: its number + 1, and in the two lowest bits what became of it. 0: none was.
const ITEM: usize = 0;
const RUNNING: u64 = 1;
/// The worker is being killed for what it did not do in time.
const SENTENCED: u64 = 2;
const BITS: u32 = 2;
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
pub(crate) struct Begun(u64);

impl Begun {
    /// Of the item that was begun last.
    pub(crate) fn number(self) -> Option<u64> {
        (self.0 >> BITS).checked_sub(1)
    }

    /// That one is not over, as far as the worker came to say.
    pub(crate) fn is_running(self) -> bool {
        self.0 & RUNNING != 0
    }
}

impl Note {
    pub(crate) fn new(board: &Segment, place: u32) -> Result<Note> {
        Place::new(board, u64::from(place) * LEN).map(Note)
    }

    /// By the worker: this item is begun now. False if it is timed and the worker is sentenced: it is not begun then.
    #[inline]
    pub(crate) fn begin(&self, number: u64, timed: bool) -> bool {
        if timed {
            self.0[SINCE].store(now(), Ordering::Relaxed);
        }
        self.turn((number + 1) << BITS | RUNNING, timed)
    }

    /// By the worker: that item is over. False if it is timed and the worker is sentenced: it does not count then.
    #[inline]
    pub(crate) fn end(&self, number: u64, timed: bool) -> bool {
        self.turn((number + 1) << BITS, timed)
    }

    /// Only those that are timed look whether there is a sentence: it makes each item a little slower.
    #[inline]
    fn turn(&self, to: u64, timed: bool) -> bool {
        if !timed {
            self.0[ITEM].store(to, Ordering::Release);
            return true;
        }
        let before = self.0[ITEM].load(Ordering::Relaxed);
        before & SENTENCED == 0
            && self.0[ITEM].compare_exchange(before, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// By the parent: what the worker has begun last.
    pub(crate) fn begun(&self) -> Begun {
        Begun(self.0[ITEM].load(Ordering::Acquire))
    }

    /// By the parent: what is timed is neither begun nor ended any more. False if the worker has got on since.
    pub(crate) fn sentence(&self, begun: Begun) -> bool {
        let sentenced = begun.0 | SENTENCED;
        self.0[ITEM].compare_exchange(begun.0, sentenced, Ordering::AcqRel, Ordering::Relaxed).is_ok()
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
