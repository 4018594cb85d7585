//! Senders and receivers at shared ends of pipes, and one who kills them at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-pipe --example pipe_soak -- --seconds 600`. The killed are replaced at once. Every message
//! has a byte in shared memory, where it is written down that its send began, that it returned, and that it was received;
//! at the end all of them are looked at. One of the processes has the only sending end of a pipe, whose end is awaited each
//! time that it is killed; another opens and closes pipes all the time. Ends with 1 if a message is missing that no killed
//! receiver was at, or was there twice, or if anybody hung, or anything was left behind.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipc_core::Blob;
use ipc_crash_test::soak::{Count, HANG, Random, Soak, kill_and_reap, seconds, start, traces};
use ipc_pipe::{
    Builder, Receiver, RecvError, RecvTimeoutError, SendTimeoutError, Sender, TryRecvError, one_way, pipe,
};

const SENDERS: usize = 3;
/// Has the only sending end of a pipe.
const HOLDER: usize = 6;
/// Opens and closes pipes.
const OPENER: usize = 7;
const PROCESSES: usize = 8;
/// How long a send or a recv waits.
const PATIENCE: Duration = Duration::from_micros(500);
/// Messages a second that there is room for.
const RATE: u64 = 1_000_000;

/// A message's number, who sent it, and maybe a blob with the number in it.
type Item = (u64, u32, Option<Blob>);

/// What all share.
struct World {
    soak: Soak<PROCESSES>,
    /// Of many sizes, and so growing and shrinking.
    bytes: (Sender<[u8]>, Receiver<[u8]>),
    values: (Sender<Item>, Receiver<Item>),
}

/// The last number from each sender, through each pipe.
type Last = [[u64; SENDERS]; 2];

impl World {
    fn new(messages: u64) -> ipc_core::Result<World> {
        Ok(World {
            soak: Soak::new(messages),
            bytes: Builder::new().ring(1 << 16).one_way()?,
            values: Builder::new().ring(4096).one_way()?,
        })
    }

    fn note_sent<T>(&self, number: u64, sent: Result<(), SendTimeoutError<T>>) {
        match sent {
            Ok(()) => self.soak.sent(number..number + 1),
            Err(SendTimeoutError::Timeout(_)) => self.soak.add(Count::Refused),
            Err(error) => {
                eprintln!("{error}");
                self.soak.add(Count::Faults);
            }
        }
    }

    fn note_bytes(&self, bytes: &[u8], last: &mut Last) {
        let number = bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
        let place = bytes.get(8..12).and_then(<[u8]>::first_chunk);
        let place = place.map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
        self.soak.received(number, place, &mut last[0]);
    }

    fn note_item(&self, (number, place, blob): Item, last: &mut Last) {
        if blob.is_some_and(|blob| blob[..] != number.to_le_bytes()) {
            self.soak.add(Count::Garbage);
        }
        self.soak.received(number, place, &mut last[1]);
    }

    fn send(&self, place: usize, random: &mut Random) {
        let number = self.soak.begin(1).start;
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
        self.soak.takes(place, 1);
        let fault = |error: RecvTimeoutError| match error {
            RecvTimeoutError::Timeout => {}
            error => {
                eprintln!("{error}");
                self.soak.add(Count::Faults);
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
        self.soak.takes(place, 0);
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
        self.soak.add(if good { Count::Cycles } else { Count::Faults });
    }

    fn work(&self, place: usize, seed: u64, held: Option<Sender<u64>>) -> ! {
        let mut random = Random::new(seed);
        let mut last = [[0; SENDERS]; 2];
        let mut next = 0;
        loop {
            self.soak.begin_at(place);
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
                Ok(_) => self.soak.add(Count::Disordered),
                Err(RecvTimeoutError::Closed) => return self.soak.add(Count::Ends),
                Err(RecvTimeoutError::Timeout) => return self.soak.add(Count::Hangs),
                Err(_) => self.soak.add(Count::Faults),
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
    let (seconds, before) = (seconds(), traces());
    let world = World::new(RATE * seconds).expect("pipes can be made");
    let start = |place, seed| Worker::start(&world, place, seed);
    let kill = |worker: Worker| worker.kill(&world);
    let kills = world.soak.run(Duration::from_secs(seconds), start, kill, || ());
    world.drain();
    let works = world.works();
    let good = world.soak.report(&kills);
    let progress = [Count::Cycles, Count::Ends].iter().all(|&of| world.soak.count(of) > 0);
    drop(world);
    let after = traces();
    let left = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    println!("left behind: {} descriptors, {} files; all pipes work: {works}", left.0, left.1);
    if good && works && progress && left == (0, 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
