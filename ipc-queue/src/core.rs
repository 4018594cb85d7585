//! A queue of records: what all handles have in common.

use std::sync::atomic::Ordering;
use std::time::Instant;

use ipc_core::{Cause, Error, Place, Result, Segment, Spec};
use ipc_lock::raw::{Acquired, Slept, TimedOut, identity};

use crate::error::{GetError, GetTimeoutError, PutError, PutTimeoutError, TryGetError, TryPutError};
use crate::layout::{self, CLOSED, End, MAX_CLASS, PARTICIPANTS, UNBOUNDED, VERSION};
use crate::region::{KEPT_CLASS, Region};
use crate::ring::{Reader, Record, Refused, Ring, Writer, milliseconds};
use crate::wait::Waiter;

/// A handle without a type.
#[derive(Clone)]
pub(crate) struct Core(Place<layout::Queue>);

/// How long a verb waits.
#[derive(Clone, Copy)]
pub(crate) enum Patient {
    Not,
    Until(Option<Instant>),
}

/// Why nothing was put.
#[derive(Debug)]
pub(crate) enum PutRefused {
    Full,
    TimedOut,
    Closed,
    Fault(Error),
}

/// Why nothing was got.
#[derive(Debug)]
pub(crate) enum GetRefused {
    Empty,
    TimedOut,
    Closed,
    Fault(Error),
}

impl From<Error> for GetRefused {
    fn from(error: Error) -> GetRefused {
        GetRefused::Fault(error)
    }
}

/// Asks whether the other side is gone. `None`: that does not matter.
pub(crate) type Gone = Option<fn(&Core) -> bool>;

impl Core {
    pub(crate) fn spec<R>(type_name: &str, f: impl FnOnce(&Spec<'_>) -> R) -> R {
        f(&Spec::new("queue", VERSION).type_name(type_name).participants(PARTICIPANTS))
    }

    /// Makes one: with a name, if there is one.
    pub(crate) fn create(type_name: &str, name: Option<&str>, capacity: Option<usize>) -> Result<Core> {
        let capacity = capacity.map_or(UNBOUNDED, |capacity| capacity as u64);
        if capacity == 0 {
            let object = name.map_or("queue".into(), |name| format!("queue `{name}`"));
            let expected = "1 or more".to_owned();
            let cause = Cause::Mismatch { property: "capacity", found: "0".to_owned(), expected };
            return Err(Error::new("create", object, cause));
        }
        // 64 bytes an item are a guess; it grows if they are more.
        let base = Region::with_len(capacity.saturating_mul(64).min(1 << 16)).expect("not that large");
        let mut core = None;
        let init = |segment: &Segment| {
            let place = Place::<layout::Queue>::new(segment, 0)?;
            Ring { queue: &place, segment }.init(capacity, base);
            core = Some(Core(place));
            Ok(())
        };
        Core::spec(type_name, |spec| {
            let spec = spec.len(base.end()).max_len(2 << MAX_CLASS);
            match name {
                Some(name) => Segment::create(name, &spec, init).map(drop),
                None => Segment::anonymous(&spec).and_then(|segment| {
                    let mut init = init;
                    init(&segment)
                }),
            }
        })?;
        Ok(core.expect("made by init"))
    }

    pub(crate) fn open(type_name: &str, name: &str) -> Result<Core> {
        let segment =
            Core::spec(type_name, |spec| Segment::open(name, &spec.len(size_of::<layout::Queue>() as u64)))?;
        Core::at(&segment)
    }

    pub(crate) fn receive(type_name: &str, segment: &Segment) -> Result<Core> {
        Core::spec(type_name, |spec| segment.expect(&spec.len(size_of::<layout::Queue>() as u64)))?;
        Core::at(segment)
    }

    fn at(segment: &Segment) -> Result<Core> {
        Place::new(segment, 0).map(Core)
    }

    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        self.0.segment()
    }

    #[inline]
    pub(crate) fn queue(&self) -> &layout::Queue {
        &self.0
    }

    #[inline]
    fn ring(&self) -> Ring<'_> {
        Ring { queue: &self.0, segment: self.segment() }
    }

    #[inline]
    fn me(&self) -> u32 {
        identity(self.segment()).id().word()
    }

    /// Takes the lock of an end, with the regions in order.
    #[inline]
    fn enter<'a>(&'a self, end: &'a End, me: u32, patient: Patient) -> Result<Entered<'a>, TimedOut> {
        let acquired = match patient {
            Patient::Until(None) => end.lock.lock(self.segment(), me),
            Patient::Until(Some(deadline)) => end.lock.lock_inner(self.segment(), me, || Some(deadline))?,
            Patient::Not => end.lock.lock_inner(self.segment(), me, || Some(Instant::now()))?,
        };
        let entered = Entered { ring: self.ring(), end };
        if acquired == Acquired::OwnerDied {
            self.ring().repair(end);
        }
        Ok(entered)
    }

    /// Finds room for a record of `len` bytes, waiting for it.
    #[inline]
    pub(crate) fn begin_put(
        &self,
        len: usize,
        patient: Patient,
        gone: Gone,
    ) -> Result<Putting<'_>, PutRefused> {
        let (queue, me) = (self.queue(), self.me());
        let mut waiter = None;
        loop {
            let entered = self.enter(&queue.tail, me, patient).map_err(|_| late_put(patient))?;
            let closed = queue.closed.load(Ordering::Relaxed);
            if closed != 0 && (closed & CLOSED != 0 || gone.is_some()) {
                return Err(PutRefused::Closed);
            }
            let mut writer = self.ring().writer();
            match writer.push(len) {
                Ok(at) => return Ok(Putting { writer, at, count: 1, entered }),
                Err(Refused::Fault(error)) => return Err(PutRefused::Fault(error)),
                Err(Refused::Full) => drop(entered),
            }
            let Patient::Until(deadline) = patient else { return Err(PutRefused::Full) };
            let new = || Waiter::new(self.segment(), me, &queue.head, deadline, gone.is_some());
            let slept = waiter.get_or_insert_with(new).wait(|| self.has_room() || self.is_closed());
            if slept != Slept::Woken && gone.is_some_and(|gone| gone(self)) {
                return Err(PutRefused::Closed);
            }
            if slept == Slept::TimedOut && !self.has_room() {
                return Err(PutRefused::TimedOut);
            }
        }
    }

    /// Finds the next record, waiting for it.
    #[inline]
    pub(crate) fn begin_get(&self, patient: Patient, gone: Gone) -> Result<Getting<'_>, GetRefused> {
        let (queue, me) = (self.queue(), self.me());
        let mut waiter = None;
        loop {
            // Asked before whether there is something: what was put before the end is to be got.
            let closed = self.is_closed();
            let entered = self.enter(&queue.head, me, patient).map_err(|_| late_get(patient))?;
            let mut reader = self.ring().reader();
            if let Some(record) = reader.next()? {
                return Ok(Getting { reader, record, count: 0, entered });
            }
            self.trim(me, reader);
            drop(entered);
            if closed {
                return Err(GetRefused::Closed);
            }
            let Patient::Until(deadline) = patient else {
                return Err(if gone.is_some_and(|gone| gone(self)) && !self.has_items() {
                    GetRefused::Closed
                } else {
                    GetRefused::Empty
                });
            };
            let new = || Waiter::new(self.segment(), me, &queue.tail, deadline, gone.is_some());
            let slept = waiter.get_or_insert_with(new).wait(|| self.has_items() || self.is_closed());
            if !self.has_items() {
                // Asked again whether there is something: what was put last is to be got.
                if gone.is_some_and(|gone| gone(self)) && !self.has_items() {
                    return Err(GetRefused::Closed);
                }
                if slept == Slept::TimedOut {
                    return Err(GetRefused::TimedOut);
                }
            }
        }
    }

    /// Gives the memory of a large backlog back when it is gone, but not ten times a second.
    fn trim(&self, me: u32, reader: Reader<'_>) {
        let queue = self.queue();
        let is_large = queue.regions.load(Ordering::Relaxed) >> (KEPT_CLASS + 1) != 0;
        let is_due = || milliseconds().wrapping_sub(queue.grown.load(Ordering::Relaxed)) > 100;
        if !is_large || !is_due() {
            return;
        }
        let Some(acquired) = queue.tail.lock.try_lock(self.segment(), me) else { return };
        let _entered = Entered { ring: self.ring(), end: &queue.tail };
        if acquired == Acquired::OwnerDied {
            self.ring().repair(&queue.tail);
        }
        // What cannot be given back is used again.
        let _ = reader.trim();
    }

    #[inline]
    pub(crate) fn has_items(&self) -> bool {
        self.len() > 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.queue().closed.load(Ordering::Acquire) & CLOSED != 0
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.queue().capacity.load(Ordering::Relaxed)
    }

    /// Bytes of all regions in use.
    pub(crate) fn memory(&self) -> u64 {
        self.queue().regions.load(Ordering::Relaxed)
    }

    pub(crate) fn has_room(&self) -> bool {
        self.len() < self.capacity()
    }

    /// Items that are there at one moment during the call.
    #[inline]
    pub(crate) fn len(&self) -> u64 {
        let queue = self.queue();
        let mut put = queue.tail.passed();
        // Unless it is put into all the time.
        for _ in 0..1000 {
            let got = queue.head.passed();
            let now = queue.tail.passed();
            if now == put {
                return put.saturating_sub(got);
            }
            put = now;
        }
        put.saturating_sub(queue.head.passed())
    }

    /// Changes what stands in the way of puts, of which none is under way meanwhile; `false` if one was stopped.
    pub(crate) fn change_closed(&self, patient: Patient, change: impl FnOnce(u32) -> u32) -> bool {
        let queue = self.queue();
        let Ok(entered) = self.enter(&queue.tail, self.me(), patient) else { return false };
        let before = queue.closed.load(Ordering::Relaxed);
        let after = change(before);
        queue.closed.store(after, Ordering::Release);
        drop(entered);
        if after != before {
            queue.tail.wake_all();
            queue.head.wake_all();
        }
        true
    }
}

impl PutRefused {
    pub(crate) fn put<T>(self, value: T) -> PutError<T> {
        match self {
            PutRefused::Fault(error) => PutError::Fault(value, error),
            // It was ready to wait for ever.
            _ => PutError::Closed(value),
        }
    }

    pub(crate) fn try_put<T>(self, value: T) -> TryPutError<T> {
        match self {
            PutRefused::Fault(error) => TryPutError::Fault(value, error),
            PutRefused::Closed => TryPutError::Closed(value),
            PutRefused::Full | PutRefused::TimedOut => TryPutError::Full(value),
        }
    }

    pub(crate) fn put_timeout<T>(self, value: T) -> PutTimeoutError<T> {
        match self {
            PutRefused::Fault(error) => PutTimeoutError::Fault(value, error),
            PutRefused::Closed => PutTimeoutError::Closed(value),
            PutRefused::Full | PutRefused::TimedOut => PutTimeoutError::Timeout(value),
        }
    }
}

impl GetRefused {
    pub(crate) fn get(self) -> GetError {
        match self {
            GetRefused::Fault(error) => GetError::Fault(error),
            _ => GetError::Closed,
        }
    }

    pub(crate) fn try_get(self) -> TryGetError {
        match self {
            GetRefused::Fault(error) => TryGetError::Fault(error),
            GetRefused::Closed => TryGetError::Closed,
            GetRefused::Empty | GetRefused::TimedOut => TryGetError::Empty,
        }
    }

    pub(crate) fn get_timeout(self) -> GetTimeoutError {
        match self {
            GetRefused::Fault(error) => GetTimeoutError::Fault(error),
            GetRefused::Closed => GetTimeoutError::Closed,
            GetRefused::Empty | GetRefused::TimedOut => GetTimeoutError::Timeout,
        }
    }
}

fn late_put(patient: Patient) -> PutRefused {
    if matches!(patient, Patient::Not) { PutRefused::Full } else { PutRefused::TimedOut }
}

fn late_get(patient: Patient) -> GetRefused {
    if matches!(patient, Patient::Not) { GetRefused::Empty } else { GetRefused::TimedOut }
}

/// Records on their way in. Dropped without [`commit`](Putting::commit), there are none.
pub(crate) struct Putting<'a> {
    pub(crate) writer: Writer<'a>,
    /// Where the bytes of the last record go.
    pub(crate) at: u64,
    count: u32,
    entered: Entered<'a>,
}

impl Putting<'_> {
    /// Finds room for another record.
    #[inline]
    pub(crate) fn push(&mut self, len: usize) -> Result<(), Refused> {
        self.at = self.writer.push(len)?;
        self.count += 1;
        Ok(())
    }

    /// Lets the others see the records.
    #[inline]
    pub(crate) fn commit(mut self) {
        self.writer.commit();
        let (tail, count) = (self.entered.end, self.count);
        drop(self.entered);
        tail.moved(count);
    }
}

/// Records on their way out. Dropped without [`commit`](Getting::commit), they are all still there.
pub(crate) struct Getting<'a> {
    reader: Reader<'a>,
    /// The last one that was read.
    pub(crate) record: Record,
    count: u32,
    entered: Entered<'a>,
}

impl Getting<'_> {
    /// Takes the record out of the queue.
    #[inline]
    pub(crate) fn take(&mut self) {
        self.reader.commit();
        self.count += 1;
    }

    /// Goes on to the next record, if there is one. What is wrong with it is told to whoever gets it.
    #[inline]
    pub(crate) fn next(&mut self) -> bool {
        let next = self.reader.next().unwrap_or(None);
        next.is_some_and(|record| {
            self.record = record;
            true
        })
    }

    /// Tells those who wait for room.
    #[inline]
    pub(crate) fn finish(self) {
        let (head, count) = (self.entered.end, self.count);
        drop(self.entered);
        head.moved(count);
    }
}

/// An end's lock, released when this is dropped.
struct Entered<'a> {
    ring: Ring<'a>,
    end: &'a End,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.end.moving.load(Ordering::Relaxed) != 0 {
            // What was begun was not carried through.
            self.ring.repair(self.end);
        }
        self.end.lock.unlock();
    }
}
