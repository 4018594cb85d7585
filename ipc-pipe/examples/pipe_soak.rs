//! Senders and receivers at shared ends of pipes, and one who kills them at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-pipe --example pipe_soak -- --seconds 600`. The killed are replaced at once. Every message
//! has a byte in shared memory, where it is written down that its send began, that it returned, and that it was received;
//! at the end all of them are looked at. One of the processes has the only sending end of a pipe, whose end is awaited each
//! time that it is killed; another opens and closes pipes all the time. Ends with 1 if a message is missing that no killed
//! receiver was at, or was there twice, or if anybody hung, or anything was left behind.
#![allow(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ipc_core::{Blob, Place, Segment, Spec};
use ipc_crash_test::soak::{Random, entries, kill_and_reap, seconds, start};
use ipc_pipe::{
    Builder, Receiver, RecvError, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, one_way, pipe,
};

const SENDERS: usize = 3;
/// Has the only sending end of a pipe.
const HOLDER: usize = 6;
/// Opens and closes pipes.
const OPENER: usize = 7;
const PROCESSES: usize = 8;
/// Whoever is at one operation for longer than this hangs: with this many processes on few CPUs, much longer than the
/// contract's 100 ms.
const HANG: Duration = Duration::from_secs(5);
/// Between two kills, on average.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a send or a recv waits.
const PATIENCE: Duration = Duration::from_micros(500);
/// Messages a second for which there is a byte each.
const RATE: u64 = 1_000_000;

/// What is known of a message.
const BEGUN: u8 = 1;
const SENT: u8 = 2;
const RECEIVED: u8 = 4;

/// What the processes count together.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    /// The next message's number.
    Next,
    Sent,
    Received,
    Refused,
    Cycles,
    Ends,
    Duplicated,
    Disordered,
    Garbage,
    Faults,
    Hangs,
}

const COUNTS: [(Count, &str); 11] = [
    (Count::Next, "messages begun"),
    (Count::Sent, "messages sent"),
    (Count::Received, "messages received"),
    (Count::Refused, "sends refused: the pipe is full"),
    (Count::Cycles, "pipes opened and closed"),
    (Count::Ends, "ends after a kill"),
    (Count::Duplicated, "duplicated"),
    (Count::Disordered, "in another order than their sender sent them"),
    (Count::Garbage, "that nobody had sent"),
    (Count::Faults, "faults"),
    (Count::Hangs, "hangs"),
];

/// A message's number, who sent it, and maybe a blob with the number in it.
type Item = (u64, u32, Option<Blob>);

/// What all share.
struct World {
    ledger: Segment,
    counts: Place<[AtomicU64; COUNTS.len()]>,
    /// When each process began what it does, in nanoseconds.
    since: Place<[AtomicU64; PROCESSES]>,
    /// Whether each process is about to take a message.
    taking: Place<[AtomicU64; PROCESSES]>,
    /// Of many sizes, and so growing and shrinking.
    bytes: (Sender<[u8]>, Receiver<[u8]>),
    values: (Sender<Item>, Receiver<Item>),
}

/// The last number from each sender, through each pipe.
type Last = [[u64; SENDERS]; 2];

impl World {
    fn new(messages: u64) -> ipc_core::Result<World> {
        let segment = Segment::anonymous(&Spec::new("soak", 1).len(4096))?;
        Ok(World {
            ledger: Segment::anonymous(&Spec::new("ledger", 1).len(messages))?,
            counts: Place::new(&segment, 0)?,
            since: Place::new(&segment, 1024)?,
            taking: Place::new(&segment, 2048)?,
            bytes: Builder::new().ring(1 << 16).one_way()?,
            values: Builder::new().ring(4096).one_way()?,
        })
    }

    fn messages(&self) -> &[AtomicU8] {
        self.ledger.slice(0, self.ledger.len() as usize).expect("it is that long")
    }

    fn add(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, SeqCst);
    }

    /// A number for a message, whose send begins now.
    fn begin(&self) -> u64 {
        let number = self.counts[Count::Next as usize].fetch_add(1, SeqCst);
        assert!(number < self.ledger.len(), "too fast: there is no room in the ledger");
        self.messages()[number as usize].fetch_or(BEGUN, SeqCst);
        number
    }

    fn note_sent<T>(&self, number: u64, sent: Result<(), SendTimeoutError<T>>) {
        match sent {
            Ok(()) => {
                self.messages()[number as usize].fetch_or(SENT, SeqCst);
                self.add(Count::Sent);
            }
            Err(SendTimeoutError::Timeout(_)) => self.add(Count::Refused),
            Err(error) => {
                eprintln!("{error}");
                self.add(Count::Faults);
            }
        }
    }

    /// That was received. `last` is what came last from each sender through this pipe.
    fn note_received(&self, number: u64, place: u32, last: &mut [u64; SENDERS]) {
        self.add(Count::Received);
        let (Some(message), Some(last)) =
            (self.messages().get(number as usize), last.get_mut(place as usize))
        else {
            return self.add(Count::Garbage);
        };
        match message.fetch_or(RECEIVED, SeqCst) {
            before if before & BEGUN == 0 => self.add(Count::Garbage),
            before if before & RECEIVED != 0 => self.add(Count::Duplicated),
            _ => {}
        }
        if number < *last {
            self.add(Count::Disordered);
        }
        *last = number;
    }

    fn note_bytes(&self, bytes: &[u8], last: &mut Last) {
        let number = bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        let place = bytes.get(8..12).and_then(<[u8]>::first_chunk);
        let place = place.map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
        self.note_received(number, place, &mut last[0]);
    }

    fn note_item(&self, (number, place, blob): Item, last: &mut Last) {
        if blob.is_some_and(|blob| blob[..] != number.to_le_bytes()) {
            self.add(Count::Garbage);
        }
        self.note_received(number, place, &mut last[1]);
    }

    fn send(&self, place: usize, random: &mut Random) {
        let number = self.begin();
        if random.below(2) == 0 {
            let mut bytes = vec![0; 12 + size(random)];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            bytes[8..12].copy_from_slice(&(place as u32).to_le_bytes());
            self.note_sent(number, self.bytes.0.send_bytes_timeout(&bytes, PATIENCE));
        } else {
            let has_blob = random.below(10) == 0;
            let blob = has_blob.then(|| Blob::new(&number.to_le_bytes()).expect("there is memory"));
            self.note_sent(number, self.values.0.send_timeout((number, place as u32, blob), PATIENCE));
        }
    }

    fn receive(&self, place: usize, random: &mut Random, last: &mut Last) {
        self.taking[place].store(1, SeqCst);
        let fault = |error: RecvTimeoutError| match error {
            RecvTimeoutError::Timeout => {}
            error => {
                eprintln!("{error}");
                self.add(Count::Faults);
            }
        };
        if random.below(2) == 0 {
            match self.bytes.1.recv_bytes_timeout(PATIENCE) {
                Ok(bytes) => self.note_bytes(&bytes, last),
                Err(error) => fault(error),
            }
        } else {
            match self.values.1.recv_timeout(PATIENCE) {
                Ok(item) => self.note_item(item, last),
                Err(error) => fault(error),
            }
        }
        self.taking[place].store(0, SeqCst);
    }

    /// Opens a pipe, uses it, and closes one end after the other.
    fn cycle(&self) {
        let (here, there) = pipe::<u64, Sender<u64>>().expect("there is a descriptor");
        let (sender, receiver) = one_way().expect("there is a descriptor");
        there.send(sender).expect("nobody has left");
        let sender = here.recv().expect("it was sent");
        drop(there);
        sender.send(7).expect("nobody has left");
        drop(sender);
        let good = receiver.recv().is_ok_and(|number| number == 7)
            && matches!(receiver.recv(), Err(RecvError::Closed))
            && here.send(7).is_err()
            && matches!(here.recv(), Err(RecvError::Closed));
        self.add(if good { Count::Cycles } else { Count::Faults });
    }

    fn work(&self, place: usize, seed: u64, held: Option<Sender<u64>>) -> ! {
        let mut random = Random::new(seed);
        let mut last = [[0; SENDERS]; 2];
        let mut next = 0;
        loop {
            self.since[place].store(ipc_core::monotonic().as_nanos() as u64, SeqCst);
            match (place, &held) {
                (HOLDER, Some(sender)) => {
                    next += u64::from(sender.send_timeout(next, PATIENCE).is_ok());
                }
                (HOLDER | OPENER, _) => self.cycle(),
                (0..SENDERS, _) => self.send(place, &mut random),
                _ => self.receive(place, &mut random, &mut last),
            }
        }
    }

    /// Everything that was sent before the kill, in its order, and then the end.
    fn await_end(&self, receiver: &Receiver<u64>) {
        let mut expected = 0;
        loop {
            match receiver.recv_timeout(HANG) {
                Ok(number) if number == expected => expected += 1,
                Ok(_) => self.add(Count::Disordered),
                Err(RecvTimeoutError::Closed) => return self.add(Count::Ends),
                Err(RecvTimeoutError::Timeout) => return self.add(Count::Hangs),
                Err(_) => self.add(Count::Faults),
            }
        }
    }

    /// Everything that is left, received by this process.
    fn drain(&self) {
        let mut last = [[0; SENDERS]; 2];
        while let Ok(bytes) = self.bytes.1.try_recv_bytes() {
            self.note_bytes(&bytes, &mut last);
        }
        while let Ok(item) = self.values.1.try_recv() {
            self.note_item(item, &mut last);
        }
    }

    /// Whether all pipes are empty, work, and have given their memory back.
    fn works(&self) -> bool {
        let begin = Instant::now();
        while self.bytes.1.incoming_stats().memory > 1 << 20 && begin.elapsed() < HANG {
            let _ = self.bytes.1.try_recv_bytes();
            std::thread::sleep(Duration::from_millis(10));
        }
        let is_small = self.bytes.1.incoming_stats().memory <= 1 << 20;
        let empty = matches!(self.bytes.1.try_recv_bytes(), Err(TryRecvError::Empty))
            && matches!(self.values.1.try_recv(), Err(TryRecvError::Empty));
        let works = self.bytes.0.send_bytes_timeout(b"x", HANG).is_ok()
            && self.bytes.1.recv_bytes_timeout(HANG).is_ok_and(|bytes| bytes == b"x")
            && self.values.0.send_timeout((7, 7, None), HANG).is_ok()
            && self.values.1.recv_timeout(HANG).is_ok_and(|item| item.0 == 7);
        if !(is_small && empty && works) {
            eprintln!("small: {is_small}, empty: {empty}, works: {works}");
        }
        is_small && empty && works
    }
}

/// Mostly small, now and then so large that it needs memory of its own.
fn size(random: &mut Random) -> usize {
    match random.below(500) {
        0 => random.below(3_000_000) as usize,
        1..10 => random.below(300_000) as usize,
        10..100 => random.below(5_000) as usize,
        _ => random.below(100) as usize,
    }
}

/// A running process, and the receiving end of what it alone sends, if it is the one that does.
struct Worker {
    pid: i32,
    alone: Option<Receiver<u64>>,
}

impl Worker {
    fn start(world: &World, place: usize, seed: u64) -> Worker {
        let (held, alone) = if place == HOLDER {
            let (sender, receiver) = one_way().expect("there is a descriptor");
            (Some(sender), Some(receiver))
        } else {
            (None, None)
        };
        world.since[place].store(ipc_core::monotonic().as_nanos() as u64, SeqCst);
        // The child has a copy of what is dropped here.
        Worker { pid: start(|| world.work(place, seed, held)), alone }
    }

    /// Whether it was this process's kill that ended it.
    fn kill(&self, world: &World) -> bool {
        let killed = kill_and_reap(self.pid);
        if let Some(receiver) = &self.alone {
            world.await_end(receiver);
        }
        killed
    }
}

fn main() -> ExitCode {
    let seconds = seconds();
    let (descriptors, files) = (entries("/proc/self/fd"), entries("/dev/shm"));
    let begin = Instant::now();
    let mut random = Random::of_this_run();
    let world = World::new(RATE * seconds).expect("pipes can be made");
    let mut workers: Vec<Worker> =
        (0..PROCESSES).map(|place| Worker::start(&world, place, random.next() | 1)).collect();
    let (mut kills, mut allowed, mut longest, mut by_itself) = (0_u64, 0_u64, Duration::ZERO, 0_u64);
    while begin.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_nanos(random.below(2 * PAUSE.as_nanos() as u64)));
        for (place, since) in world.since.iter().enumerate() {
            let now = ipc_core::monotonic().as_nanos() as u64;
            let time = Duration::from_nanos(now.saturating_sub(since.load(SeqCst)));
            if time > HANG {
                world.add(Count::Hangs);
                eprintln!("hang: {place} for {time:?}");
                since.store(now, SeqCst);
            }
            longest = longest.max(time);
        }
        let place = random.below(PROCESSES as u64) as usize;
        by_itself += u64::from(!workers[place].kill(&world));
        allowed += world.taking[place].swap(0, SeqCst);
        kills += 1;
        workers[place] = Worker::start(&world, place, random.next() | 1);
    }
    for (place, worker) in workers.iter().enumerate() {
        by_itself += u64::from(!worker.kill(&world));
        allowed += world.taking[place].swap(0, SeqCst);
    }
    world.drain();
    let works = world.works();
    let elapsed = begin.elapsed().as_secs_f64();
    let counts: Vec<u64> = world.counts.iter().map(|count| count.load(SeqCst)).collect();
    let states = |want: u8| {
        let messages = world.messages().iter().take(counts[Count::Next as usize] as usize);
        messages.filter(|message| message.load(SeqCst) & (SENT | RECEIVED) == want).count() as u64
    };
    let (missing, half) = (states(SENT), states(RECEIVED));
    let lost = missing.saturating_sub(allowed);
    drop((world, workers));

    println!("{elapsed:.1} s, {PROCESSES} processes, {kills} kills ({:.0} a second)", kills as f64 / elapsed);
    for (count, name) in COUNTS {
        println!("{:>12} {name}", counts[count as usize]);
    }
    println!("{half:>12} received of those whose send did not return");
    println!("{missing:>12} taken by killed receivers, who may have taken {allowed}");
    println!("{lost:>12} lost");
    println!("{:>12.1} ms was the longest that anybody was at one operation", longest.as_secs_f64() * 1e3);
    println!("{by_itself:>12} ended by themselves");
    let left =
        (entries("/proc/self/fd").saturating_sub(descriptors), entries("/dev/shm").saturating_sub(files));
    println!("left behind: {} descriptors, {} files; all pipes work: {works}", left.0, left.1);
    let bad: u64 = counts[Count::Duplicated as usize..].iter().sum();
    let progress = [Count::Sent, Count::Received, Count::Cycles, Count::Ends];
    let progress = progress.iter().all(|&count| counts[count as usize] > 0);
    if bad + lost + by_itself == 0 && works && progress && left == (0, 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
