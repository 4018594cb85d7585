//! Sleeping with the rule that a killed process may not have woken us: look again after a while.

use std::time::{Duration, Instant};

use crate::layout::{LISTED, Waiters};
use crate::party::Party;
use crate::sync::{self, AtomicU32, Ordering, Wake};

/// The first look comes soon, so that who finds a dead owner has the lock at once.
const FIRST: Duration = Duration::from_micros(200);

/// Who waits for one that may die looks again at least so often, until it is arranged that its death wakes him.
const FOR_OWNER: Duration = Duration::from_millis(4);

/// The same, if that cannot be arranged.
const UNARRANGED: Duration = Duration::from_millis(20);

/// Who waits for a wake-up, which only a kill at the wrong moment can swallow, looks again at least so often. To wake
/// from any sleep costs 20 to 50 us of CPU, whatever is looked at then, and must not add up to 0.1 % of it; and what is
/// left of 100 ms is for a CPU that has other work.
const FOR_SIGNAL: Duration = Duration::from_millis(70);

/// How long to sleep, sleep after sleep.
#[derive(Debug)]
pub struct Patience {
    first: Duration,
    next: Duration,
    longest: Duration,
    deadline: Option<Instant>,
}

/// What ended a sleep.
#[derive(Debug, PartialEq, Eq)]
pub enum Slept {
    /// The word may have changed.
    Woken,
    /// Nothing happened: time to see whether somebody died.
    LookAgain,
    /// The caller's deadline has passed, and it is time for a last look.
    TimedOut,
}

impl Patience {
    fn new(first: Duration, longest: Duration, deadline: Option<Instant>) -> Patience {
        Patience { first, next: first, longest, deadline }
    }

    /// For one who waits for something that a process holds.
    pub fn for_owner(deadline: Option<Instant>) -> Patience {
        Patience::new(FIRST, FOR_OWNER, deadline)
    }

    /// For one who waits for something that any process may do. There is nobody to look after, and an early alarm
    /// costs time: the clock of the CPU has to be set for it.
    pub fn for_signal(deadline: Option<Instant>) -> Patience {
        Patience::new(FOR_SIGNAL, FOR_SIGNAL, deadline)
    }

    /// Sleeps while the word is `expected`.
    pub fn sleep(&mut self, word: &AtomicU32, expected: u32) -> Slept {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let is_last = left.is_some_and(|left| left <= self.next);
        let timeout = if is_last { left.unwrap_or_default() } else { self.next };
        match sync::wait_timeout(word, expected, timeout) {
            Wake::TimedOut if is_last => Slept::TimedOut,
            Wake::TimedOut => {
                self.next = (self.next * 2).min(self.longest);
                Slept::LookAgain
            }
            // Who is woken again and again, and each time too late, would never see the deadline otherwise.
            Wake::Woken if left == Some(Duration::ZERO) => Slept::TimedOut,
            Wake::Woken => {
                // Something happens here, so more may.
                self.next = self.first;
                Slept::Woken
            }
        }
    }
}

/// Looks after those that somebody waits for.
#[derive(Debug)]
pub struct Lookout<W> {
    watch: W,
    patience: Patience,
}

impl<W: Default> Lookout<W> {
    /// Looks after nobody yet.
    pub fn new(deadline: Option<Instant>) -> Lookout<W> {
        Lookout { watch: W::default(), patience: Patience::for_owner(deadline) }
    }

    /// Sleeps while the word is `expected`. What ended it, and who out of `holders`, asked then, is dead, if nothing else
    /// has happened to the word.
    pub fn sleep<P: Party<Watch = W>>(
        &mut self,
        party: &P,
        word: &AtomicU32,
        expected: u32,
        holders: impl FnOnce() -> Vec<u32>,
    ) -> (Slept, Vec<u32>) {
        let slept = self.patience.sleep(word, expected);
        if word.load(Ordering::Relaxed) != expected {
            // Others may hold it by now, whose death nothing has been arranged for.
            self.patience = Patience::for_owner(self.patience.deadline);
            return (slept, Vec::new());
        }
        let dead = party.dead(&mut self.watch, &holders());
        if self.patience.next >= FOR_OWNER && dead.is_empty() {
            let arranged = party.wake_on_death(&mut self.watch, word);
            self.patience.longest = if arranged { FOR_SIGNAL } else { UNARRANGED };
        }
        (slept, dead)
    }
}

impl Waiters {
    /// Lists this process as waiting, if there is a place, until the result is dropped.
    pub fn enter<P: Party>(&self, party: &P, me: u32) -> Option<Waiting<'_>> {
        self.claim(0, me).or_else(|| {
            // Strike off one that was killed here. Only two are asked about, since that costs system calls.
            let others = [0, 1].map(|next| self.ids[(me as usize + next) % LISTED].load(Ordering::Relaxed));
            others.into_iter().find(|&id| party.is_dead(id)).and_then(|dead| self.claim(dead, me))
        })
    }

    fn claim(&self, from: u32, me: u32) -> Option<Waiting<'_>> {
        let claim = |place: &&AtomicU32| {
            place.load(Ordering::Relaxed) == from
                && place.compare_exchange(from, me, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        self.ids.iter().find(claim).map(Waiting)
    }

    /// Everybody listed, a process once for each of its threads.
    pub fn all(&self) -> Vec<u32> {
        self.ids.iter().map(|place| place.load(Ordering::Relaxed)).filter(|&id| id != 0).collect()
    }
}

/// A place in the list of waiters.
#[derive(Debug)]
#[must_use = "listed until this is dropped"]
pub struct Waiting<'a>(&'a AtomicU32);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}
