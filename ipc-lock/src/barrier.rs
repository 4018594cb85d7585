//! A place where a number of processes wait for each other.

use std::fmt;
use std::time::{Duration, Instant};

use ipc_core::{Participant, Result};
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::BarrierError;
use crate::layout::{self, OUTCOMES};
use crate::lock::{Acquired, TimedOut};
use crate::object::{Home, Object, handle, refused};
use crate::party::Party;
use crate::report;
use crate::sync::{self, Ordering};
use crate::wait::{Lookout, Slept};

/// A barrier between processes: nobody passes until a number of parties have arrived. Then it is ready for the next
/// round.
///
/// **If a process that has a handle dies** before it has dropped it, the barrier breaks: those who wait are told within
/// 100 ms, as a rule in less than 5. (Any process with a handle may be a party that the others wait for.) An `exit` with a handle alive counts as
/// death, and so does a panic that drops one. What nobody can see: a party that had arrived and died counts if the last
/// one arrives before anybody noticed; and a child that is killed before it has received its handle was never a party.
/// Whoever starts children can look after them, and [`abort`](Barrier::abort) when one fails.
///
/// ```
/// let barrier = ipc_lock::Barrier::new(2)?;
/// std::thread::scope(|scope| {
///     scope.spawn(|| barrier.wait().unwrap());
///     barrier.wait().unwrap();
/// });
/// # Ok::<(), ipc_core::Error>(())
/// ```
pub struct Barrier {
    object: Object<layout::Barrier>,
}

/// How a party passed a [`Barrier`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The how-manieth it was to arrive in its round, counted from 0.
    pub index: u32,
    /// Whether it was the last: true for exactly one party of each round.
    pub is_leader: bool,
}

// As a pair, so that it can be a child's result.
impl Serialize for Arrival {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.index, self.is_leader).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Arrival {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Arrival, D::Error> {
        Deserialize::deserialize(deserializer).map(|(index, is_leader)| Arrival { index, is_leader })
    }
}

handle!(Barrier, layout::Barrier, "barrier");

const BROKEN: u32 = 1;

impl layout::Barrier {
    /// Takes the inner lock. Whoever died with it had arrived, or changed the round: in any case a party is dead.
    fn enter<P: Party>(&self, party: &P, me: u32) {
        if self.lock.lock(party, me) == Acquired::OwnerDied {
            self.break_now();
        }
    }

    /// Counts one handle more of this process.
    fn hold(&self, me: u32) {
        if self.holders.raise(me) {
            // Instead of one that died with a handle, without anybody who looked.
            self.break_now();
        }
    }

    /// Breaks the barrier, whatever its round, and tells those who wait. Needs no lock.
    fn break_now(&self) {
        self.round.fetch_or(BROKEN, Ordering::AcqRel);
        sync::wake_all(&self.round);
    }

    /// Breaks that round, if it has not ended; whether it did.
    fn break_round(&self, round: u32) -> bool {
        let broke =
            self.round.compare_exchange(round, round | BROKEN, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        if broke {
            sync::wake_all(&self.round);
        }
        broke
    }

    /// Within the lock: notes how the round ended and begins the next, if the round is still `from`.
    fn next_round(&self, from: u32, complete: bool) -> bool {
        let number = from >> 1;
        self.arrived.store(0, Ordering::Relaxed);
        self.outcome(number).store(number << 1 | u32::from(complete), Ordering::Relaxed);
        let next = number.wrapping_add(1) << 1;
        self.round.compare_exchange(from, next, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn outcome(&self, number: u32) -> &sync::AtomicU32 {
        &self.outcomes[number as usize % OUTCOMES]
    }

    /// What became of a round that is not `before` any more.
    fn ended(&self, before: u32, now: u32) -> Result<(), BarrierError> {
        if now == before | BROKEN {
            return Err(BarrierError::Broken);
        }
        let outcome = self.outcome(before >> 1).load(Ordering::Relaxed);
        // If later rounds have overwritten it, parties went on.
        if outcome == before { Err(BarrierError::Broken) } else { Ok(()) }
    }

    fn wait<P: Party>(
        &self,
        party: &P,
        me: u32,
        deadline: Option<Instant>,
        action: impl FnOnce(),
    ) -> Result<Arrival, BarrierError> {
        match self.lock.lock_inner(party, me, || deadline) {
            Ok(Acquired::Clean) => {}
            Ok(Acquired::OwnerDied) => self.break_now(),
            Err(TimedOut) => {
                // Somebody was stopped within, or has a long action.
                self.break_now();
                return Err(BarrierError::Timeout);
            }
        }
        let round = self.round.load(Ordering::Acquire);
        if round & BROKEN != 0 {
            self.lock.unlock();
            return Err(BarrierError::Broken);
        }
        let index = self.arrived.load(Ordering::Relaxed);
        let is_leader = index.wrapping_add(1) >= self.parties.load(Ordering::Relaxed);
        if is_leader {
            self.lead(round, action)?;
        } else {
            self.arrived.store(index.wrapping_add(1), Ordering::Relaxed);
            self.lock.unlock();
            self.follow(party, me, round, deadline)?;
        }
        Ok(Arrival { index, is_leader })
    }

    /// Within the lock, which it releases: runs the action and lets the others go.
    fn lead(&self, round: u32, action: impl FnOnce()) -> Result<(), BarrierError> {
        /// A panic in the action breaks the barrier.
        struct OnPanic<'a>(&'a layout::Barrier);
        impl Drop for OnPanic<'_> {
            fn drop(&mut self) {
                self.0.break_now();
                self.0.lock.unlock();
            }
        }
        let on_panic = OnPanic(self);
        action();
        std::mem::forget(on_panic);
        let complete = self.next_round(round, true);
        self.lock.unlock();
        sync::wake_all(&self.round);
        // Somebody may have broken it during the action.
        if complete { Ok(()) } else { Err(BarrierError::Broken) }
    }

    /// Waits for the end of the round.
    fn follow<P: Party>(
        &self,
        party: &P,
        me: u32,
        round: u32,
        deadline: Option<Instant>,
    ) -> Result<(), BarrierError> {
        let mut lookout = Lookout::new(deadline);
        let _waiting = self.waiters.enter(party, me);
        loop {
            let holders = || self.holders.all().map(|(id, _)| id).collect();
            let (slept, dead) = lookout.sleep(party, &self.round, round, holders);
            let now = self.round.load(Ordering::Acquire);
            if now != round {
                return self.ended(round, now);
            }
            // One that dropped its handles and went meanwhile is not missing.
            if dead.iter().any(|&id| self.holders.get(id) > 0) {
                self.break_round(round);
            } else if slept == Slept::TimedOut && self.break_round(round) {
                return Err(BarrierError::Timeout);
            }
        }
    }

    fn reset<P: Party>(&self, party: &P, me: u32) {
        self.enter(party, me);
        for (id, _) in self.holders.all().filter(|&(id, _)| party.is_dead(id)) {
            self.holders.clear(id);
        }
        // Only a break can come in between, and only once.
        while !self.next_round(self.round.load(Ordering::Acquire), false) {}
        self.lock.unlock();
        sync::wake_all(&self.round);
    }
}

impl Barrier {
    /// A barrier for that many parties, and without a name.
    ///
    /// # Errors
    /// No party; no memory, or no descriptor left.
    pub fn new(parties: u32) -> Result<Barrier> {
        Barrier::build(Home::Own(None), parties)
    }

    /// A barrier that other programs of the same user can [`open`](Barrier::open). See [`ipc_core::Segment::create`].
    ///
    /// # Errors
    /// No party; the name is taken by a living process, or no name; no memory left.
    pub fn create(name: &str, parties: u32) -> Result<Barrier> {
        Barrier::build(Home::Own(Some(name)), parties)
    }

    /// A barrier in another's segment, from that offset on: see [`raw`](crate::raw).
    ///
    /// # Errors
    /// No party; as [`open_in`](Barrier::open_in).
    pub fn new_in(segment: &ipc_core::Segment, offset: u64, parties: u32) -> Result<Barrier> {
        Barrier::build(Home::In(segment, offset), parties)
    }

    fn build(home: Home<'_>, parties: u32) -> Result<Barrier> {
        if parties == 0 {
            return Err(refused("barrier", home.name(), "it needs a party at least"));
        }
        let init = |layout: &layout::Barrier| layout.parties.store(parties, Ordering::Relaxed);
        Object::make(home, (), init).map(Barrier::from_object)
    }

    fn from_object(object: Object<layout::Barrier>) -> Barrier {
        let (_, me) = object.identity();
        object.hold(me);
        Barrier { object }
    }

    /// Waits until all parties have arrived.
    ///
    /// # Errors
    /// [`BarrierError::Broken`].
    pub fn wait(&self) -> Result<Arrival, BarrierError> {
        self.wait_until(None, || ())
    }

    /// Waits until all parties have arrived, at most that long.
    ///
    /// # Errors
    /// [`BarrierError`]; a timeout breaks the barrier for all.
    #[doc(alias = "wait")]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<Arrival, BarrierError> {
        self.wait_until(ipc_core::deadline(timeout), || ())
    }

    /// Waits until all parties have arrived, at most until then.
    ///
    /// # Errors
    /// [`BarrierError`]; a timeout breaks the barrier for all.
    #[doc(alias = "wait")]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<Arrival, BarrierError> {
        self.wait_until(Some(deadline), || ())
    }

    /// Waits until all parties have arrived; the last one runs its `action` before anybody passes.
    ///
    /// If it panics, or its process dies in it, the barrier is broken.
    ///
    /// # Errors
    /// [`BarrierError::Broken`].
    #[doc(alias = "action")]
    pub fn wait_with(&self, action: impl FnOnce()) -> Result<Arrival, BarrierError> {
        self.wait_until(None, action)
    }

    /// [`wait_with`](Barrier::wait_with), at most until `deadline`. The action itself may take longer.
    ///
    /// # Errors
    /// [`BarrierError`]; a timeout breaks the barrier for all.
    pub fn wait_with_deadline(
        &self,
        deadline: Instant,
        action: impl FnOnce(),
    ) -> Result<Arrival, BarrierError> {
        self.wait_until(Some(deadline), action)
    }

    fn wait_until(&self, deadline: Option<Instant>, action: impl FnOnce()) -> Result<Arrival, BarrierError> {
        let (segment, me) = self.object.identity();
        if self.object.holders.get(me) == 0 {
            // A forked child, which came by its handle without its knowledge.
            self.object.hold(me);
        }
        self.object.wait(segment, me, deadline, action)
    }

    /// Makes the barrier ready for a new round, also if it was broken, and forgets the dead. Those who wait are told that
    /// it is broken.
    pub fn reset(&self) {
        let (segment, me) = self.object.identity();
        self.object.reset(segment, me);
    }

    /// Breaks the barrier, until it is reset. Never waits.
    pub fn abort(&self) {
        self.object.break_now();
    }

    /// Whether the barrier is broken.
    #[doc(alias = "broken")]
    pub fn is_broken(&self) -> bool {
        self.object.round.load(Ordering::Acquire) & BROKEN != 0
    }

    /// How many parties have to arrive.
    pub fn parties(&self) -> u32 {
        self.object.parties.load(Ordering::Relaxed)
    }

    /// How many have arrived in this round; 0 if the barrier is broken.
    #[doc(alias = "n_waiting")]
    pub fn arrived(&self) -> u32 {
        if self.is_broken() { 0 } else { self.object.arrived.load(Ordering::Relaxed) }
    }

    /// The processes that wait, one entry for each waiting thread; the first 14.
    pub fn waiters(&self) -> Vec<Participant> {
        report::waiters(self.segment(), &self.object.waiters)
    }

    /// The processes that have a handle, and how many.
    pub fn holders(&self) -> Vec<(Participant, u32)> {
        report::counts(self.segment(), &self.object.holders)
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        let (_, me) = self.object.identity();
        self.object.holders.lower(me);
        if std::thread::panicking() {
            // The others would wait for a party that does not come.
            self.object.break_now();
        }
    }
}

impl fmt::Debug for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (parties, arrived) = (self.parties(), self.arrived());
        let mut debug = f.debug_struct("Barrier");
        debug.field("parties", &parties).field("arrived", &arrived).field("is_broken", &self.is_broken());
        debug.finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
#[path = "models/barrier.rs"]
mod loom_models;

#[cfg(all(test, not(loom)))]
mod tests {
    use ipc_core::Segment;

    use super::*;

    const OTHER: u32 = 2;

    /// The other one drops its handle and goes, just after it was found to have one.
    struct Leaving<'a>(&'a Barrier);

    impl Party for Leaving<'_> {
        type Watch = ();

        fn dead(&self, _: &mut (), ids: &[u32]) -> Vec<u32> {
            let found: Vec<u32> = ids.iter().copied().filter(|&id| id == OTHER).collect();
            if !found.is_empty() {
                assert_eq!(self.0.object.holders.lower(OTHER), 1);
            }
            found
        }

        fn wake_on_death(&self, _: &mut (), _: &sync::AtomicU32) -> bool {
            false
        }

        fn is_dead(&self, _: u32) -> bool {
            false
        }
    }

    #[test]
    fn who_goes_while_others_look_after_it_does_not_break_the_barrier() {
        let barrier = Barrier::new(2).unwrap();
        barrier.object.hold(OTHER);
        let (_, me): (&Segment, _) = barrier.object.identity();
        let waited =
            barrier.object.wait(&Leaving(&barrier), me, ipc_core::deadline(Duration::from_millis(20)), || ());
        assert_eq!(waited.unwrap_err(), BarrierError::Timeout);
        assert_eq!(barrier.object.holders.get(OTHER), 0, "nobody looked");
    }
}
