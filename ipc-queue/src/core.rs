//! A queue of records: what all handles have in common.

use std::io;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ipc_core::{Error, Identity, Place, Result, Segment, Spec};
use ipc_lock::raw::{Acquired, Party, Slept, TimedOut, identity};

use crate::error::{GetError, GetTimeoutError, PutError, PutTimeoutError, TryGetError, TryPutError};
use crate::layout::{self, CLOSED, End, MAX_CLASS, PARTICIPANTS, UNBOUNDED, VERSION};
use crate::region::{KEPT_CLASS, Region};
use crate::ring::{Reader, Record, Refused, Ring, Writer, milliseconds};
use crate::wait::{Pace, Waiter};

/// A handle without a type.
#[derive(Debug)]
pub(crate) struct Core {
    place: Place<layout::Queue>,
    put_pace: Pace,
    get_pace: Pace,
}

impl Clone for Core {
    fn clone(&self) -> Core {
        Core::new(self.place.clone())
    }
}

/// How long a verb waits.
#[derive(Debug, Clone, Copy)]
pub enum Patient {
    /// Not at all; but for others that are in the middle of a copy.
    Not,
    /// Until then; for ever if there is no time.
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
        let capacity = check_capacity("queue", name, capacity)?;
        // 64 bytes an item are a guess; it grows if they are more.
        let base = Region::with_len(capacity.saturating_mul(64).min(1 << 16)).expect("not that large");
        let mut core = None;
        let init = |segment: &Segment| {
            let place = Place::<layout::Queue>::new(segment, 0)?;
            Ring { queue: &place, segment }.init(capacity, base);
            core = Some(Core::new(place));
            Ok(())
        };
        Core::spec(type_name, |spec| make(spec, name, base, init))?;
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

    pub(crate) fn at(segment: &Segment) -> Result<Core> {
        Place::new(segment, 0).map(Core::new)
    }

    fn new(place: Place<layout::Queue>) -> Core {
        Core { place, put_pace: Pace::default(), get_pace: Pace::default() }
    }

    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        self.place.segment()
    }

    #[inline]
    pub(crate) fn queue(&self) -> &layout::Queue {
        &self.place
    }

    #[inline]
    pub(crate) fn ring(&self) -> Ring<'_> {
        Ring { queue: &self.place, segment: self.segment() }
    }

    #[inline]
    fn me(&self) -> u32 {
        self.identity().id().word()
    }

    #[inline]
    fn identity(&self) -> Identity<'_> {
        identity(self.segment())
    }

    /// Takes the lock of an end, with the regions in order.
    #[inline]
    fn enter(&self, end: &End, me: u32, patient: Patient) -> Result<(), TimedOut> {
        let acquired = match patient {
            Patient::Until(None) => end.lock.lock(self.segment(), me),
            Patient::Until(Some(deadline)) => end.lock.lock_inner(self.segment(), me, || Some(deadline))?,
            Patient::Not => end.lock.lock_inner(self.segment(), me, || Some(Instant::now()))?,
        };
        if acquired == Acquired::OwnerDied {
            self.repair(end);
        }
        Ok(())
    }

    /// Releases the lock of an end.
    #[inline]
    fn leave(&self, end: &End) {
        if end.moving.load(Ordering::Relaxed) != 0 {
            // What was begun was not carried through.
            self.repair(end);
        }
        end.lock.unlock();
    }

    /// Runs `f` within the lock of an end; `None` if that is not to be had.
    pub(crate) fn within<R>(&self, end: &End, patient: Patient, f: impl FnOnce() -> R) -> Option<R> {
        self.enter(end, self.me(), patient).ok()?;
        let result = f();
        self.leave(end);
        Some(result)
    }

    /// The same, if the lock is free.
    pub(crate) fn within_free<R>(&self, end: &End, f: impl FnOnce() -> R) -> Option<R> {
        if end.lock.try_lock(self.segment(), self.me())? == Acquired::OwnerDied {
            self.repair(end);
        }
        let result = f();
        self.leave(end);
        Some(result)
    }

    #[cold]
    fn repair(&self, end: &End) {
        if ptr::eq(end, &self.queue().tail) { self.ring().repair_tail() } else { self.ring().repair_head() }
    }

    /// Gives the memory of a large backlog back when it is gone, but not ten times a second.
    fn trim(&self, me: u32, reader: &mut Reader<'_>) {
        let queue = self.queue();
        let is_large = queue.regions.load(Ordering::Relaxed) >> (KEPT_CLASS + 1) != 0;
        let is_due = || milliseconds().wrapping_sub(queue.grown.load(Ordering::Relaxed)) > 100;
        if !is_large || !is_due() {
            return;
        }
        if let Some(acquired) = queue.tail.lock.try_lock(self.segment(), me) {
            if acquired == Acquired::OwnerDied {
                self.repair(&queue.tail);
            }
            // What cannot be given back is used again.
            let _ = reader.trim();
            self.leave(&queue.tail);
        }
    }

    #[inline]
    pub(crate) fn has_items(&self) -> bool {
        self.ring().has_items()
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
        self.room() > 0
    }

    fn room(&self) -> u64 {
        self.capacity().saturating_sub(self.count())
    }

    /// Items that are there at one moment during the call.
    pub(crate) fn len(&self) -> u64 {
        let lock = &self.queue().tail.lock;
        if lock.owner().is_some_and(|owner| self.segment().is_dead(owner)) {
            // It may have put something and not counted it.
            if self.enter(&self.queue().tail, self.me(), Patient::Not).is_ok() {
                self.leave(&self.queue().tail);
            }
        }
        self.count()
    }

    /// The same, but what a process was killed with may be missing.
    #[inline]
    fn count(&self) -> u64 {
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
        if self.enter(&queue.tail, self.me(), patient).is_err() {
            return false;
        }
        let before = queue.closed.load(Ordering::Relaxed);
        let after = change(before);
        queue.closed.store(after, Ordering::Release);
        self.leave(&queue.tail);
        if after != before {
            queue.tail.wake_all();
            queue.head.wake_all();
        }
        true
    }
}

/// The bound as it is written down.
pub(crate) fn check_capacity(kind: &str, name: Option<&str>, capacity: Option<usize>) -> Result<u64> {
    if capacity == Some(0) {
        let object = name.map_or(kind.into(), |name| format!("{kind} `{name}`"));
        let none = io::Error::new(io::ErrorKind::InvalidInput, "a capacity is 1 or more");
        return Err(Error::new("create", object, none));
    }
    Ok(capacity.map_or(UNBOUNDED, |capacity| capacity as u64))
}

/// Makes the segment of a queue whose first region is `base`: with a name, if there is one.
pub(crate) fn make(
    spec: &Spec<'_>,
    name: Option<&str>,
    base: Region,
    init: impl FnOnce(&Segment) -> Result<()>,
) -> Result<()> {
    let spec = spec.len(base.end()).max_len(2 << MAX_CLASS);
    match name {
        Some(name) => Segment::create(name, &spec, init).map(drop),
        None => Segment::anonymous(&spec).and_then(|segment| init(&segment)),
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

fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

fn late_put(patient: Patient) -> PutRefused {
    if matches!(patient, Patient::Not) { PutRefused::Full } else { PutRefused::TimedOut }
}

fn late_get(patient: Patient) -> GetRefused {
    if matches!(patient, Patient::Not) { GetRefused::Empty } else { GetRefused::TimedOut }
}

/// Records on their way in, within the tail's lock. Dropped without [`commit`](Putting::commit), there are none.
///
/// It is made before it is used, and stays where it is: to move it would cost more than all else, since the memory is
/// still busy with the record before.
pub(crate) struct Putting<'a> {
    core: &'a Core,
    writer: Writer<'a>,
    /// Where the bytes of the last record go.
    pub(crate) at: u64,
    count: u32,
    /// Of this process, while it is within the lock. A forked child has a copy of this, but not of the lock.
    inside: Option<Identity<'a>>,
}

impl<'a> Putting<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Core) -> Putting<'a> {
        Putting { core, writer: core.ring().writer(), at: 0, count: 0, inside: None }
    }

    /// Finds room for a record of `len` bytes, waiting for it.
    #[inline]
    pub(crate) fn begin(&mut self, len: usize, patient: Patient, gone: Gone) -> Result<(), PutRefused> {
        let me = self.core.identity();
        match self.try_begin(me, len, patient, gone) {
            Err(PutRefused::Full) => self.wait(me, len, patient, gone),
            result => result,
        }
    }

    /// As [`begin`](Putting::begin), if there is room; `patient` is about the lock alone.
    #[inline]
    pub(crate) fn begin_now(&mut self, len: usize, patient: Patient) -> Result<(), PutRefused> {
        self.try_begin(self.core.identity(), len, patient, None)
    }

    #[inline]
    pub(crate) fn segment(&self) -> &'a Segment {
        self.core.segment()
    }

    #[inline]
    fn try_begin(
        &mut self,
        me: Identity<'a>,
        len: usize,
        patient: Patient,
        gone: Gone,
    ) -> Result<(), PutRefused> {
        let queue = self.core.queue();
        self.core.enter(&queue.tail, me.id().word(), patient).map_err(|_| late_put(patient))?;
        self.inside = Some(me);
        let closed = queue.closed.load(Ordering::Relaxed);
        if closed != 0 && (closed & CLOSED != 0 || gone.is_some()) {
            return self.refuse(PutRefused::Closed);
        }
        self.writer.begin();
        match self.writer.push(len) {
            Ok(at) => {
                (self.at, self.count) = (at, 1);
                Ok(())
            }
            Err(Refused::Full) => self.refuse(PutRefused::Full),
            Err(Refused::Fault(error)) => self.refuse(PutRefused::Fault(error)),
        }
    }

    #[cold]
    fn refuse(&mut self, refused: PutRefused) -> Result<(), PutRefused> {
        self.leave();
        Err(refused)
    }

    #[cold]
    fn wait(&mut self, me: Identity<'a>, len: usize, patient: Patient, gone: Gone) -> Result<(), PutRefused> {
        let (core, Patient::Until(deadline)) = (self.core, patient) else { return Err(PutRefused::Full) };
        let mut waiter =
            Waiter::new(core.segment(), me.id().word(), &core.queue().head, deadline, gone.is_some());
        loop {
            let slept = waiter.wait(&core.put_pace, || core.has_room() || core.is_closed(), || core.room());
            if slept != Slept::Woken && gone.is_some_and(|gone| gone(core)) {
                return Err(PutRefused::Closed);
            }
            if slept == Slept::TimedOut && !core.has_room() {
                return Err(PutRefused::TimedOut);
            }
            match self.try_begin(me, len, patient, gone) {
                // There was room, but somebody else was faster.
                Err(PutRefused::Full) if has_passed(deadline) => return Err(PutRefused::TimedOut),
                Err(PutRefused::Full) => {}
                result => return result,
            }
        }
    }

    /// Finds room for another record.
    #[inline]
    pub(crate) fn push(&mut self, len: usize) -> Result<(), Refused> {
        self.at = self.writer.push(len)?;
        self.count += 1;
        Ok(())
    }

    #[inline]
    fn is_inside(&self) -> bool {
        self.inside.is_some_and(Identity::is_current)
    }

    /// Lets the others see the records.
    #[inline]
    pub(crate) fn commit(&mut self) {
        if self.show() {
            self.core.queue().tail.moved(self.count);
        }
    }

    /// The same, but wakes nobody; whether it did.
    #[inline]
    pub(crate) fn show(&mut self) -> bool {
        if !self.is_inside() {
            return false;
        }
        self.writer.commit();
        self.leave();
        true
    }

    #[inline]
    fn leave(&mut self) {
        self.inside = None;
        self.core.leave(&self.core.queue().tail);
    }
}

impl Drop for Putting<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_inside() {
            self.leave();
        }
    }
}

/// Records on their way out, within the head's lock. Dropped without [`take`](Getting::take), they are still there.
/// Stays where it is, as [`Putting`].
pub(crate) struct Getting<'a> {
    core: &'a Core,
    reader: Reader<'a>,
    count: u32,
    /// Of this process, while it is within the lock. A forked child has a copy of this, but not of the lock.
    inside: Option<Identity<'a>>,
}

impl<'a> Getting<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Core) -> Getting<'a> {
        Getting { core, reader: core.ring().reader(), count: 0, inside: None }
    }

    /// Finds the next record, waiting for it.
    #[inline]
    pub(crate) fn begin(&mut self, patient: Patient, gone: Gone) -> Result<Record, GetRefused> {
        let me = self.core.identity();
        match self.try_begin(me, patient) {
            Err(GetRefused::Empty) => self.wait(me, patient, gone),
            result => result,
        }
    }

    /// As [`begin`](Getting::begin), if there is a record; `patient` is about the lock alone.
    #[inline]
    pub(crate) fn begin_now(&mut self, patient: Patient) -> Result<Record, GetRefused> {
        self.try_begin(self.core.identity(), patient)
    }

    #[inline]
    pub(crate) fn segment(&self) -> &'a Segment {
        self.core.segment()
    }

    #[inline]
    fn try_begin(&mut self, me: Identity<'a>, patient: Patient) -> Result<Record, GetRefused> {
        let word = me.id().word();
        self.core.enter(&self.core.queue().head, word, patient).map_err(|_| late_get(patient))?;
        self.inside = Some(me);
        self.reader.begin();
        match self.reader.next() {
            Ok(Some(record)) => Ok(record),
            Ok(None) => {
                self.core.trim(word, &mut self.reader);
                self.leave();
                Err(GetRefused::Empty)
            }
            Err(error) => {
                self.leave();
                Err(GetRefused::Fault(error))
            }
        }
    }

    #[cold]
    fn wait(&mut self, me: Identity<'a>, patient: Patient, gone: Gone) -> Result<Record, GetRefused> {
        let core = self.core;
        let is_over = || !core.has_items() && (core.is_closed() || gone.is_some_and(|gone| gone(core)));
        let Patient::Until(deadline) = patient else { return self.last_try(me, patient, is_over()) };
        let mut waiter =
            Waiter::new(core.segment(), me.id().word(), &core.queue().tail, deadline, gone.is_some());
        loop {
            let slept = waiter.wait(&core.get_pace, || core.has_items() || core.is_closed(), || core.count());
            if slept != Slept::TimedOut {
                match self.try_begin(me, patient) {
                    Err(GetRefused::Empty) => {}
                    result => return result,
                }
            }
            let is_over = is_over();
            if is_over || slept == Slept::TimedOut || has_passed(deadline) {
                return self.last_try(me, patient, is_over);
            }
        }
    }

    /// `is_over`: asked before this, whether there is an end. What was put before that is to be got.
    fn last_try(&mut self, me: Identity<'a>, patient: Patient, is_over: bool) -> Result<Record, GetRefused> {
        self.try_begin(me, patient).map_err(|refused| match refused {
            GetRefused::Empty if is_over => GetRefused::Closed,
            GetRefused::Empty => late_get(patient),
            refused => refused,
        })
    }

    #[inline]
    fn is_inside(&self) -> bool {
        self.inside.is_some_and(Identity::is_current)
    }

    /// Takes the record out of the queue.
    #[inline]
    pub(crate) fn take(&mut self) {
        if self.is_inside() {
            self.reader.commit();
            self.count += 1;
        }
    }

    /// Goes on to the next record, if there is one. What is wrong with it is told to whoever gets it.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Record> {
        if self.is_inside() { self.reader.next().unwrap_or(None) } else { None }
    }

    /// Tells those who wait for room.
    #[inline]
    pub(crate) fn finish(&mut self) {
        if self.end() {
            self.core.queue().head.moved(self.count);
        }
    }

    /// The same, but tells nobody; whether it did.
    #[inline]
    pub(crate) fn end(&mut self) -> bool {
        let inside = self.is_inside();
        if inside {
            self.leave();
        }
        inside
    }

    #[inline]
    fn leave(&mut self) {
        self.inside = None;
        self.core.leave(&self.core.queue().head);
    }
}

impl Drop for Getting<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_inside() {
            self.leave();
        }
    }
}
