//! What the locks and their peers have to do, with the time it takes.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::{Fd, Segment, Spec, futex, monotonic};
use ipc_lock::{Barrier, Condvar, Event, Mutex, OwnerDied, Semaphore};
use ipc_pipe::{Connection, pipe};
use ipc_process::{Child, spawn};
use ipc_queue::Queue;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
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

/// Two processes that wake each other in turn.
pub(crate) trait PingPong: Clone + Serialize + DeserializeOwned + 'static {
    fn new() -> Self;
    /// Waits for the other, by sleeping. `round` counts from 1, for each of the two.
    fn wait(&self, side: usize, round: u32);
    /// Wakes the other.
    fn wake(&self, side: usize, round: u32);
}

/// An event for each side.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ByEvent([Event; 2]);

impl PingPong for ByEvent {
    fn new() -> ByEvent {
        ByEvent([(); 2].map(|()| Event::new().expect("there is memory")))
    }

    fn wait(&self, side: usize, _: u32) {
        self.0[side].wait();
        self.0[side].clear();
    }

    fn wake(&self, side: usize, _: u32) {
        self.0[1 - side].set();
    }
}

/// A mutex around the number of the round, for each side, and a condition variable for both.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ByCondvar(Mutex<[u32; 2]>, Condvar);

impl PingPong for ByCondvar {
    fn new() -> ByCondvar {
        ByCondvar(Mutex::new([0, 0]).expect("there is memory"), Condvar::new().expect("there is memory"))
    }

    fn wait(&self, side: usize, round: u32) {
        let mut rounds = self.0.lock().expect("nobody died");
        self.1.wait_while(&mut rounds, |rounds| rounds[side] != round).expect("nobody died");
    }

    fn wake(&self, side: usize, round: u32) {
        self.0.lock().expect("nobody died")[1 - side] = round;
        self.1.notify_one();
    }
}

/// A futex word for each side, with nothing around it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ByFutex(Segment);

impl ByFutex {
    /// On cache lines of their own.
    fn word(&self, side: usize) -> &AtomicU32 {
        self.0.at(side as u64 * 64).expect("it is large enough")
    }
}

impl PingPong for ByFutex {
    fn new() -> ByFutex {
        let spec = Spec::new("bench-futex", 1).len(128);
        ByFutex(Segment::anonymous(&spec).expect("there is memory"))
    }

    fn wait(&self, side: usize, round: u32) {
        while self.word(side).load(Ordering::Acquire) != round {
            let _ = futex::wait(self.word(side), round - 1, None);
        }
    }

    fn wake(&self, side: usize, round: u32) {
        self.word(1 - side).store(round, Ordering::Release);
        futex::wake(self.word(1 - side), 1);
    }
}

/// A cache line for each side, looked at all the time.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct BySpin(ByFutex);

impl PingPong for BySpin {
    fn new() -> BySpin {
        BySpin(ByFutex::new())
    }

    fn wait(&self, side: usize, round: u32) {
        while self.0.word(side).load(Ordering::Acquire) != round {
            std::hint::spin_loop();
        }
    }

    fn wake(&self, side: usize, round: u32) {
        self.0.word(1 - side).store(round, Ordering::Release);
    }
}

/// A queue for each side.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ByQueue([Queue<[u8]>; 2]);

impl PingPong for ByQueue {
    fn new() -> ByQueue {
        ByQueue([(); 2].map(|()| Queue::bounded(16).expect("there is memory")))
    }

    fn wait(&self, side: usize, round: u32) {
        let mut item = [0; 64];
        assert_eq!(self.0[side].get_bytes_into(&mut item).expect("nobody closes it"), 64);
        assert_eq!(item[..4], round.to_le_bytes());
    }

    fn wake(&self, side: usize, round: u32) {
        let mut item = [0; 64];
        item[..4].copy_from_slice(&round.to_le_bytes());
        self.0[1 - side].put_bytes(&item).expect("nobody closes it");
    }
}

/// A duplex pipe, of which each side has an end.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ByPipe([Connection<[u8]>; 2]);

impl PingPong for ByPipe {
    fn new() -> ByPipe {
        let (here, there) = pipe().expect("there is memory");
        ByPipe([here, there])
    }

    fn wait(&self, side: usize, round: u32) {
        let mut item = [0; 64];
        assert_eq!(self.0[side].recv_bytes_into(&mut item).expect("nobody leaves"), 64);
        assert_eq!(item[..4], round.to_le_bytes());
    }

    fn wake(&self, side: usize, round: u32) {
        let mut item = [0; 64];
        item[..4].copy_from_slice(&round.to_le_bytes());
        self.0[side].send_bytes(&item).expect("nobody leaves");
    }
}

/// A pair of sockets.
#[derive(Serialize, Deserialize)]
pub(crate) struct BySocket([Fd<UnixStream>; 2]);

impl Clone for BySocket {
    fn clone(&self) -> BySocket {
        BySocket([0, 1].map(|side| Fd(self.0[side].try_clone().expect("there is a descriptor"))))
    }
}

impl PingPong for BySocket {
    fn new() -> BySocket {
        let (here, there) = UnixStream::pair().expect("there are sockets");
        BySocket([Fd(here), Fd(there)])
    }

    fn wait(&self, side: usize, round: u32) {
        let mut item = [0; 64];
        (&*self.0[side]).read_exact(&mut item).expect("nobody leaves");
        assert_eq!(item[..4], round.to_le_bytes());
    }

    fn wake(&self, side: usize, round: u32) {
        let mut item = [0; 64];
        item[..4].copy_from_slice(&round.to_le_bytes());
        (&*self.0[side]).write_all(&item).expect("nobody leaves");
    }
}

fn wait_for_item(queue: Queue<u64>, time: Duration) -> Duration {
    let before = cpu_time();
    assert!(queue.get_timeout(time).is_err());
    cpu_time() - before
}

/// The CPU time of a process that waits that long for an item.
pub(crate) fn idle_consumer(time: Duration) -> Duration {
    let queue = Queue::unbounded().expect("there is memory");
    spawn(wait_for_item, (queue, time)).expect("it starts").join().expect("it returns")
}

/// Where the two run.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(crate) enum Cpus {
    /// Where the system puts them: as a rule on one CPU, since only one of them has something to do.
    Any,
    /// On one each, if there are two.
    Two,
}

impl Cpus {
    /// Puts this process there.
    fn pin(self, side: usize) {
        let Cpus::Two = self else { return };
        let allowed = sched_getaffinity(None).expect("it can be asked");
        let all: Vec<_> = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu)).collect();
        let mut mine = CpuSet::new();
        mine.set(all[side % all.len()]);
        sched_setaffinity(None, &mine).expect("it is allowed there");
    }
}

/// The time for that many rounds there and back, after one that waits for the start of the other.
fn ping<P: PingPong>(pair: P, rounds: u32, cpus: Cpus) -> Duration {
    cpus.pin(0);
    pair.wake(0, 1);
    pair.wait(0, 1);
    let start = Instant::now();
    for round in 2..=rounds + 1 {
        pair.wake(0, round);
        pair.wait(0, round);
    }
    start.elapsed()
}

fn pong<P: PingPong>(pair: P, rounds: u32, cpus: Cpus) {
    cpus.pin(1);
    for round in 1..=rounds + 1 {
        pair.wait(1, round);
        pair.wake(1, round);
    }
}

/// As [`ping`], with a pause before each round, long enough for the other to fall asleep, which is not counted.
fn ping_seldom<P: PingPong>(pair: P, rounds: u32) -> Duration {
    let mut time = Duration::ZERO;
    for round in 1..=rounds + 1 {
        thread::sleep(Duration::from_micros(300));
        let start = Instant::now();
        pair.wake(0, round);
        pair.wait(0, round);
        time += if round > 1 { start.elapsed() } else { Duration::ZERO };
    }
    time
}

/// The time for that many rounds, each of which wakes both from their sleep.
pub(crate) fn ping_pong_seldom<P: PingPong>(rounds: u32) -> Duration {
    let pair = P::new();
    let mut pong = spawn(pong::<P>, (pair.clone(), rounds, Cpus::Any)).expect("it starts");
    let time = spawn(ping_seldom::<P>, (pair, rounds)).expect("it starts").join().expect("it returns");
    pong.join().expect("it returns");
    time
}

/// The time for that many rounds there and back between two processes.
pub(crate) fn ping_pong<P: PingPong>(rounds: u32, cpus: Cpus) -> Duration {
    let pair = P::new();
    let mut pong = spawn(pong::<P>, (pair.clone(), rounds, cpus)).expect("it starts");
    let time = spawn(ping::<P>, (pair, rounds, cpus)).expect("it starts").join().expect("it returns");
    pong.join().expect("it returns");
    time
}
