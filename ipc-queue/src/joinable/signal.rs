//! Waiting for something that happens within the lock.

use std::sync::atomic::Ordering;
use std::time::Instant;

use ipc_core::{Segment, Watch, futex};
use ipc_lock::raw::{Lookout, Slept, Waiting};

use crate::joinable::layout::Signal;
use crate::wait;

/// If so many wake-ups in a row found nobody, those who sleep have been killed.
const MISSED: u32 = 64;

impl Signal {
    /// Within the lock: whether somebody has to be [woken](Signal::wake) after it.
    #[inline]
    pub(crate) fn is_due(&self) -> bool {
        self.sleepers.load(Ordering::Relaxed) != 0 && self.raise()
    }

    #[cold]
    fn raise(&self) -> bool {
        if self.missed.load(Ordering::Relaxed) >= MISSED {
            self.sleepers.store(0, Ordering::Relaxed);
            self.cleared.fetch_add(1, Ordering::Relaxed);
            self.missed.store(0, Ordering::Relaxed);
        }
        self.word.fetch_add(1, Ordering::Release);
        true
    }

    /// Wakes as many.
    #[cold]
    pub(crate) fn wake(&self, count: u64) {
        if futex::wake(&self.word, count.min(i32::MAX as u64) as u32) == 0 {
            self.missed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.missed.store(0, Ordering::Relaxed);
        }
    }
}

/// One who waits for a signal, again and again until a deadline.
pub(crate) struct Waiter<'a> {
    segment: &'a Segment,
    signal: &'a Signal,
    lookout: Lookout<Watch>,
    /// Counted as a sleeper, when `cleared` was this.
    counted: Option<u32>,
    _waiting: Option<Waiting<'a>>,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(
        segment: &'a Segment,
        signal: &'a Signal,
        me: u32,
        deadline: Option<Instant>,
    ) -> Waiter<'a> {
        let _waiting = signal.waiters.enter(segment, me);
        Waiter { segment, signal, lookout: Lookout::new(deadline), counted: None, _waiting }
    }

    /// Without the lock: looks for a moment whether it is `ready`, without sleeping.
    pub(crate) fn spin(&self, ready: impl Fn() -> bool) -> bool {
        wait::spin_until(&ready)
    }

    /// Within the lock: what to [sleep](Waiter::sleep) on after it.
    pub(crate) fn prepare(&mut self) -> u32 {
        let Signal { word, sleepers, cleared, .. } = self.signal;
        sleepers.store(sleepers.load(Ordering::Relaxed).saturating_add(1), Ordering::Relaxed);
        self.counted = Some(cleared.load(Ordering::Relaxed));
        word.load(Ordering::Relaxed)
    }

    /// Without the lock: sleeps until woken. What ended it, and who out of `holders` is dead.
    pub(crate) fn sleep(&mut self, expected: u32, holders: impl FnOnce() -> Vec<u32>) -> (Slept, Vec<u32>) {
        self.lookout.sleep(self.segment, &self.signal.word, expected, holders)
    }

    /// Within the lock again.
    pub(crate) fn awake(&mut self) {
        let Signal { sleepers, cleared, .. } = self.signal;
        if self.counted.take() == Some(cleared.load(Ordering::Relaxed)) {
            sleepers.store(sleepers.load(Ordering::Relaxed).saturating_sub(1), Ordering::Relaxed);
        }
    }
}
