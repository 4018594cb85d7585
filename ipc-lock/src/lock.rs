//! The lock that everything here is built on: one word that says who holds it.
//!
//! It is taken by one compare-and-swap from 0 to the owner's identity, so there is no moment at which it is held by
//! nobody known. Who waits looks now and then whether the owner still lives; if not, it swaps the dead identity for
//! its own. Of two that do so one succeeds. The one who took over may be killed in turn, and is then found the same
//! way. Nothing else has to be repaired, so there is nothing that a kill could leave half done; what the lock
//! protects is the business of whoever is told [`Acquired::OwnerDied`].
//!
//! A wake-up may be lost with the process that was about to send it, or that received it. So nobody sleeps without
//! looking again: see `wait.rs`.
//!
//! The unlocking store is the only one that frees the lock, and it comes after everything the owner did.

use std::time::{Duration, Instant};

use crate::layout::RawLock;
use crate::party::Party;
use crate::sync::{self, AtomicU32, Ordering};
use crate::wait::{Patience, Slept};

/// Somebody may sleep on the word.
const SLEEPERS: u32 = 1 << 31;

/// How a lock was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// From one who released it.
    Clean,
    /// From one who died with it.
    OwnerDied,
}

/// The deadline has passed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TimedOut;

impl RawLock {
    #[inline]
    fn take(&self, from: u32, to: u32) -> Result<u32, u32> {
        self.word.compare_exchange(from, to, Ordering::Acquire, Ordering::Relaxed)
    }

    /// Waits for the lock.
    #[inline]
    pub(crate) fn lock<P: Party>(&self, party: &P, me: u32) -> Acquired {
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
    pub(crate) fn lock_until<P: Party>(
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
    pub(crate) fn try_lock<P: Party>(&self, party: &P, me: u32) -> Option<Acquired> {
        match self.take(0, me) {
            Ok(_) => Some(Acquired::Clean),
            Err(word) => self.take_over(word, me, || party.is_dead(word & !SLEEPERS)),
        }
    }

    #[cold]
    fn take_over(&self, word: u32, me: u32, is_dead: impl FnOnce() -> bool) -> Option<Acquired> {
        if word == 0 || !is_dead() {
            return None;
        }
        // Those who slept on the word sleep on: the sign that they do stays.
        self.take(word, me | SLEEPERS).ok().map(|_| Acquired::OwnerDied)
    }

    #[cold]
    fn lock_contended<P: Party>(
        &self,
        party: &P,
        me: u32,
        deadline: Option<Instant>,
    ) -> Result<Acquired, TimedOut> {
        let mut word = spin(&self.word);
        if word == 0 && self.take(0, me).is_ok() {
            return Ok(Acquired::Clean);
        }
        let mut patience = Patience::for_owner(deadline);
        let mut watch = P::Watch::default();
        let _waiting = self.waiters.enter(party, me);
        loop {
            if word == 0 {
                // Others may sleep that nobody has woken yet; who wakes up cannot know, and says yes.
                match self.take(0, me | SLEEPERS) {
                    Ok(_) => return Ok(Acquired::Clean),
                    Err(now) => word = now,
                }
                continue;
            }
            if word & SLEEPERS == 0 {
                let marked = self.word.compare_exchange(word, word | SLEEPERS, Ordering::Relaxed, Ordering::Relaxed);
                match marked {
                    Ok(_) => word |= SLEEPERS,
                    Err(now) => {
                        word = now;
                        continue;
                    }
                }
            }
            let slept = patience.sleep(&self.word, word);
            if slept != Slept::Woken {
                let owner = word & !SLEEPERS;
                self.note_owner(owner);
                let is_dead = || !party.dead(&mut watch, &[owner]).is_empty();
                if let Some(acquired) = self.take_over(word, me, is_dead) {
                    return Ok(acquired);
                }
                if slept == Slept::TimedOut {
                    return Err(TimedOut);
                }
            }
            word = spin(&self.word);
        }
    }

    /// Releases the lock, which the caller holds.
    ///
    /// A load and a store, and not one atomic operation, which would double the price of the lock. A waiter that says
    /// that it sleeps exactly in between is not woken: it finds the lock free when it looks again, which is soon after
    /// it has fallen asleep.
    #[inline]
    pub(crate) fn unlock(&self) {
        let word = self.word.load(Ordering::Relaxed);
        self.word.store(0, Ordering::Release);
        if word & SLEEPERS != 0 {
            self.wake();
        }
    }

    #[cold]
    fn wake(&self) {
        // One is enough: it will find out that others sleep when it releases the lock.
        sync::wake(&self.word, 1);
    }

    /// The identity of who holds it, dead or alive; `None` if it is free.
    pub(crate) fn owner(&self) -> Option<u32> {
        Some(self.word.load(Ordering::Relaxed) & !SLEEPERS).filter(|&owner| owner != 0)
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

/// Waits a moment for the word to become 0, without sleeping, if the owner can run meanwhile; its last value.
fn spin(word: &AtomicU32) -> u32 {
    let mut left = spins();
    loop {
        let now = word.load(Ordering::Relaxed);
        // If somebody sleeps already, the lock is held for longer than a moment.
        if now == 0 || now & SLEEPERS != 0 || left == 0 {
            return now;
        }
        sync::spin_loop();
        left -= 1;
    }
}

#[cfg(not(loom))]
fn spins() -> u32 {
    use std::sync::OnceLock;
    static SPINS: OnceLock<u32> = OnceLock::new();
    // On one CPU the owner cannot run while somebody spins.
    *SPINS.get_or_init(|| if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) { 100 } else { 0 })
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
