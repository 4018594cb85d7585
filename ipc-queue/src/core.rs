//! A queue of records: what all handles have in common.

use std::io;
use std::ptr;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ipc_core::{Error, Identity, Place, Result, Segment, Spec};
use ipc_lock::raw::{Acquired, Party, TimedOut, identity};

use crate::layout::{self, CLOSED, End, MAX_CLASS, ONE_REGION, PARTICIPANTS, UNBOUNDED, VERSION};
use crate::region::{KEPT_CLASS, Region};
use crate::ring::{Reader, Ring, milliseconds};
use crate::wait::Pace;

/// A handle without a type.
#[derive(Debug)]
pub(crate) struct Core {
    place: Place<layout::Queue>,
    pub(crate) put_pace: Pace,
    pub(crate) get_pace: Pace,
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
    pub(crate) fn me(&self) -> u32 {
        self.identity().id().word()
    }

    #[inline]
    pub(crate) fn identity(&self) -> Identity<'_> {
        identity(self.segment())
    }

    /// Takes the lock of an end, with the regions in order.
    #[inline]
    pub(crate) fn enter(&self, end: &End, me: u32, patient: Patient) -> Result<(), TimedOut> {
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
    pub(crate) fn leave(&self, end: &End) {
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
    pub(crate) fn trim(&self, reader: &mut Reader<'_>) {
        let queue = self.queue();
        let is_large = queue.regions.load(Ordering::Relaxed) >> (KEPT_CLASS + 1) != 0;
        let is_due = || milliseconds().wrapping_sub(queue.grown.load(Ordering::Relaxed)) > 100;
        if !is_large || !is_due() {
            return;
        }
        // What cannot be given back is used again.
        self.within_free(&queue.tail, || drop(reader.trim()));
    }

    /// Within the tail's lock: if nothing is left, has both ends go back to the first region, so that all memory is free
    /// for what comes next; whether they did.
    #[cold]
    pub(crate) fn rewind(&self) -> bool {
        let layout::Queue { head, tail, .. } = self.queue();
        let before = tail.position();
        self.within_free(head, || {
            let mut reader = self.ring().reader();
            reader.begin();
            let _ = reader.trim();
        });
        tail.position() != before
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

    pub(crate) fn room(&self) -> u64 {
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
    pub(crate) fn count(&self) -> u64 {
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
    // The numbers above that mean something else; so many do not fit anyway.
    Ok(capacity.map_or(UNBOUNDED, |capacity| (capacity as u64).min(ONE_REGION - 1)))
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
