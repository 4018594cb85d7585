//! Producers and consumers of three queues, and one who kills them at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-queue --example queue_soak -- --seconds 600`. The killed are replaced at once. Every item
//! has a byte in shared memory, where it is written down that its put began, that it returned, and that it was received;
//! at the end all of them are looked at. Ends with 1 if one is missing that no killed consumer was at, or was there
//! twice, or if anybody hung.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipc_crash_test::soak::{Count, HANG, Random, Soak, kill_and_reap, seconds, start, traces};
use ipc_queue::{Consumer, Producer, Queue};

const PRODUCERS: usize = 4;
const PROCESSES: usize = 8;
/// How long a put or a get waits.
const PATIENCE: Duration = Duration::from_micros(500);
/// Items a second that there is room for.
const RATE: u64 = 1_000_000;

/// An item's number, and who put it.
type Item = (u64, u32);

/// What all share.
struct World {
    soak: Soak<PROCESSES>,
    /// Of many sizes, and so growing and shrinking.
    bytes: Queue<[u8]>,
    values: Queue<Item>,
    /// By one producer and one consumer, so that its ends come and go.
    roles: Queue<Item>,
}

impl World {
    fn new(items: u64) -> ipc_core::Result<World> {
        Ok(World {
            soak: Soak::new(items),
            bytes: Queue::unbounded()?,
            values: Queue::bounded(64)?,
            roles: Queue::bounded(8)?,
        })
    }

    fn received(&self, (number, place): Item, last: &mut [u64; PRODUCERS]) {
        self.soak.received(number, place, last);
    }

    fn produce(&self, place: usize, random: &mut Random, producer: Option<&Producer<Item>>) {
        let item = |number| (number, place as u32);
        match random.below(10) {
            // So that the backlog, and with it the memory, comes and goes.
            0..3 if self.bytes.len() < 300 => {
                let numbers = self.soak.begin(1);
                let mut bytes = vec![0; 12 + size(random)];
                bytes[..8].copy_from_slice(&numbers.start.to_le_bytes());
                bytes[8..12].copy_from_slice(&(place as u32).to_le_bytes());
                match self.bytes.put_bytes_timeout(&bytes, PATIENCE) {
                    Ok(()) => self.soak.sent(numbers),
                    Err(_) => self.soak.add(Count::Refused),
                }
            }
            3..6 => {
                let numbers = self.soak.begin(1);
                match self.values.put_timeout(item(numbers.start), PATIENCE) {
                    Ok(()) => self.soak.sent(numbers),
                    Err(_) => self.soak.add(Count::Refused),
                }
            }
            // It may have to wait for room, so there must be somebody who gets from this queue: see `consume`.
            6..7 => {
                let numbers = self.soak.begin(1 + random.below(20));
                match self.values.put_all(numbers.clone().map(item)) {
                    Ok(()) => self.soak.sent(numbers),
                    Err(_) => self.soak.add(Count::Faults),
                }
            }
            7..8 => {
                let numbers = self.soak.begin(1);
                if let Ok(mut room) = self.bytes.try_reserve(12) {
                    room.write_at(0, &numbers.start.to_le_bytes());
                    room.write_at(8, &(place as u32).to_le_bytes());
                    if random.below(3) > 0 {
                        room.commit();
                        self.soak.sent(numbers);
                    }
                }
            }
            _ => {
                let Some(producer) = producer else { return };
                let numbers = self.soak.begin(1);
                match producer.put_timeout(item(numbers.start), PATIENCE) {
                    Ok(()) => self.soak.sent(numbers),
                    Err(_) => self.soak.add(Count::Refused),
                }
            }
        }
    }

    fn consume(&self, place: usize, random: &mut Random, consumer: Option<&Consumer<Item>>, last: &mut Last) {
        let take = |count: u64| self.soak.takes(place, count);
        match random.below(10) {
            0..4 => {
                take(1);
                match self.bytes.get_bytes_timeout(PATIENCE) {
                    Ok(bytes) => self.received(item_of(&bytes), &mut last[0]),
                    Err(ipc_queue::GetTimeoutError::Timeout) => {}
                    Err(_) => self.soak.add(Count::Faults),
                }
            }
            4..7 => {
                take(1);
                match self.values.get_timeout(PATIENCE) {
                    Ok(item) => self.received(item, &mut last[1]),
                    Err(ipc_queue::GetTimeoutError::Timeout) => {}
                    Err(_) => self.soak.add(Count::Faults),
                }
            }
            // Where there is something, somebody else may get it, and then more will come.
            7..8 if !self.values.is_empty() => {
                take(8);
                match self.values.get_many(8) {
                    Ok(items) => items.into_iter().for_each(|item| match item {
                        Ok(item) => self.received(item, &mut last[1]),
                        Err(_) => self.soak.add(Count::Faults),
                    }),
                    Err(_) => self.soak.add(Count::Faults),
                }
            }
            _ => {
                let Some(consumer) = consumer else { return };
                take(1);
                match consumer.get_timeout(PATIENCE) {
                    Ok(item) => self.received(item, &mut last[2]),
                    Err(ipc_queue::GetTimeoutError::Timeout) => {}
                    Err(ipc_queue::GetTimeoutError::Closed) => self.soak.add(Count::Ends),
                    Err(_) => self.soak.add(Count::Faults),
                }
            }
        }
        take(0);
    }

    fn work(&self, place: usize, seed: u64) -> ! {
        let mut random = Random::new(seed);
        let begin = || self.soak.begin_at(place);
        begin();
        if place < PRODUCERS {
            let producer = (place == 0).then(|| self.roles.producer().expect("there is a descriptor for it"));
            loop {
                begin();
                self.produce(place, &mut random, producer.as_ref());
            }
        }
        let is_one = place == PRODUCERS;
        let consumer = is_one.then(|| self.roles.consumer().expect("there is a descriptor for it"));
        let mut last = [[0; PRODUCERS]; 3];
        loop {
            begin();
            self.consume(place, &mut random, consumer.as_ref(), &mut last);
        }
    }

    /// Everything that is left, got by this process.
    fn drain(&self) {
        let mut last = [[0; PRODUCERS]; 3];
        while let Ok(bytes) = self.bytes.try_get_bytes() {
            self.received(item_of(&bytes), &mut last[0]);
        }
        while let Ok(item) = self.values.try_get() {
            self.received(item, &mut last[1]);
        }
        while let Ok(item) = self.roles.try_get() {
            self.received(item, &mut last[2]);
        }
    }

    /// Whether all queues are empty, work, and have given their memory back.
    fn works(&self) -> bool {
        let begin = Instant::now();
        while self.bytes.stats().memory > 1 << 20 && begin.elapsed() < HANG {
            let _ = self.bytes.try_get_bytes();
            std::thread::sleep(Duration::from_millis(10));
        }
        let is_small = self.bytes.stats().memory <= 1 << 20;
        let empty = self.bytes.is_empty() && self.values.is_empty() && self.roles.is_empty();
        let works = |queue: &Queue<Item>| {
            queue.put_timeout((7, 7), HANG).is_ok()
                && queue.get_timeout(HANG).is_ok_and(|item| item == (7, 7))
        };
        let works = works(&self.values)
            && works(&self.roles)
            && self.bytes.put_bytes_timeout(b"x", HANG).is_ok()
            && self.bytes.get_bytes_timeout(HANG).is_ok_and(|bytes| bytes == b"x");
        if !(is_small && empty && works) {
            eprintln!("small: {is_small}, empty: {empty}, works: {works}: {:?}", self.bytes.stats());
        }
        is_small && empty && works
    }
}

/// The last number from each producer, through each queue.
type Last = [[u64; PRODUCERS]; 3];

fn item_of(bytes: &[u8]) -> Item {
    let number = bytes.first_chunk().map_or(u64::MAX, |bytes| u64::from_le_bytes(*bytes));
    let place = bytes
        .get(8..12)
        .and_then(|bytes| bytes.first_chunk())
        .map_or(u32::MAX, |bytes| u32::from_le_bytes(*bytes));
    (number, place)
}

/// Mostly small, now and then so large that it needs a region of its own.
fn size(random: &mut Random) -> usize {
    match random.below(500) {
        0 => random.below(3_000_000) as usize,
        1..10 => random.below(300_000) as usize,
        10..100 => random.below(5_000) as usize,
        _ => random.below(100) as usize,
    }
}

fn main() -> ExitCode {
    let (seconds, before) = (seconds(), traces());
    let world = World::new(RATE * seconds).expect("queues can be made");
    let mut largest = 0;
    let look = || largest = largest.max(world.bytes.stats().memory);
    let start = |place, seed| start(|| world.work(place, seed));
    let kills = world.soak.run(Duration::from_secs(seconds), start, kill_and_reap, look);
    world.drain();
    let works = world.works();
    let good = world.soak.report(&kills);
    drop(world);
    println!("{:>12} KiB was the most memory that the growing queue had", largest >> 10);
    let after = traces();
    let left = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    println!("left behind: {} descriptors, {} files; all queues work: {works}", left.0, left.1);
    if good && works && left == (0, 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
