//! The lock that everything here is built on: one word that says who holds it.
//!
//! It is taken by one compare-and-swap from 0 to the owner's identity, so there is no moment at which it is held by
//! nobody known. Who waits looks now and then whether the owner still lives; if not, it swaps the dead identity for
//! its own. Of two that do so one succeeds. The one who took over may be killed in turn, and is then found the same
//! way. Nothing else has to be repaired, so there is nothing that a kill could leave half done; what the lock
//! protects is the business of whoever is told [`Acquired::OwnerDied`].
//!
//! A wake-up may be lost with the process that was about to send it, or that received it. So nobody sleeps without
//! looking again: see `wait.rs`. That pays twice: unlocking need not be an atomic operation together with the look
//! whether somebody sleeps, which would double the price of a lock. A waiter that falls asleep exactly in between is
//! not woken, and finds the lock free when it looks again, a fifth of a millisecond later.
//!
//! The unlocking store is the only one that frees the lock, and it comes after everything the owner did.

use std::time::{Duration, Instant};

use crate::layout::RawLock;
use crate::party::Party;
use crate::sync::{self, Ordering};
use crate::wait::{Lookout, Slept};

/// Who is within a lock of a few instructions for longer than this was stopped in it, or others wrote to it.
const STOPPED: Duration = Duration::from_millis(100);

/// How a lock was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// From one who released it.
    Clean,
    /// From one who died with it.
    OwnerDied,
}

/// The deadline has passed.
#[derive(Debug, PartialEq, Eq)]
pub struct TimedOut;

impl RawLock {
    #[inline]
    fn take(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.word.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed)
    }

    /// Waits for the lock.
    #[inline]
    pub fn lock<P: Party>(&self, party: &P, me: u32) -> Acquired {
        if self.take(0, me).is_ok() {
            return Acquired::Clean;
        }
        loop {
            // Without a deadline it never times out.
            if let Ok(acquired) = self.lock_contended(party, me, None) {
                return acquired;
            }
        }
    }

    /// Waits for the lock until `deadline`; for ever if there is none.
    #[inline]
    pub fn lock_until<P: Party>(
        &self,
        party: &P,
        me: u32,
        deadline: Option<Instant>,
    ) -> Result<Acquired, TimedOut> {
        match self.take(0, me) {
            Ok(_) => Ok(Acquired::Clean),
            Err(_) => self.lock_contended(party, me, deadline),
        }
    }

    /// The lock, if it is free or its owner dead.
    #[inline]
    pub fn try_lock<P: Party>(&self, party: &P, me: u32) -> Option<Acquired> {
        match self.take(0, me) {
            Ok(_) => Some(Acquired::Clean),
            Err(owner) => self.take_over(owner, me, || party.is_dead(owner)),
        }
    }

    #[cold]
    fn take_over(&self, owner: u32, me: u32, is_dead: impl FnOnce() -> bool) -> Option<Acquired> {
        if owner == 0 || !is_dead() || self.take(owner, me).is_err() {
            return None;
        }
        // Those who slept while the dead one had the lock sleep on.
        self.asleep.store(1, Ordering::Relaxed);
        Some(Acquired::OwnerDied)
    }

    #[cold]
    fn lock_contended<P: Party>(
        &self,
        party: &P,
        me: u32,
        deadline: Option<Instant>,
    ) -> Result<Acquired, TimedOut> {
        if self.spin() == 0 && self.take(0, me).is_ok() {
            return Ok(Acquired::Clean);
        }
        let mut lookout = Lookout::new(deadline);
        let _waiting = self.waiters.enter(party, me);
        loop {
            let owner = match self.spin() {
                0 => match self.take(0, me) {
                    Ok(_) => return Ok(self.taken()),
                    Err(owner) => owner,
                },
                owner => owner,
            };
            self.asleep.store(1, Ordering::Relaxed);
            let (slept, dead) = lookout.sleep(party, &self.word, owner, || vec![owner]);
            if slept != Slept::Woken {
                self.note_owner(owner);
            }
            if let Some(acquired) = self.take_over(owner, me, || !dead.is_empty()) {
                return Ok(acquired);
            }
            if slept == Slept::TimedOut {
                // What ended the sleep may have been a wake-up, which is not to be lost with this one.
                return if self.take(0, me).is_ok() { Ok(self.taken()) } else { self.give_up() };
            }
        }
    }

    /// Waits a moment for the word to become 0, without sleeping, if the owner can run meanwhile; its last value.
    fn spin(&self) -> u32 {
        let mut left = spins();
        loop {
            let owner = self.word.load(Ordering::Relaxed);
            // If somebody sleeps already, the lock is held for longer than a moment.
            if owner == 0 || left == 0 || self.asleep.load(Ordering::Relaxed) != 0 {
                return owner;
            }
            sync::spin_loop();
            left -= 1;
        }
    }

    /// After a wait, got from one who released it.
    fn taken(&self) -> Acquired {
        // Others may sleep whom nobody has woken yet; who waited cannot know, and says yes.
        self.asleep.store(1, Ordering::Relaxed);
        self.seen.store(0, Ordering::Relaxed);
        Acquired::Clean
    }

    fn give_up(&self) -> Result<Acquired, TimedOut> {
        self.asleep.store(1, Ordering::Relaxed);
        Err(TimedOut)
    }

    /// Waits for a lock that is held for a few instructions at a time: until `deadline`, and a little longer, so that
    /// an owner that was put off the CPU is no reason to give up. One that was stopped is.
    #[inline]
    pub fn lock_inner<P: Party>(
        &self,
        party: &P,
        me: u32,
        deadline: impl FnOnce() -> Option<Instant>,
    ) -> Result<Acquired, TimedOut> {
        if self.take(0, me).is_ok() {
            return Ok(Acquired::Clean);
        }
        let deadline = deadline().and_then(|deadline| Some(deadline.max(ipc_core::deadline(STOPPED)?)));
        self.lock_contended(party, me, deadline)
    }

    /// Releases the lock, which the caller holds.
    #[inline]
    pub fn unlock(&self) {
        self.word.store(0, Ordering::Release);
        if self.asleep.load(Ordering::Relaxed) != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // One is enough: it says that others may sleep when it has the lock, and wakes the next when it releases it.
        self.asleep.store(0, Ordering::Relaxed);
        sync::wake(&self.word, 1);
    }

    /// The identity of who holds it, dead or alive; `None` if it is free.
    pub fn owner(&self) -> Option<u32> {
        Some(self.word.load(Ordering::Relaxed)).filter(|&owner| owner != 0)
    }

    /// Remembers when this owner was seen first. Only those who wait do: looking at a clock at every lock would cost
    /// more than the lock.
    fn note_owner(&self, owner: u32) {
        let seen = self.seen.load(Ordering::Relaxed);
        if (seen >> 32) as u32 != owner {
            let new = u64::from(owner) << 32 | u64::from(milliseconds());
            let _ = self.seen.compare_exchange(seen, new, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// For how long that owner has been seen with the lock; `None` if nobody had to wait.
    pub(crate) fn held_for(&self, owner: u32) -> Option<Duration> {
        let seen = self.seen.load(Ordering::Relaxed);
        let elapsed = milliseconds().wrapping_sub(seen as u32);
        ((seen >> 32) as u32 == owner).then(|| Duration::from_millis(u64::from(elapsed)))
    }
}

#[cfg(not(loom))]
fn spins() -> u32 {
    // On one CPU the owner cannot run while somebody spins.
    if ipc_core::can_spin() { 100 } else { 0 }
}

#[cfg(loom)]
fn spins() -> u32 {
    0
}

/// Milliseconds of the monotonic clock, which all processes share, cut off.
#[cfg(not(loom))]
fn milliseconds() -> u32 {
    ipc_core::monotonic().as_millis() as u32
}

#[cfg(loom)]
fn milliseconds() -> u32 {
    0
}

#[cfg(all(test, loom))]
#[path = "models/lock.rs"]
mod loom_models;
