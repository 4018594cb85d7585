//! The ring of a queue by itself, for crates that lay out shared memory and bring their own way to wait.
//!
//! A [`Ring`] lies at the start of a segment. It takes records of bytes, each whole or not at all, whoever is killed
//! meanwhile; any number of processes write, any number read, in turns. Nothing here waits for room or for a record,
//! and nobody is woken: [`waiting_for_records`](Ring::waiting_for_records) and [`waiting_for_room`](Ring::waiting_for_room)
//! are words in which those who wait can be noted, next to what is written anyway.
//!
//! Unlike a queue's, a full ring is not left for a larger one, unless a record would take more than half of it. So any
//! size goes through, and what is unread takes no more memory than was asked for, and than eight of the largest.
//!
//! ```
//! use ipc_core::{Segment, Spec};
//! use ipc_queue::raw::{Getting, Patient, Putting, Ring};
//!
//! let spec = Spec::new("example", 1).len(Ring::LEN).max_len(Ring::MAX_LEN).participants(8);
//! let ring = Ring::create(&Segment::anonymous(&spec)?, 4096)?;
//! let mut putting = Putting::new(&ring);
//! assert!(putting.begin(5, Patient::Not)?);
//! putting.write(0, b"hello")?;
//! putting.commit();
//!
//! let mut getting = Getting::new(&ring);
//! let record = getting.begin(Patient::Not)?.expect("it was put");
//! assert_eq!(record.to_vec(), b"hello");
//! getting.take();
//! # Ok::<(), ipc_core::Error>(())
//! ```

use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicU32;

use ipc_core::{Result, Segment};
use ipc_lock::raw::Waiters;

use crate::bytes::Bytes;
use crate::core::Core;
use crate::layout::{MAX_CLASS, MIN_CLASS, ONE_REGION};
use crate::memory;
use crate::refused::{GetRefused, PutRefused};
use crate::region::Region;
use crate::{getting, putting};

pub use crate::core::Patient;
pub use crate::values::Scratch;
pub use crate::wait::Pace;

/// A ring of records.
#[derive(Debug, Clone)]
pub struct Ring(Core);

impl Ring {
    /// How long the segment can become.
    pub const MAX_LEN: u64 = 2 << MAX_CLASS;

    /// The part of the segment that the ring leaves to whoever builds on it.
    pub const FREE: Range<u64> = 1024..1 << MIN_CLASS;

    /// How long the segment is at first: what the ring needs is added when it is made.
    pub const LEN: u64 = 1 << MIN_CLASS;

    /// Lays out an empty one with room for so many bytes, rounded up to a power of two, at the start of a fresh segment.
    /// At least 4 KiB, at most 1 GiB.
    ///
    /// # Errors
    /// The segment is too short, or cannot become so long; no memory left.
    pub fn create(segment: &Segment, bytes: u64) -> Result<Ring> {
        let base = Region::with_len(bytes.min(1 << 30)).expect("not that large");
        segment.reserve(base.start()..base.end())?;
        let core = Core::at(segment)?;
        core.ring().init(ONE_REGION, base);
        Ok(Ring(core))
    }

    /// The one at the start of that segment.
    ///
    /// # Errors
    /// The segment is too short.
    pub fn at(segment: &Segment) -> Result<Ring> {
        Core::at(segment).map(Ring)
    }

    /// The segment that it lies in.
    #[inline]
    pub fn segment(&self) -> &Segment {
        self.0.segment()
    }

    /// Whether there is something to get, be it an error. Without a lock.
    #[inline]
    pub fn has_records(&self) -> bool {
        self.0.has_items()
    }

    /// Records that are there at one moment during the call.
    pub fn records(&self) -> u64 {
        self.0.len()
    }

    /// How many records there are to get at least, up to so many: where the ring has just been enlarged, there may be more.
    /// Without a lock, and without taking from the CPU of who puts one what he writes to meanwhile.
    pub fn available(&self, most: u64) -> u64 {
        self.0.ring().available(most)
    }

    /// Bytes of memory that it has for records.
    pub fn memory(&self) -> u64 {
        self.0.memory()
    }

    /// How many records have been taken out so far, cut off: if it changes, there is more room.
    #[inline]
    pub fn taken(&self) -> u64 {
        self.0.queue().head.passed()
    }

    /// How many records have been put in so far.
    #[inline]
    pub fn put(&self) -> u64 {
        self.0.queue().tail.passed()
    }

    /// A word next to what is written when a record is put: 0 until somebody notes there that he waits for one.
    #[inline]
    pub fn waiting_for_records(&self) -> &AtomicU32 {
        &self.0.queue().tail.sleepers
    }

    /// A word next to what is written when a record is taken: 0 until somebody notes there that he waits for room.
    #[inline]
    pub fn waiting_for_room(&self) -> &AtomicU32 {
        &self.0.queue().head.sleepers
    }

    /// Where processes list themselves that wait for a record.
    pub fn getters(&self) -> &Waiters {
        &self.0.queue().tail.waiters
    }

    /// Where processes list themselves that wait for room.
    pub fn putters(&self) -> &Waiters {
        &self.0.queue().head.waiters
    }

    /// Runs `f` while nobody gets anything; `None` if somebody did all the time that one is ready to wait.
    pub fn while_nobody_gets<R>(&self, patient: Patient, f: impl FnOnce() -> R) -> Option<R> {
        self.0.within(&self.0.queue().head, patient, f)
    }

    /// Runs `f` if nobody puts anything now, and meanwhile nobody does.
    pub fn if_nobody_puts<R>(&self, f: impl FnOnce() -> R) -> Option<R> {
        self.0.within_free(&self.0.queue().tail, f)
    }
}

/// A record on its way in. Meanwhile nobody else can put one. Dropped without [`commit`](Putting::commit), there is none.
///
/// It is used where it was made: to move it would cost more than all else.
pub struct Putting<'a>(putting::Putting<'a>);

impl<'a> Putting<'a> {
    /// To be begun.
    #[inline]
    pub fn new(ring: &'a Ring) -> Putting<'a> {
        Putting(putting::Putting::new(&ring.0))
    }

    /// Finds room for a record of `len` bytes; whether there is. `patient` is about others that are just putting one.
    ///
    /// # Errors
    /// No memory left, with both sizes; a damaged ring.
    #[inline]
    pub fn begin(&mut self, len: usize, patient: Patient) -> Result<bool> {
        match self.0.begin_now(len, patient) {
            Ok(()) => self.0.segment().bytes(self.0.at, len).map(|_| true),
            Err(PutRefused::Fault(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// Copies bytes to that place within the record.
    ///
    /// # Errors
    /// They reach beyond the end of the segment.
    #[inline]
    pub fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        memory::write(self.0.segment(), self.0.at + offset as u64, bytes)
    }

    /// Lets the others see the record, and put theirs. Its number: when so many are [taken](Ring::taken), it is.
    #[inline]
    pub fn commit(&mut self) -> u64 {
        self.0.show();
        self.0.passed()
    }
}

/// A record on its way out. Meanwhile nobody else can get one. Dropped without [`take`](Getting::take), it is still there.
///
/// It is used where it was made, as [`Putting`].
pub struct Getting<'a>(getting::Getting<'a>);

impl<'a> Getting<'a> {
    /// To be begun.
    #[inline]
    pub fn new(ring: &'a Ring) -> Getting<'a> {
        Getting(getting::Getting::new(&ring.0))
    }

    /// Finds the next record, if there is one. `patient` is about others that are just getting one.
    ///
    /// # Errors
    /// A damaged ring.
    #[inline]
    pub fn begin(&mut self, patient: Patient) -> Result<Option<Bytes<'a>>> {
        match self.0.begin_now(patient) {
            Ok(record) => Bytes::new(self.0.segment(), record).map(Some),
            Err(GetRefused::Fault(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Takes the record out of the ring, and lets others get theirs.
    #[inline]
    pub fn take(&mut self) {
        self.0.take();
        self.0.end();
    }
}

impl fmt::Debug for Putting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Putting").finish_non_exhaustive()
    }
}

impl fmt::Debug for Getting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Getting").finish_non_exhaustive()
    }
}
