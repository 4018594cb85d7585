//! Producers, consumers and one that joins use a `JoinableQueue`, and are killed at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-queue --example joinable_soak -- --seconds 300`. The killed are replaced at once. Every job is
//! accounted for: what a put returned for is done, and once done has returned it is never handed out again. Ends with 1
//! if that is not so, or if anybody hung.
#![allow(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ipc_core::{Place, Segment, Spec};
use ipc_crash_test::soak::{Random, entries, kill_and_reap, seconds, start};
use ipc_queue::JoinableQueue;

const PRODUCERS: usize = 3;
const CONSUMERS: usize = 4;
const PROCESSES: usize = PRODUCERS + CONSUMERS + 1;
/// Room for what becomes of so many jobs: for ten minutes at more than a million a second.
const JOBS: u64 = 1 << 30;
const CAPACITY: usize = 200;
/// Who waits for longer than this hangs: with this many processes on few CPUs, much longer than the contract's 100 ms.
const HANG: Duration = Duration::from_secs(5);
/// Between two kills, on average.
const PAUSE: Duration = Duration::from_millis(6);

/// What has become of a job, as bits of a byte.
const PUT: u8 = 1;
const DONE_BEGUN: u8 = 2;
const DONE: u8 = 4;

type Item = (u64, String);

/// What the processes count.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    Begun,
    Put,
    Done,
    Returned,
    Again,
    Joined,
    Hangs,
    Violations,
}

const COUNTS: [(Count, &str); 8] = [
    (Count::Begun, "puts begun"),
    (Count::Put, "puts returned"),
    (Count::Done, "jobs done"),
    (Count::Returned, "jobs dropped undone"),
    (Count::Again, "jobs that had come back"),
    (Count::Joined, "joins returned"),
    (Count::Hangs, "hangs"),
    (Count::Violations, "violations"),
];

/// What all share.
struct World {
    queue: JoinableQueue<Item>,
    counts: Place<[AtomicU64; COUNTS.len()]>,
    fates: Segment,
}

impl World {
    fn new() -> ipc_core::Result<World> {
        let fates = Segment::anonymous(&Spec::new("soak", 1).len(64 + JOBS))?;
        Ok(World { queue: JoinableQueue::bounded(CAPACITY)?, counts: Place::new(&fates, 0)?, fates })
    }

    fn fate(&self, job: u64) -> &AtomicU8 {
        self.fates.at(64 + job).expect("jobs are numbered from 0 to JOBS")
    }

    fn count(&self, what: Count) -> u64 {
        self.counts[what as usize].fetch_add(1, SeqCst)
    }

    fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.count(Count::Violations);
            eprintln!("violation: {what}");
        }
    }

    fn produce(&self, mut random: Random) -> ! {
        loop {
            let job = self.count(Count::Begun);
            if job >= JOBS {
                self.check(job > JOBS, "too fast: there is no room for so many jobs");
                std::thread::park();
                continue;
            }
            // Now and then a large one, so that memory is added, and records move.
            let ballast = if random.below(500) == 0 { 100_000 } else { random.below(200) };
            match self.queue.put_timeout((job, "x".repeat(ballast as usize)), HANG) {
                Ok(()) => {
                    self.fate(job).fetch_or(PUT, SeqCst);
                    self.count(Count::Put);
                }
                Err(error) => {
                    self.count(Count::Hangs);
                    eprintln!("hang: put: {error}");
                }
            }
        }
    }

    fn consume(&self, mut random: Random) -> ! {
        let mut kept = Vec::new();
        loop {
            let job = match self.queue.get_timeout(HANG) {
                Ok(job) => job,
                Err(error) => {
                    self.count(Count::Hangs);
                    eprintln!("hang: get: {error}");
                    continue;
                }
            };
            let fate = self.fate(job.0);
            self.check(fate.load(SeqCst) & DONE == 0, "handed out after it was done");
            if job.deliveries() > 1 {
                self.count(Count::Again);
            }
            match random.below(20) {
                0 => {
                    drop(job);
                    self.count(Count::Returned);
                }
                1 if kept.len() < 10 => kept.push(job),
                2 => std::thread::yield_now(),
                _ => self.finish(job),
            }
            if random.below(50) == 0 {
                kept.drain(..).for_each(|job| self.finish(job));
            }
        }
    }

    fn finish(&self, job: ipc_queue::Job<Item>) {
        let fate = self.fate(job.0);
        fate.fetch_or(DONE_BEGUN, SeqCst);
        match job.done() {
            Ok(()) => _ = fate.fetch_or(DONE, SeqCst),
            Err(error) => self.check(false, &error.to_string()),
        }
        self.count(Count::Done);
    }

    fn join(&self) -> ! {
        loop {
            // It need not come to an end, with all that is put.
            match self.queue.join_timeout(Duration::from_millis(20)) {
                Ok(true) => _ = self.count(Count::Joined),
                Ok(false) => {}
                Err(error) => self.check(false, &error.to_string()),
            }
        }
    }

    fn work(&self, place: usize, random: Random) -> ! {
        match place {
            0..PRODUCERS => self.produce(random),
            PRODUCERS..PROCESSES if place < PROCESSES - 1 => self.consume(random),
            _ => self.join(),
        }
    }

    /// Every job for which a put returned is done, or still there.
    fn account(&self) -> (u64, u64) {
        let mut left = 0;
        while let Ok(job) = self.queue.get_timeout(Duration::from_millis(200)) {
            self.check(self.fate(job.0).load(SeqCst) & DONE == 0, "handed out at the end after it was done");
            self.finish(job);
            left += 1;
        }
        self.check(self.queue.join_timeout(HANG).unwrap_or(false), "join hangs");
        self.check(self.queue.unfinished() == 0 && self.queue.is_empty(), "something is left");
        let begun = self.counts[Count::Begun as usize].load(SeqCst).min(JOBS);
        let mut unknown = 0;
        for job in 0..begun {
            let fate = self.fate(job).load(SeqCst);
            self.check(fate & PUT == 0 || fate & DONE_BEGUN != 0, "a job is lost");
            unknown += u64::from(fate & DONE_BEGUN != 0 && fate & DONE == 0);
        }
        (left, unknown)
    }
}

fn main() -> ExitCode {
    let seconds = seconds();
    let descriptors = entries("/proc/self/fd");
    let begin = Instant::now();
    let mut random = Random::of_this_run();
    let world = World::new().expect("a queue can be made");
    let start_in = |place, seed| start(|| world.work(place, Random::new(seed)));
    let mut places: [i32; PROCESSES] = std::array::from_fn(|place| start_in(place, random.next() | 1));
    let mut kills = 0_u64;
    while begin.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_nanos(random.below(2 * PAUSE.as_nanos() as u64)));
        let place = random.below(PROCESSES as u64) as usize;
        world.check(kill_and_reap(places[place]), "a process ended by itself");
        kills += 1;
        places[place] = start_in(place, random.next() | 1);
    }
    places.into_iter().for_each(|pid| _ = kill_and_reap(pid));
    let elapsed = begin.elapsed().as_secs_f64();
    let memory = world.queue.stats().memory;
    let (left, unknown) = world.account();
    let counts: Vec<u64> = world.counts.iter().map(|count| count.load(SeqCst)).collect();
    drop(world);

    println!("{elapsed:.1} s, {PROCESSES} processes, {kills} kills ({:.0} a second)", kills as f64 / elapsed);
    for (count, name) in COUNTS {
        println!("{:>12} {name}", counts[count as usize]);
    }
    println!("{left:>12} jobs were left, and done at the end");
    println!("{unknown:>12} jobs whose consumer was killed while it marked them done");
    println!("{memory:>12} bytes of memory at the end");
    let left_behind = entries("/proc/self/fd") - descriptors;
    println!("left behind: {left_behind} descriptors");
    let bad = counts[Count::Hangs as usize] + counts[Count::Violations as usize];
    let progress = counts[Count::Done as usize] > 0 && counts[Count::Again as usize] > 0;
    if bad == 0 && progress && left_behind == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
