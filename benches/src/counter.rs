//! Counters under a lock, permits and flags, ours and others', with the time it takes to use them.

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::monotonic;
use ipc_lock::{Barrier, Event, Mutex, OwnerDied, Semaphore};
use ipc_process::{Child, spawn};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::raw::{RobustMutex, Sem, cpu_time};

/// A counter under a lock.
pub(crate) trait Counter: Clone + Send + Sync + 'static {
    fn new() -> Self;
    /// Adds 1 under the lock.
    fn add(&self);
    fn value(&self) -> u64;
}

/// A lock that processes can share. What is waited for is the same for all of them.
pub(crate) trait Lock: Counter + Serialize + DeserializeOwned {
    /// Waits for the lock and keeps it until the process ends; whether the previous owner died.
    fn lock_for_good(&self) -> bool;
    /// Waits that long for the lock, which is never free.
    fn wait_in_vain(&self, timeout: Duration);
}

/// Ours.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Ours(Mutex<u64>);

impl Counter for Ours {
    fn new() -> Ours {
        Ours(Mutex::new(0).expect("there is memory"))
    }

    #[inline]
    fn add(&self) {
        *self.0.lock().unwrap_or_else(OwnerDied::into_inner) += 1;
    }

    fn value(&self) -> u64 {
        *self.0.lock().expect("nobody died")
    }
}

impl Lock for Ours {
    fn lock_for_good(&self) -> bool {
        let result = self.0.lock();
        let died = result.is_err();
        std::mem::forget(result);
        died
    }

    fn wait_in_vain(&self, timeout: Duration) {
        assert!(self.0.lock_timeout(timeout).is_err());
    }
}

impl Counter for RobustMutex {
    fn new() -> RobustMutex {
        RobustMutex::new()
    }

    #[inline]
    fn add(&self) {
        RobustMutex::add(self);
    }

    fn value(&self) -> u64 {
        RobustMutex::value(self)
    }
}

impl Lock for RobustMutex {
    fn lock_for_good(&self) -> bool {
        self.lock()
    }

    fn wait_in_vain(&self, timeout: Duration) {
        assert!(!self.lock_timeout(timeout));
    }
}

/// The locks for the threads of one process.
macro_rules! in_process {
    ($name:ident, $mutex:ty, |$lock:ident| $guard:expr) => {
        #[derive(Clone)]
        pub(crate) struct $name(std::sync::Arc<$mutex>);

        impl Counter for $name {
            fn new() -> $name {
                $name(std::sync::Arc::new(<$mutex>::new(0)))
            }

            #[inline]
            fn add(&self) {
                let $lock = &*self.0;
                *$guard += 1;
            }

            fn value(&self) -> u64 {
                let $lock = &*self.0;
                *$guard
            }
        }
    };
}
in_process!(Std, std::sync::Mutex<u64>, |lock| lock.lock().expect("nobody panicked"));
in_process!(ParkingLot, parking_lot::Mutex<u64>, |lock| lock.lock());

/// `count` times lock, add 1, unlock, by nobody but this thread.
pub(crate) fn uncontended<C: Counter>(counter: &C, count: u64) -> Duration {
    let before = counter.value();
    let start = Instant::now();
    for _ in 0..count {
        black_box(counter).add();
    }
    let time = start.elapsed();
    assert_eq!(counter.value(), before + count);
    time
}

/// Adds until it is told to stop; how often.
fn add_until<C: Counter>(counter: &C, stop: impl Fn() -> bool) -> u64 {
    let mut count = 0;
    while !stop() {
        for _ in 0..64 {
            counter.add();
        }
        count += 64;
    }
    count
}

fn adder<L: Lock>(lock: L, together: Barrier, stop: Event) -> u64 {
    together.wait().expect("all come");
    drop(together);
    add_until(&lock, || stop.is_set())
}

/// That many processes add 1 to one counter for a while; how long they take for `count` additions.
pub(crate) fn contended<L: Lock>(processes: u32, window: Duration, count: u64) -> Duration {
    let (lock, stop) = (L::new(), Event::new().expect("there is memory"));
    let together = Barrier::new(processes + 1).expect("there is memory");
    let adders: Vec<_> = (0..processes)
        .map(|_| spawn(adder::<L>, (lock.clone(), together.clone(), stop.clone())).expect("it starts"))
        .collect();
    together.wait().expect("all come");
    let start = Instant::now();
    thread::sleep(window);
    stop.set();
    let time = start.elapsed();
    let total = adders.into_iter().map(|mut adder| adder.join().expect("it returns")).sum();
    assert_eq!(lock.value(), total, "additions are lost");
    per_count(time, total, count)
}

/// As [`contended`], by threads of this process.
pub(crate) fn contended_by_threads<C: Counter>(threads: usize, window: Duration, count: u64) -> Duration {
    let (counter, stop) = (C::new(), AtomicBool::new(false));
    let together = std::sync::Barrier::new(threads + 1);
    let add = || {
        together.wait();
        add_until(&counter, || stop.load(Ordering::Relaxed))
    };
    let (time, total) = thread::scope(|scope| {
        let adders: Vec<_> = (0..threads).map(|_| scope.spawn(add)).collect();
        together.wait();
        let start = Instant::now();
        thread::sleep(window);
        stop.store(true, Ordering::Relaxed);
        (start.elapsed(), adders.into_iter().map(|adder| adder.join().expect("no panic")).sum())
    });
    assert_eq!(counter.value(), total, "additions are lost");
    per_count(time, total, count)
}

fn per_count(time: Duration, total: u64, count: u64) -> Duration {
    time.mul_f64(count as f64 / total as f64)
}

fn holder<L: Lock>(lock: L, locked: Event) {
    lock.lock_for_good();
    locked.set();
    loop {
        thread::park();
    }
}

fn start_holder<L: Lock>(lock: &L) -> Child<()> {
    let locked = Event::new().expect("there is memory");
    let holder = spawn(holder::<L>, (lock.clone(), locked.clone())).expect("it starts");
    locked.wait();
    holder
}

/// When it had the lock.
fn waiter<L: Lock>(lock: L, about_to: Event) -> Duration {
    about_to.set();
    let died = lock.lock_for_good();
    let since = monotonic();
    assert!(died, "the waiter is not told");
    since
}

/// From the SIGKILL of a holder to the moment at which another process has its lock, who slept for a while before.
pub(crate) fn recovery<L: Lock>(asleep: Duration) -> Duration {
    let (lock, about_to) = (L::new(), Event::new().expect("there is memory"));
    let holder = start_holder(&lock);
    let mut waiter = spawn(waiter::<L>, (lock, about_to.clone())).expect("it starts");
    about_to.wait();
    thread::sleep(asleep);
    let killed = monotonic();
    holder.kill().expect("it lives");
    waiter.join().expect("it returns").saturating_sub(killed)
}

fn idle_waiter<L: Lock>(lock: L, time: Duration) -> Duration {
    let before = cpu_time();
    lock.wait_in_vain(time);
    cpu_time() - before
}

/// The CPU time of a process, all its threads, that waits that long for a lock.
pub(crate) fn idle<L: Lock>(time: Duration) -> Duration {
    let lock = L::new();
    let holder = start_holder(&lock);
    let used = spawn(idle_waiter::<L>, (lock, time)).expect("it starts").join().expect("it returns");
    holder.kill().expect("it lives");
    used
}

/// `count` times acquire and release.
pub(crate) fn semaphore(semaphore: &Semaphore, count: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        drop(black_box(semaphore).acquire());
    }
    start.elapsed()
}

/// The same with a `sem_t`.
pub(crate) fn sem_t(sem: &Sem, count: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        black_box(sem).acquire();
        black_box(sem).release();
    }
    start.elapsed()
}

/// `count` times a look at an event.
pub(crate) fn is_set(event: &Event, count: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        black_box(black_box(event).is_set());
    }
    start.elapsed()
}

/// The same with an atomic.
pub(crate) fn load(flag: &AtomicU32, count: u64) -> Duration {
    let start = Instant::now();
    for _ in 0..count {
        black_box(black_box(flag).load(Ordering::Acquire) & 1 != 0);
    }
    start.elapsed()
}
