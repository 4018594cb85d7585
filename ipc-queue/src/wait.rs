//! Waiting until an end of the queue moves.

use std::hint;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Instant;

use ipc_core::{ParticipantId, Segment, futex};
use ipc_lock::raw::{Lookout, Patience, Slept};

use crate::layout::End;

impl End {
    /// Wakes as many as have something to do now that this end has moved by `count`.
    #[inline]
    pub(crate) fn moved(&self, count: u32) {
        let sleepers = self.sleepers.load(Ordering::Relaxed);
        if sleepers & COUNT != 0 {
            self.wake(count, sleepers);
        }
    }

    #[cold]
    fn wake(&self, count: u32, sleepers: u32) {
        self.signal.fetch_add(1, Ordering::Release);
        if futex::wake(&self.signal, count) == 0 {
            // They were killed, or are about to sleep, which the signal keeps them from. Others may have come since,
            // whom it does not: then it is another number.
            let _ = self.sleepers.compare_exchange(
                sleepers,
                (sleepers & !COUNT).wrapping_add(RESET),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    /// Wakes all: something has happened that each of them has to see.
    pub(crate) fn wake_all(&self) {
        self.signal.fetch_add(1, Ordering::Release);
        futex::wake_all(&self.signal);
    }
}

/// One who waits for an end to move, again and again until a deadline.
pub(crate) struct Waiter<'a> {
    segment: &'a Segment,
    me: u32,
    end: &'a End,
    sleep: Sleep,
    /// Something has happened since it slept, so that more may soon.
    is_busy: bool,
}

enum Sleep {
    /// Anybody may move the end.
    Plain(Patience),
    /// The death of the last one who could is noticed.
    Watching { lookout: Lookout<ipc_core::Watch>, dead: Vec<u32> },
}

impl<'a> Waiter<'a> {
    /// `watching`: whether the death of other processes matters.
    pub(crate) fn new(
        segment: &'a Segment,
        me: u32,
        end: &'a End,
        deadline: Option<Instant>,
        watching: bool,
    ) -> Waiter<'a> {
        let sleep = if watching {
            Sleep::Watching { lookout: Lookout::new(deadline), dead: Vec::new() }
        } else {
            Sleep::Plain(Patience::for_signal(deadline))
        };
        Waiter { segment, me, end, sleep, is_busy: true }
    }

    /// Waits for a while, or until `ready`, which is asked again and again. `count` says how much there is to do then,
    /// up to so much.
    pub(crate) fn wait(
        &mut self,
        pace: &Pace,
        ready: impl Fn() -> bool,
        count: impl Fn(u64) -> u64,
    ) -> Slept {
        if self.is_busy && pace.look(&ready, count) {
            return Slept::Woken;
        }
        let signal = self.end.signal.load(Ordering::Acquire);
        let _asleep = Asleep::new(self.end);
        // Who moves the end looks then whether somebody sleeps, without a fence, which would cost more than all the rest.
        // Until what was stored here and there is seen on both sides takes less time than this.
        if Pace::settle(&ready) {
            return Slept::Woken;
        }
        let _waiting = self.end.waiters.enter(self.segment, self.me);
        let slept = match &mut self.sleep {
            Sleep::Plain(patience) => patience.sleep(&self.end.signal, signal),
            Sleep::Watching { lookout, dead } => {
                let (segment, me) = (self.segment, self.me);
                let others = || {
                    let ids = segment.ids().map(ParticipantId::word);
                    ids.filter(|id| *id != me && !dead.contains(id)).take(WATCHED).collect()
                };
                let (slept, found) = lookout.sleep(segment, &self.end.signal, signal, others);
                dead.extend(found);
                slept
            }
        };
        self.is_busy = slept == Slept::Woken;
        slept
    }
}

/// Of so many others the death ends a sleep at once. Of more it would take descriptors and time; whoever waits looks at
/// the end itself anyway, every 70 ms.
const WATCHED: usize = 32;

/// The bits of `sleepers` that count them.
const COUNT: u32 = 0xffff;
/// One more who has come.
const COME: u32 = 1 << 16;
const ALL_COME: u32 = 0xff << 16;
/// The count was set to 0 once more.
const RESET: u32 = 1 << 24;

/// Counted as a sleeper until it is dropped.
pub(crate) struct Asleep<'a> {
    end: &'a End,
    resets: u32,
}

impl<'a> Asleep<'a> {
    pub(crate) fn new(end: &'a End) -> Asleep<'a> {
        let come = |sleepers: u32| sleepers & !ALL_COME | sleepers.wrapping_add(COME) & ALL_COME;
        let more = |sleepers: u32| Some(come(sleepers).wrapping_add(1));
        let before = end.sleepers.fetch_update(Ordering::SeqCst, Ordering::Relaxed, more);
        Asleep { end, resets: before.unwrap_or_else(|before| before) / RESET }
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        // After a reset it is not counted any more: those who are have come later.
        let is_counted = |sleepers: u32| sleepers & COUNT != 0 && sleepers / RESET == self.resets;
        let fewer = |sleepers: u32| is_counted(sleepers).then(|| sleepers - 1);
        let _ = self.end.sleepers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }
}

/// How long to wait before the first look. Each look takes the memory away from the CPU that the other side runs on, so
/// that one who follows right behind the other makes both slow: where much comes soon, it is better to let some
/// gather. Where one thing comes at a time, nothing is waited for.
#[derive(Debug, Default)]
pub struct Pace {
    step: AtomicU32,
    waits: AtomicU32,
    /// Waits in a row that nothing came of.
    misses: AtomicU32,
}

/// The first step at most: less than a microsecond.
const MOST: u32 = 5;

/// Every so many waits it is tried whether much would gather: as long as each thing is taken as it comes, one does not see
/// it.
const TRY: u32 = 64;

/// So much has to be there that a wait was worth it; and so much after the longest first step, to go on with that.
const SOME: u64 = 3;
const MUCH: u64 = 9;

/// So many looks come one right after the other.
const LOOKS: usize = 32;

/// After so many waits in a row that nothing came of, the other side is not running, or takes long. Most of the time it
/// is better to sleep at once then.
const MISSES: u32 = 4;

/// But every so many waits it is tried again.
const RETRY: u32 = 16;

impl Pace {
    /// Looks for a moment whether it is `ready`, without sleeping. `count` says how much there is to do then, up to so much.
    pub fn look(&self, ready: impl Fn() -> bool, count: impl Fn(u64) -> u64) -> bool {
        self.spin(&ready, count) || (0..YIELDS).any(|_| yield_to_others(&ready))
    }

    /// Looks after noting that one waits, for as long as it takes until what was stored on both sides is seen on both.
    pub fn settle(ready: impl Fn() -> bool) -> bool {
        (0..spins().min(6)).any(|step| spin(1 << step, &ready)) || ready()
    }

    /// Looks all the time for a while, then ever more seldom.
    fn spin(&self, ready: impl Fn() -> bool, count: impl Fn(u64) -> u64) -> bool {
        if spins() == 0 {
            return false;
        }
        let [step, waits, misses] =
            [&self.step, &self.waits, &self.misses].map(|number| number.load(Ordering::Relaxed));
        self.waits.store(waits.wrapping_add(1), Ordering::Relaxed);
        if misses >= MISSES && waits % RETRY != 0 {
            return false;
        }
        let trying = step < MOST && waits % TRY == TRY - 1;
        let first = if trying { MOST } else { step };
        if spin(1 << first, &ready) {
            let next = match count(if trying { MUCH } else { SOME }) {
                MUCH.. if trying => MOST,
                _ if trying => step,
                SOME.. => (step + 1).min(MOST),
                _ if step < 2 => step + 1,
                _ => step - 1,
            };
            self.step.store(next, Ordering::Relaxed);
            self.misses.store(0, Ordering::Relaxed);
            return true;
        }
        self.step.store(step.saturating_sub(1), Ordering::Relaxed);
        let came = (0..LOOKS).any(|_| spin(1, &ready)) || (1..spins()).any(|step| spin(1 << step, &ready));
        self.misses.store(if came { 0 } else { misses.saturating_add(1) }, Ordering::Relaxed);
        came
    }
}

pub(crate) fn has_passed(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|deadline| deadline <= Instant::now())
}

/// Looks for a moment whether it is `ready`, without sleeping.
pub(crate) fn spin_until(ready: &impl Fn() -> bool) -> bool {
    (0..spins()).any(|step| spin(1 << step, ready)) || (0..YIELDS).any(|_| yield_to_others(ready))
}

fn spin(pauses: u32, ready: impl Fn() -> bool) -> bool {
    for _ in 0..pauses {
        hint::spin_loop();
    }
    ready()
}

/// How many times to let others run before sleeping. If there are more of them than CPUs, the one who fills or empties the
/// queue does so in one go, instead of being interrupted for each item by who is woken.
const YIELDS: u32 = 8;

fn yield_to_others(ready: impl Fn() -> bool) -> bool {
    thread::yield_now();
    ready()
}

/// How many steps to look before sleeping: for about as long as it takes to sleep and be woken. Each takes twice as long
/// as the one before.
fn spins() -> u32 {
    // On one CPU nobody else can run while somebody spins.
    if ipc_core::can_spin() { 8 } else { 0 }
}

#[cfg(test)]
mod tests {
    use std::mem;

    use super::*;
    use crate::queue::Queue;

    fn count(end: &End) -> u32 {
        end.sleepers.load(Ordering::Relaxed) & COUNT
    }

    #[test]
    fn who_comes_after_a_reset_stays_counted_when_one_from_before_goes() {
        let queue = Queue::<u32>::bounded(1).unwrap();
        let end = &queue.core.queue().tail;
        let early = Asleep::new(end);
        end.moved(1);
        assert_eq!(count(end), 0, "nobody was there to be woken");
        let late = Asleep::new(end);
        drop(early);
        assert_eq!(count(end), 1, "forgotten, it would sleep until it looks again by itself");
        drop(late);
        assert_eq!(count(end), 0);
    }

    #[test]
    fn the_killed_are_counted_until_nobody_is_woken() {
        let queue = Queue::<u32>::bounded(1).unwrap();
        let end = &queue.core.queue().tail;
        (0..1000).for_each(|_| mem::forget(Asleep::new(end)));
        assert_eq!(count(end), 1000);
        end.moved(1);
        assert_eq!(count(end), 0);
        drop(Asleep::new(end));
        assert_eq!(count(end), 0);
    }

    #[test]
    fn who_has_come_since_is_not_forgotten_by_a_reset() {
        let queue = Queue::<u32>::bounded(1).unwrap();
        let end = &queue.core.queue().tail;
        let early = Asleep::new(end);
        let seen = end.sleepers.load(Ordering::Relaxed);
        drop(early);
        let late = Asleep::new(end);
        end.wake(1, seen);
        assert_eq!(count(end), 1);
        drop(late);
    }
}
