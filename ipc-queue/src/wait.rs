//! Waiting until an end of the queue moves.

use std::hint;
use std::sync::OnceLock;
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
                sleepers & !COUNT,
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
        Waiter { segment, me, end, sleep }
    }

    /// Waits for a while, or until `ready`, which is asked again and again. `count` says how much there is to do then.
    pub(crate) fn wait(&mut self, pace: &Pace, ready: impl Fn() -> bool, count: impl Fn() -> u64) -> Slept {
        if pace.spin(&ready, count) || (0..YIELDS).any(|_| yield_to_others(&ready)) {
            return Slept::Woken;
        }
        let signal = self.end.signal.load(Ordering::Acquire);
        let _asleep = Asleep::new(self.end);
        // Who moves the end looks then whether somebody sleeps, without a fence, which would cost more than all the rest.
        // Until what was stored here and there is seen on both sides takes less time than this.
        if (0..spins().min(6)).any(|step| spin(step, &ready)) || ready() {
            return Slept::Woken;
        }
        let _waiting = self.end.waiters.enter(self.segment, self.me);
        match &mut self.sleep {
            Sleep::Plain(patience) => patience.sleep(&self.end.signal, signal),
            Sleep::Watching { lookout, dead } => {
                let (segment, me) = (self.segment, self.me);
                let others = || {
                    let ids = segment.ids().map(ParticipantId::word);
                    ids.filter(|id| *id != me && !dead.contains(id)).collect()
                };
                let (slept, found) = lookout.sleep(segment, &self.end.signal, signal, others);
                dead.extend(found);
                slept
            }
        }
    }
}

/// The bits of `sleepers` that count them. The others change with each who comes.
const COUNT: u32 = 0xffff;

/// Counted as a sleeper until it is dropped.
pub(crate) struct Asleep<'a>(&'a End);

impl<'a> Asleep<'a> {
    pub(crate) fn new(end: &'a End) -> Asleep<'a> {
        end.sleepers.fetch_add(COUNT + 2, Ordering::SeqCst);
        Asleep(end)
    }
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        let fewer = |sleepers: u32| (sleepers & COUNT != 0).then(|| sleepers - 1);
        let _ = self.0.sleepers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
    }
}

/// How long to wait before the first look. Each look takes the memory away from the CPU that the other side runs on, so
/// that one who follows right behind the other makes both slow: where much comes soon, it is better to let some
/// gather. Where one thing comes at a time, nothing is waited for.
#[derive(Debug, Default)]
pub(crate) struct Pace(AtomicU32);

impl Pace {
    /// Looks ever more seldom, from the first step on.
    fn spin(&self, ready: impl Fn() -> bool, count: impl Fn() -> u64) -> bool {
        let first = self.0.load(Ordering::Relaxed);
        let Some(step) = (first..spins()).find(|&step| spin(step, &ready)) else { return false };
        let gathered = step == first && (first < 2 || count() > 2);
        self.0
            .store(if gathered { (first + 1).min(MOST) } else { first.saturating_sub(1) }, Ordering::Relaxed);
        true
    }
}

/// The first step at most: about a microsecond.
const MOST: u32 = 5;

/// Looks for a moment whether it is `ready`, without sleeping.
pub(crate) fn spin_until(ready: &impl Fn() -> bool) -> bool {
    (0..spins()).any(|step| spin(step, ready)) || (0..YIELDS).any(|_| yield_to_others(ready))
}

fn spin(step: u32, ready: impl Fn() -> bool) -> bool {
    for _ in 0..1 << step {
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

/// How many times to look before sleeping: for about as long as it takes to sleep and be woken.
fn spins() -> u32 {
    static SPINS: OnceLock<u32> = OnceLock::new();
    // On one CPU nobody else can run while somebody spins.
    *SPINS.get_or_init(|| {
        if std::thread::available_parallelism().is_ok_and(|cpus| cpus.get() > 1) { 7 } else { 0 }
    })
}
