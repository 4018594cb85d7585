//! Loom's atomics, and a model of futexes and of kills.
//!
//! Every operation on a word, every sleep and every wake is a step, and a thread can be killed before any of its
//! steps: see [`killed_at`].
//!
//! A sleep on a word ends by itself: the sleeper looks again, as it does after a while in reality. On a word for which
//! [`wait_for_wakes`](AtomicU32::wait_for_wakes) was called it ends by a wake-up only, so that a lost one is a deadlock.
//!
//! Two that look again in turn while a third is kept from running would go on for ever. So an execution in which a
//! thread has slept [`SLEEPS`] times is run to its end in one order only, a fair one.

use std::cell::Cell;
use std::time::Duration;

pub(crate) use ipc_core::futex::Wake;
pub(crate) use loom::hint::spin_loop;
pub(crate) use loom::sync::atomic::{Ordering, fence};
use loom::sync::{Condvar, Mutex, atomic};

use kill::step;
#[cfg(test)]
pub(crate) use kill::{killed_at, kills};

/// So many sleeps of a thread are explored.
const SLEEPS: u32 = 1;

loom::thread_local! {
    static SLEPT: Cell<u32> = Cell::new(0);
}

/// Those who sleep on a word.
struct Queue {
    lock: Mutex<()>,
    woken: Condvar,
}

macro_rules! atomic {
    ($name:ident, $value:ty $(, $queue:ident)?) => {
        pub(crate) struct $name {
            value: atomic::$name,
            $($queue: Option<Queue>,)?
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }

        #[allow(dead_code)]
        impl $name {
            pub(crate) fn new(value: $value) -> $name {
                $name { value: atomic::$name::new(value) $(, $queue: None)? }
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                if step() { self.value.load(order) } else { 0 }
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                if step() {
                    self.value.store(value, order);
                }
            }

            pub(crate) fn fetch_add(&self, value: $value, order: Ordering) -> $value {
                if step() { self.value.fetch_add(value, order) } else { 0 }
            }

            pub(crate) fn fetch_or(&self, value: $value, order: Ordering) -> $value {
                if step() { self.value.fetch_or(value, order) } else { 0 }
            }

            pub(crate) fn fetch_max(&self, value: $value, order: Ordering) -> $value {
                if step() { self.value.fetch_max(value, order) } else { 0 }
            }

            pub(crate) fn compare_exchange(
                &self,
                from: $value,
                to: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                if step() { self.value.compare_exchange(from, to, success, failure) } else { Ok(from) }
            }

            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut f: impl FnMut($value) -> Option<$value>,
            ) -> Result<$value, $value> {
                let mut value = self.load(failure);
                while let Some(new) = f(value) {
                    match self.compare_exchange(value, new, success, failure) {
                        Ok(old) => return Ok(old),
                        Err(now) => value = now,
                    }
                }
                Err(value)
            }
        }
    };
}
atomic!(AtomicU32, u32, queue);
atomic!(AtomicU64, u64);

impl AtomicU32 {
    /// From now on a sleep on this word ends by a wake-up only.
    #[cfg(test)]
    pub(crate) fn wait_for_wakes(&mut self) {
        self.queue = Some(Queue { lock: Mutex::new(()), woken: Condvar::new() });
    }
}

/// Sleeps while the word is `expected`. Only whether there is any time to sleep matters, not how much.
pub(crate) fn wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> Wake {
    if !step() {
        return Wake::Woken;
    }
    // As the kernel does it: looks and falls asleep within a lock that who wakes takes as well.
    let asleep = word.queue.as_ref().map(|queue| (queue, queue.lock.lock().unwrap()));
    // The kernel sees the last value, as an exchange does, also one that fails. Who saw old ones could sleep for ever.
    if word.value.compare_exchange(u32::MAX, u32::MAX, Ordering::Relaxed, Ordering::Relaxed) != Err(expected)
    {
        return Wake::Woken;
    }
    if let Some((queue, lock)) = asleep
        && timeout > Duration::ZERO
    {
        drop(queue.woken.wait(lock).unwrap());
        return Wake::Woken;
    }
    let slept = SLEPT.with(|slept| slept.replace(slept.get() + 1));
    if slept == SLEEPS {
        loom::skip_branch();
    }
    loom::thread::yield_now();
    Wake::TimedOut
}

/// Wakes one who sleeps on the word, or all.
pub(crate) fn wake(word: &AtomicU32, count: u32) {
    if !step() {
        return;
    }
    if let Some(queue) = &word.queue {
        let _lock = queue.lock.lock().unwrap();
        if count == 1 {
            queue.woken.notify_one();
        } else {
            queue.woken.notify_all();
        }
    }
}

/// Wakes all who sleep on the word.
pub(crate) fn wake_all(word: &AtomicU32) {
    wake(word, u32::MAX);
}

/// Threads that stop for good between two steps.
#[cfg(test)]
mod kill {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    struct Killed;

    loom::thread_local! {
        /// How many steps this thread has left, if it is to be killed.
        static LEFT: Cell<Option<u32>> = Cell::new(None);
    }
    std::thread_local! {
        /// How many were killed. Loom runs all threads of a model in one.
        static KILLS: Cell<usize> = const { Cell::new(0) };
    }

    /// One step of this thread; false if it is dead, and only being cleared away: what it does then does not happen.
    pub(super) fn step() -> bool {
        match LEFT.with(Cell::get) {
            None => true,
            Some(0) => {
                if !std::thread::panicking() {
                    KILLS.set(KILLS.get() + 1);
                    resume_unwind(Box::new(Killed));
                }
                false
            }
            Some(left) => {
                LEFT.with(|cell| cell.set(Some(left - 1)));
                true
            }
        }
    }

    /// Runs `f` in a process that is killed after so many steps; `None` if it was. It may not hold anything of loom's
    /// own, except what is cleared away without a step.
    pub(crate) fn killed_at<R>(steps: u32, f: impl FnOnce() -> R) -> Option<R> {
        LEFT.with(|cell| cell.set(Some(steps)));
        let result = catch_unwind(AssertUnwindSafe(f));
        LEFT.with(|cell| cell.set(None));
        match result {
            Ok(result) => Some(result),
            Err(panic) if panic.is::<Killed>() => None,
            Err(panic) => resume_unwind(panic),
        }
    }

    /// How many were killed so far.
    pub(crate) fn kills() -> usize {
        KILLS.get()
    }
}

#[cfg(not(test))]
mod kill {
    pub(super) fn step() -> bool {
        true
    }
}
