//! Producers and consumers of three queues, and one who kills them at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-queue --example queue_soak -- --seconds 600`. The killed are replaced at once. Every item
//! has a byte in shared memory, where it is written down that its put began, that it returned, and that it was received;
//! at the end all of them are looked at. Ends with 1 if one is missing that no killed consumer was at, or was there
//! twice, or if anybody hung.
#![allow(unsafe_code)]

use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ipc_core::{Place, Segment, Spec};
use ipc_crash_test::soak::{Random, entries, kill_and_reap, seconds, start};
use ipc_queue::{Consumer, Producer, Queue};

const PRODUCERS: usize = 4;
const PROCESSES: usize = 8;
/// Whoever is at one operation for longer than this hangs: with this many processes on few CPUs, much longer than the
/// contract's 100 ms.
const HANG: Duration = Duration::from_secs(5);
/// Between two kills, on average.
const PAUSE: Duration = Duration::from_millis(5);
/// How long a put or a get waits.
const PATIENCE: Duration = Duration::from_micros(500);
/// Items a second for which there is a byte each.
const RATE: u64 = 1_000_000;

/// What is known of an item.
const BEGUN: u8 = 1;
const PUT: u8 = 2;
const RECEIVED: u8 = 4;

/// What the processes count together.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    /// The next item's number.
    Next,
    Puts,
    Gets,
    Refused,
    Ends,
    Duplicated,
    Disordered,
    Garbage,
    Faults,
    Hangs,
}

const COUNTS: [(Count, &str); 10] = [
    (Count::Next, "items begun"),
    (Count::Puts, "items put"),
    (Count::Gets, "items received"),
    (Count::Refused, "puts refused: full, or no consumer at the moment"),
    (Count::Ends, "ends seen: no producer at the moment"),
    (Count::Duplicated, "duplicated"),
    (Count::Disordered, "in another order than their producer put them"),
    (Count::Garbage, "that nobody had put"),
    (Count::Faults, "faults"),
    (Count::Hangs, "hangs"),
];

/// An item's number, and who put it.
type Item = (u64, u32);

/// What all share.
struct World {
    ledger: Segment,
    counts: Place<[AtomicU64; COUNTS.len()]>,
    /// When each process began what it does, in nanoseconds.
    since: Place<[AtomicU64; PROCESSES]>,
    /// How many items each process may take in the call that it is in.
    taking: Place<[AtomicU64; PROCESSES]>,
    /// Of many sizes, and so growing and shrinking.
    bytes: Queue<[u8]>,
    values: Queue<Item>,
    /// By one producer and one consumer, so that its ends come and go.
    roles: Queue<Item>,
}

impl World {
    fn new(items: u64) -> ipc_core::Result<World> {
        let segment = Segment::anonymous(&Spec::new("soak", 1).len(4096))?;
        Ok(World {
            ledger: Segment::anonymous(&Spec::new("ledger", 1).len(items))?,
            counts: Place::new(&segment, 0)?,
            since: Place::new(&segment, 1024)?,
            taking: Place::new(&segment, 2048)?,
            bytes: Queue::unbounded()?,
            values: Queue::bounded(64)?,
            roles: Queue::bounded(8)?,
        })
    }

    fn items(&self) -> &[AtomicU8] {
        self.ledger.slice(0, self.ledger.len() as usize).expect("it is that long")
    }

    fn add(&self, what: Count, count: u64) {
        self.counts[what as usize].fetch_add(count, SeqCst);
    }

    /// Numbers for so many items, whose puts begin now.
    fn begin(&self, count: u64) -> Range<u64> {
        let first = self.counts[Count::Next as usize].fetch_add(count, SeqCst);
        let last = first + count;
        assert!(last < self.ledger.len(), "too fast: there is no room in the ledger");
        self.items()[first as usize..last as usize].iter().for_each(|item| _ = item.fetch_or(BEGUN, SeqCst));
        first..last
    }

    /// Those were put.
    fn is_put(&self, items: Range<u64>) {
        self.add(Count::Puts, items.end - items.start);
        let items = &self.items()[items.start as usize..items.end as usize];
        items.iter().for_each(|item| _ = item.fetch_or(PUT, SeqCst));
    }

    /// That was received. `last` is what came last from each producer through this queue.
    fn received(&self, (number, place): Item, last: &mut [u64; PRODUCERS]) {
        self.add(Count::Gets, 1);
        let (Some(item), Some(last)) = (self.items().get(number as usize), last.get_mut(place as usize))
        else {
            return self.add(Count::Garbage, 1);
        };
        match item.fetch_or(RECEIVED, SeqCst) {
            before if before & BEGUN == 0 => self.add(Count::Garbage, 1),
            before if before & RECEIVED != 0 => self.add(Count::Duplicated, 1),
            _ => {}
        }
        if number < *last {
            self.add(Count::Disordered, 1);
        }
        *last = number;
    }

    fn produce(&self, place: usize, random: &mut Random, producer: Option<&Producer<Item>>) {
        let item = |number| (number, place as u32);
        match random.below(10) {
            // So that the backlog, and with it the memory, comes and goes.
            0..3 if self.bytes.len() < 300 => {
                let numbers = self.begin(1);
                let mut bytes = vec![0; 12 + size(random)];
                bytes[..8].copy_from_slice(&numbers.start.to_le_bytes());
                bytes[8..12].copy_from_slice(&(place as u32).to_le_bytes());
                match self.bytes.put_bytes_timeout(&bytes, PATIENCE) {
                    Ok(()) => self.is_put(numbers),
                    Err(_) => self.add(Count::Refused, 1),
                }
            }
            3..6 => {
                let numbers = self.begin(1);
                match self.values.put_timeout(item(numbers.start), PATIENCE) {
                    Ok(()) => self.is_put(numbers),
                    Err(_) => self.add(Count::Refused, 1),
                }
            }
            // It may have to wait for room, so there must be somebody who gets from this queue: see `consume`.
            6..7 => {
                let numbers = self.begin(1 + random.below(20));
                match self.values.put_all(numbers.clone().map(item)) {
                    Ok(()) => self.is_put(numbers),
                    Err(_) => self.add(Count::Faults, 1),
                }
            }
            7..8 => {
                let numbers = self.begin(1);
                if let Ok(mut room) = self.bytes.try_reserve(12) {
                    room.write_at(0, &numbers.start.to_le_bytes());
                    room.write_at(8, &(place as u32).to_le_bytes());
                    if random.below(3) > 0 {
                        room.commit();
                        self.is_put(numbers);
                    }
                }
            }
            _ => {
                let Some(producer) = producer else { return };
                let numbers = self.begin(1);
                match producer.put_timeout(item(numbers.start), PATIENCE) {
                    Ok(()) => self.is_put(numbers),
                    Err(_) => self.add(Count::Refused, 1),
                }
            }
        }
    }

    fn consume(&self, place: usize, random: &mut Random, consumer: Option<&Consumer<Item>>, last: &mut Last) {
        let take = |count: u64| self.taking[place].store(count, SeqCst);
        match random.below(10) {
            0..4 => {
                take(1);
                match self.bytes.get_bytes_timeout(PATIENCE) {
                    Ok(bytes) => self.received(item_of(&bytes), &mut last[0]),
                    Err(ipc_queue::GetTimeoutError::Timeout) => {}
                    Err(_) => self.add(Count::Faults, 1),
                }
            }
            4..7 => {
                take(1);
                match self.values.get_timeout(PATIENCE) {
                    Ok(item) => self.received(item, &mut last[1]),
                    Err(ipc_queue::GetTimeoutError::Timeout) => {}
                    Err(_) => self.add(Count::Faults, 1),
                }
            }
            // Where there is something, somebody else may get it, and then more will come.
            7..8 if !self.values.is_empty() => {
                take(8);
                match self.values.get_many(8) {
                    Ok(items) => items.into_iter().for_each(|item| match item {
                        Ok(item) => self.received(item, &mut last[1]),
                        Err(_) => self.add(Count::Faults, 1),
                    }),
                    Err(_) => self.add(Count::Faults, 1),
                }
            }
            _ => {
                let Some(consumer) = consumer else { return };
                take(1);
                match consumer.get_timeout(PATIENCE) {
                    Ok(item) => self.received(item, &mut last[2]),
                    Err(ipc_queue::GetTimeoutError::Timeout) => {}
                    Err(ipc_queue::GetTimeoutError::Closed) => self.add(Count::Ends, 1),
                    Err(_) => self.add(Count::Faults, 1),
                }
            }
        }
        take(0);
    }

    fn work(&self, place: usize, seed: u64) -> ! {
        let mut random = Random::new(seed);
        let begin = || self.since[place].store(ipc_core::monotonic().as_nanos() as u64, SeqCst);
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
    let seconds = seconds();
    let (descriptors, files) = (entries("/proc/self/fd"), entries("/dev/shm"));
    let begin = Instant::now();
    let mut random = Random::of_this_run();
    let world = World::new(RATE * seconds).expect("queues can be made");
    let start_in = |place, seed| start(|| world.work(place, seed));
    let mut places: [i32; PROCESSES] = std::array::from_fn(|place| start_in(place, random.next() | 1));
    let (mut kills, mut allowed, mut longest, mut largest) = (0_u64, 0_u64, Duration::ZERO, 0_u64);
    let mut by_itself = 0_u64;
    while begin.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_nanos(random.below(2 * PAUSE.as_nanos() as u64)));
        let place = random.below(PROCESSES as u64) as usize;
        for (place, since) in world.since.iter().enumerate() {
            let now = ipc_core::monotonic().as_nanos() as u64;
            let time = Duration::from_nanos(now.saturating_sub(since.load(SeqCst)));
            if time > HANG {
                world.add(Count::Hangs, 1);
                eprintln!("hang: {place} for {time:?}");
                since.store(now, SeqCst);
            }
            longest = longest.max(time);
        }
        largest = largest.max(world.bytes.stats().memory);
        by_itself += u64::from(!kill_and_reap(places[place]));
        allowed += world.taking[place].swap(0, SeqCst);
        kills += 1;
        world.since[place].store(ipc_core::monotonic().as_nanos() as u64, SeqCst);
        places[place] = start_in(place, random.next() | 1);
    }
    for (place, pid) in places.into_iter().enumerate() {
        by_itself += u64::from(!kill_and_reap(pid));
        allowed += world.taking[place].swap(0, SeqCst);
    }
    world.drain();
    let works = world.works();
    let elapsed = begin.elapsed().as_secs_f64();
    let counts: Vec<u64> = world.counts.iter().map(|count| count.load(SeqCst)).collect();
    let states = |want: u8| {
        let items = world.items().iter().take(counts[Count::Next as usize] as usize);
        items.filter(|item| item.load(SeqCst) & (PUT | RECEIVED) == want).count() as u64
    };
    let (missing, half) = (states(PUT), states(RECEIVED));
    let lost = missing.saturating_sub(allowed);
    drop(world);

    println!("{elapsed:.1} s, {PROCESSES} processes, {kills} kills ({:.0} a second)", kills as f64 / elapsed);
    for (count, name) in COUNTS {
        println!("{:>12} {name}", counts[count as usize]);
    }
    println!("{half:>12} received of those whose put did not return");
    println!("{missing:>12} taken by killed consumers, who may have taken {allowed}");
    println!("{lost:>12} lost");
    println!("{:>12} KiB was the most memory that the growing queue had", largest >> 10);
    println!("{:>12.1} ms was the longest that anybody was at one operation", longest.as_secs_f64() * 1e3);
    println!("{by_itself:>12} ended by themselves");
    let left =
        (entries("/proc/self/fd").saturating_sub(descriptors), entries("/dev/shm").saturating_sub(files));
    println!("left behind: {} descriptors, {} files; all queues work: {works}", left.0, left.1);
    let bad: u64 = counts[Count::Duplicated as usize..].iter().sum();
    let progress = counts[Count::Puts as usize] > 0 && counts[Count::Gets as usize] > 0;
    if bad + lost + by_itself == 0 && works && progress && left == (0, 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
