//! Waiting until an end of the queue moves.

use std::hint;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use ipc_core::{ParticipantId, Segment, futex};
use ipc_lock::raw::{Lookout, Patience, Slept};

use crate::layout::End;

impl End {
    /// Wakes as many as have something to do now that this end has moved by `count`.
    #[inline]
    pub(crate) fn moved(&self, count: u32) {
        if self.asleep.load(Ordering::Relaxed) != 0 {
            self.wake(count);
        }
    }

    #[cold]
    fn wake(&self, count: u32) {
        self.asleep.store(0, Ordering::Relaxed);
        self.signal.fetch_add(1, Ordering::Release);
        // Where so many slept there may be more.
        if futex::wake(&self.signal, count) >= count as usize {
            self.asleep.store(1, Ordering::Relaxed);
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

    /// Waits for a while, or until `ready`, which is asked again and again.
    pub(crate) fn wait(&mut self, ready: impl Fn() -> bool) -> Slept {
        if spin_until(&ready) {
            return Slept::Woken;
        }
        let signal = self.end.signal.load(Ordering::Acquire);
        self.end.asleep.store(1, Ordering::Relaxed);
        // Who moves the end looks then whether somebody sleeps, without a fence, which would cost more than all the rest.
        // Until what was stored here and there is seen on both sides takes less time than this.
        if (0..spins().min(5)).any(|step| spin(step, &ready)) || ready() {
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

/// Looks for a moment whether it is `ready`, without sleeping.
pub(crate) fn spin_until(ready: &impl Fn() -> bool) -> bool {
    (0..spins()).any(|step| spin(step, ready)) || (0..YIELDS).any(|_| yield_to_others(ready))
}

/// Looks ever more seldom, since each look takes the end away from the CPU that moves it.
#[inline]
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
