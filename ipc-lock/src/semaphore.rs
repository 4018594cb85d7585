//! A number of permits, which come back when their holder dies.

use std::fmt;
use std::time::{Duration, Instant};

use ipc_core::{Participant, Result};

use crate::error::{OverRelease, Timeout, WouldBlock};
use crate::layout;
use crate::lock::{Acquired, TimedOut};
use crate::object::{Home, Object, handle, refused};
use crate::party::Party;
use crate::report;
use crate::sync::{self, Ordering};
use crate::wait::{Lookout, Slept};

/// A semaphore between processes: so many permits, each held by a process until it gives it back.
///
/// **If a process dies**, the permits that it held come back: within 100 ms, as a rule in less than 5, if somebody waits for one, at the next
/// `acquire` otherwise.
///
/// Python's style, in which any process may release what another has acquired, is [`Permit::forget`] and
/// [`release`](Semaphore::release): a forgotten permit belongs to nobody, and does not come back by itself.
///
/// ```
/// let places = ipc_lock::Semaphore::new(3)?;
/// let permit = places.acquire();
/// assert_eq!(places.available(), 2);
/// drop(permit);
/// assert_eq!(places.available(), 3);
/// # Ok::<(), ipc_core::Error>(())
/// ```
pub struct Semaphore {
    object: Object<layout::Semaphore>,
}

/// A permit of a [`Semaphore`], given back when this is dropped.
#[doc(alias = "release")]
#[must_use = "the permit is given back when this is dropped"]
#[derive(Debug)]
pub struct Permit<'a> {
    semaphore: &'a Semaphore,
    /// Who acquired it: a forked child has a copy of this, but not the permit.
    me: u32,
}

handle!(Semaphore, layout::Semaphore, "semaphore");

/// The most permits that there can be.
const MAX: u32 = i32::MAX as u32;

impl layout::Semaphore {
    fn init(&self, permits: u32, bound: u32) {
        self.total.store(permits, Ordering::Relaxed);
        self.available.store(permits, Ordering::Relaxed);
        self.bound.store(bound, Ordering::Relaxed);
    }

    /// Takes the inner lock, with what it protects in order.
    #[inline]
    fn enter<P: Party>(&self, party: &P, me: u32) {
        if self.lock.lock(party, me) == Acquired::OwnerDied {
            self.repair();
        }
    }

    /// As `enter`, but gives up at the deadline if somebody was stopped within.
    #[inline]
    fn enter_until<P: Party>(
        &self,
        party: &P,
        me: u32,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<(), Timeout> {
        match self.lock.lock_inner(party, me, deadline) {
            Ok(Acquired::Clean) => Ok(()),
            Ok(Acquired::OwnerDied) => {
                self.repair();
                Ok(())
            }
            Err(TimedOut) => Err(Timeout),
        }
    }

    /// Computes what is derived: what was killed half way is thereby done or undone. Doing it twice does no harm.
    #[cold]
    fn repair(&self) {
        let held = self.permits.all().fold(0_u32, |sum, (_, count)| sum.saturating_add(count));
        self.available.store(self.total.load(Ordering::Relaxed).saturating_sub(held), Ordering::Relaxed);
    }

    /// Leaves the inner lock; then wakes one sleeper if permits came free.
    #[inline]
    fn leave(&self, freed: bool) {
        let wake = freed && self.sleepers.load(Ordering::Relaxed) != 0;
        if wake {
            self.signal.fetch_add(1, Ordering::Relaxed);
        }
        self.lock.unlock();
        if wake {
            sync::wake(&self.signal, 1);
        }
    }

    /// Within the lock: takes a permit, if there is one.
    #[inline]
    fn take(&self, me: u32) -> bool {
        let available = self.available.load(Ordering::Relaxed);
        if available == 0 {
            return false;
        }
        // This is the moment at which the permit is taken; the rest follows from it.
        if self.permits.raise_locked(me) {
            // The permits of one that is gone were in the way, and are free.
            self.repair();
        } else {
            self.available.store(available - 1, Ordering::Relaxed);
        }
        true
    }

    /// Within the lock: gives a permit of `me` back.
    #[inline]
    fn give_back(&self, me: u32) -> bool {
        let had_one = self.permits.lower_locked(me) > 0;
        if had_one {
            self.available.store(self.available.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        }
        had_one
    }

    fn try_acquire<P: Party>(&self, party: &P, me: u32) -> bool {
        if self.enter_until(party, me, || Some(Instant::now())).is_err() {
            return false;
        }
        let mut taken = self.take(me);
        if !taken && self.take_back(self.permits.all().map(|(id, _)| id).filter(|&id| party.is_dead(id))) {
            taken = self.take(me);
        }
        self.leave(false);
        taken
    }

    /// Within the lock: takes the permits of the dead back; whether there were any.
    fn take_back(&self, dead: impl Iterator<Item = u32>) -> bool {
        let mut any = false;
        for id in dead {
            self.permits.clear(id);
            any = true;
        }
        if any {
            self.repair();
        }
        any
    }

    #[inline]
    fn acquire<P: Party>(&self, party: &P, me: u32, deadline: Option<Instant>) -> Result<(), Timeout> {
        self.enter_until(party, me, || deadline)?;
        if self.take(me) {
            self.leave(false);
            return Ok(());
        }
        self.acquire_contended(party, me, deadline)
    }

    /// Begins within the lock, with no permit available.
    #[cold]
    fn acquire_contended<P: Party>(
        &self,
        party: &P,
        me: u32,
        deadline: Option<Instant>,
    ) -> Result<(), Timeout> {
        let mut lookout = Lookout::new(deadline);
        let _waiting = self.waiters.enter(party, me);
        loop {
            self.sleepers.store(self.sleepers.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
            let before = self.signal.load(Ordering::Relaxed);
            self.lock.unlock();

            let holders = || self.permits.all().map(|(id, _)| id).collect();
            let (slept, dead) = lookout.sleep(party, &self.signal, before, holders);

            // If this gives up, it is not taken off the sleepers: more may be counted than there are.
            self.enter_until(party, me, || deadline)?;
            self.sleepers.store(self.sleepers.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
            self.take_back(dead.into_iter());
            if self.take(me) {
                // If there are more, so may be more sleepers.
                self.leave(self.available.load(Ordering::Relaxed) > 0);
                return Ok(());
            }
            if slept == Slept::TimedOut {
                self.leave(false);
                return Err(Timeout);
            }
        }
    }

    #[inline]
    fn give<P: Party>(&self, party: &P, me: u32) {
        self.enter(party, me);
        let freed = self.give_back(me);
        self.leave(freed);
    }

    /// Makes a permit of `me` nobody's.
    fn forget<P: Party>(&self, party: &P, me: u32) {
        self.enter(party, me);
        // Killed in between, there is one permit less: as if it were still held.
        let total = self.total.load(Ordering::Relaxed);
        self.total.store(total.saturating_sub(1), Ordering::Relaxed);
        self.permits.lower_locked(me);
        self.repair();
        self.leave(false);
    }

    fn release<P: Party>(&self, party: &P, me: u32) -> Result<(), OverRelease> {
        self.enter(party, me);
        let total = self.total.load(Ordering::Relaxed);
        let fits = total < self.bound.load(Ordering::Relaxed).min(MAX);
        if fits {
            self.total.store(total + 1, Ordering::Relaxed);
            self.available.store(self.available.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        }
        self.leave(fits);
        if fits { Ok(()) } else { Err(OverRelease) }
    }
}

impl Semaphore {
    /// A semaphore with that many permits, and without a name.
    ///
    /// # Errors
    /// More than 2,147,483,647 permits; no memory, or no descriptor left.
    pub fn new(permits: u32) -> Result<Semaphore> {
        Semaphore::build(Home::Own(None), permits, MAX)
    }

    /// A semaphore that never has more than the permits it begins with: to [`release`](Semaphore::release) one too many
    /// is an error.
    ///
    /// # Errors
    /// As [`new`](Semaphore::new).
    #[doc(alias = "BoundedSemaphore")]
    pub fn bounded(permits: u32) -> Result<Semaphore> {
        Semaphore::build(Home::Own(None), permits, permits)
    }

    /// As [`new`](Semaphore::new), but other programs of the same user can [`open`](Semaphore::open) it. See
    /// [`ipc_core::Segment::create`].
    ///
    /// # Errors
    /// As [`new`](Semaphore::new); the name is taken by a living process, or no name.
    pub fn create(name: &str, permits: u32) -> Result<Semaphore> {
        Semaphore::build(Home::Own(Some(name)), permits, MAX)
    }

    /// As [`bounded`](Semaphore::bounded), but other programs of the same user can [`open`](Semaphore::open) it.
    ///
    /// # Errors
    /// As [`create`](Semaphore::create).
    #[doc(alias = "BoundedSemaphore")]
    pub fn create_bounded(name: &str, permits: u32) -> Result<Semaphore> {
        Semaphore::build(Home::Own(Some(name)), permits, permits)
    }

    /// As [`new`](Semaphore::new), in another's segment, from that offset on: see [`raw`](crate::raw).
    ///
    /// # Errors
    /// Too many permits; as [`open_in`](Semaphore::open_in).
    pub fn new_in(segment: &ipc_core::Segment, offset: u64, permits: u32) -> Result<Semaphore> {
        Semaphore::build(Home::In(segment, offset), permits, MAX)
    }

    /// As [`bounded`](Semaphore::bounded), in another's segment, from that offset on.
    ///
    /// # Errors
    /// As [`new_in`](Semaphore::new_in).
    pub fn bounded_in(segment: &ipc_core::Segment, offset: u64, permits: u32) -> Result<Semaphore> {
        Semaphore::build(Home::In(segment, offset), permits, permits)
    }

    fn build(home: Home<'_>, permits: u32, bound: u32) -> Result<Semaphore> {
        if permits > MAX {
            return Err(refused("semaphore", home.name(), &format!("{permits} permits are more than {MAX}")));
        }
        let init = |layout: &layout::Semaphore| layout.init(permits, bound);
        Object::make(home, (), init).map(Semaphore::from_object)
    }

    fn from_object(object: Object<layout::Semaphore>) -> Semaphore {
        Semaphore { object }
    }

    /// Waits for a permit.
    pub fn acquire(&self) -> Permit<'_> {
        loop {
            // Without a deadline it never times out.
            if let Ok(permit) = self.acquire_until(None) {
                return permit;
            }
        }
    }

    /// A permit, if there is one or its holder is dead. To find that all are held by the living takes some microseconds:
    /// they are asked about.
    ///
    /// # Errors
    /// [`WouldBlock`]: living processes hold them all.
    #[doc(alias = "acquire")]
    pub fn try_acquire(&self) -> Result<Permit<'_>, WouldBlock> {
        let (segment, me) = self.object.identity();
        let taken = self.object.try_acquire(segment, me);
        if taken { Ok(Permit { semaphore: self, me }) } else { Err(WouldBlock) }
    }

    /// Waits for a permit, at most that long.
    ///
    /// # Errors
    /// [`Timeout`].
    #[doc(alias = "acquire")]
    pub fn acquire_timeout(&self, timeout: Duration) -> Result<Permit<'_>, Timeout> {
        self.acquire_until(ipc_core::deadline(timeout))
    }

    /// Waits for a permit, at most until then.
    ///
    /// # Errors
    /// [`Timeout`].
    #[doc(alias = "acquire")]
    pub fn acquire_deadline(&self, deadline: Instant) -> Result<Permit<'_>, Timeout> {
        self.acquire_until(Some(deadline))
    }

    #[inline]
    fn acquire_until(&self, deadline: Option<Instant>) -> Result<Permit<'_>, Timeout> {
        let (segment, me) = self.object.identity();
        self.object.acquire(segment, me, deadline)?;
        Ok(Permit { semaphore: self, me })
    }

    /// Adds a permit, which need not have been acquired before.
    ///
    /// # Errors
    /// [`OverRelease`], if the semaphore is [bounded](Semaphore::bounded) and has all its permits, held ones included.
    pub fn release(&self) -> Result<(), OverRelease> {
        let (segment, me) = self.object.identity();
        self.object.release(segment, me)
    }

    /// How many permits can be had now, without those that dead processes hold until somebody waits for them.
    #[doc(alias = "get_value")]
    #[doc(alias = "locked")]
    pub fn available(&self) -> u32 {
        self.object.available.load(Ordering::Relaxed)
    }

    /// Who holds permits, and how many.
    pub fn holders(&self) -> Vec<(Participant, u32)> {
        report::counts(self.segment(), &self.object.permits)
    }

    /// The processes that wait, one entry for each waiting thread; the first 14.
    pub fn waiters(&self) -> Vec<Participant> {
        report::waiters(self.segment(), &self.object.waiters)
    }
}

impl Permit<'_> {
    /// Makes the permit nobody's: it does not come back when this process dies, only by
    /// [`Semaphore::release`].
    pub fn forget(self) {
        let (segment, me) = self.semaphore.object.identity();
        if me == self.me {
            self.semaphore.object.forget(segment, me);
        }
        std::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let (segment, me) = self.semaphore.object.identity();
        if me == self.me {
            self.semaphore.object.give(segment, me);
        }
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Semaphore").field("available", &self.available()).finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
#[path = "models/semaphore.rs"]
mod loom_models;
