//! Two processes that wake each other in turn, in our ways and others'.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::{Fd, Segment, Spec, futex};
use ipc_lock::{Condvar, Event, Mutex};
use ipc_pipe::{Connection, pipe};
use ipc_process::spawn;
use ipc_queue::Queue;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::cpus::Cpus;

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

/// As many bytes as an item of the queue or pipe below, and a word in front that lets them be seen, for each side: looked at
/// all the time, with nothing around it. What two lines take, whoever sends them.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct ByRecord(Segment);

impl ByRecord {
    /// One record lies behind the other; the first comes again when it is out of the way.
    fn words(&self, side: usize, round: u32) -> &[AtomicU64; 9] {
        self.0.at(side as u64 * 4096 + u64::from(round % 56) * 72).expect("it is large enough")
    }
}

impl PingPong for ByRecord {
    fn new() -> ByRecord {
        let spec = Spec::new("bench-record", 1).len(2 * 4096);
        ByRecord(Segment::anonymous(&spec).expect("there is memory"))
    }

    fn wait(&self, side: usize, round: u32) {
        let [first, bytes @ ..] = self.words(side, round);
        while first.load(Ordering::Acquire) != u64::from(round) {
            std::hint::spin_loop();
        }
        assert!(bytes.iter().all(|word| word.load(Ordering::Relaxed) == u64::from(round)));
    }

    fn wake(&self, side: usize, round: u32) {
        let [first, bytes @ ..] = self.words(1 - side, round);
        bytes.iter().for_each(|word| word.store(round.into(), Ordering::Relaxed));
        first.store(round.into(), Ordering::Release);
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

/// As [`ping`], each round by itself; with a pause before it, if asked for, long enough for the other to fall asleep.
fn ping_each<P: PingPong>(pair: P, rounds: u32, cpus: Cpus, seldom: bool) -> Vec<Duration> {
    cpus.pin(0);
    let mut times = Vec::new();
    for round in 1..=rounds + 1 {
        if seldom {
            thread::sleep(Duration::from_micros(300));
        }
        let start = Instant::now();
        pair.wake(0, round);
        pair.wait(0, round);
        times.push(start.elapsed());
    }
    // The first waits for the start of the other.
    times.split_off(1)
}

/// The time of each of so many rounds there and back between two processes; with a pause before each that wakes both.
pub(crate) fn ping_pong_each<P: PingPong>(rounds: u32, cpus: Cpus, seldom: bool) -> Vec<Duration> {
    let pair = P::new();
    let mut pong = spawn(pong::<P>, (pair.clone(), rounds, cpus)).expect("it starts");
    let mut ping = spawn(ping_each::<P>, (pair, rounds, cpus, seldom)).expect("it starts");
    let times = ping.join().expect("it returns");
    pong.join().expect("it returns");
    times
}

/// The time for that many rounds there and back between two processes.
pub(crate) fn ping_pong<P: PingPong>(rounds: u32, cpus: Cpus) -> Duration {
    let pair = P::new();
    let mut pong = spawn(pong::<P>, (pair.clone(), rounds, cpus)).expect("it starts");
    let time = spawn(ping::<P>, (pair, rounds, cpus)).expect("it starts").join().expect("it returns");
    pong.join().expect("it returns");
    time
}
