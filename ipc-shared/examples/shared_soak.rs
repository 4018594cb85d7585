//! Processes that move money between the accounts of a bank, and one who kills them at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-shared --example shared_soak -- --seconds 600`. The killed are replaced at once. A transfer
//! changes two accounts in one step, so the sum of all of them never changes: it is looked at all the time, and at the
//! end, when everything in the store is looked at. Beside the accounts, entries of many sizes come and go. Ends with 1 if
//! money was lost or made, if anything is damaged, or if anybody hung.
#![allow(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use ipc_core::{Place, Segment, Spec};
use ipc_crash_test::soak::{Random, entries, kill_and_reap, seconds, start};
use ipc_shared::{Array, Dict, Value};

const PROCESSES: usize = 8;
const ACCOUNTS: u64 = 1000;
const SUM: i64 = 100 * ACCOUNTS as i64;
/// Whoever is at one operation for longer than this hangs: with this many processes on few CPUs, much longer than the
/// contract's 100 ms.
const HANG: Duration = Duration::from_secs(5);
/// Between two kills, on average.
const PAUSE: Duration = Duration::from_millis(5);

/// What the processes count together.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    Transfers,
    Reads,
    Notes,
    Torn,
    Faults,
    Hangs,
}

const COUNTS: [(Count, &str); 6] = [
    (Count::Transfers, "transfers"),
    (Count::Reads, "sums looked at"),
    (Count::Notes, "changes of notes"),
    (Count::Torn, "wrong sums, or torn values"),
    (Count::Faults, "faults"),
    (Count::Hangs, "hangs"),
];

/// What all share.
struct World {
    counts: Place<[AtomicU64; COUNTS.len()]>,
    /// When each process began what it does, in nanoseconds.
    since: Place<[AtomicU64; PROCESSES]>,
    bank: Dict<String, i64>,
    /// Each note is one byte, many times.
    notes: Dict<u64, Vec<u8>>,
    /// All its words are the same.
    value: Value<[u64; 16]>,
    /// Sorted.
    array: Array<u64>,
}

impl World {
    fn new() -> ipc_core::Result<World> {
        let segment = Segment::anonymous(&Spec::new("soak", 1).len(4096))?;
        let world = World {
            counts: Place::new(&segment, 0)?,
            since: Place::new(&segment, 1024)?,
            bank: Dict::new()?,
            notes: Dict::new()?,
            value: Value::new([0; 16])?,
            array: Array::new(&[0; 100])?,
        };
        world.bank.extend((0..ACCOUNTS).map(|account| (name(account), 100)))?;
        Ok(world)
    }

    fn add(&self, what: Count, count: u64) {
        self.counts[what as usize].fetch_add(count, SeqCst);
    }

    fn holds(&self, it_does: bool, what: &str) {
        if !it_does {
            self.add(Count::Torn, 1);
            eprintln!("torn: {what}");
        }
    }

    fn transfer(&self, random: &mut Random) -> ipc_core::Result<()> {
        let (from, to) = (random.below(ACCOUNTS), random.below(ACCOUNTS - 1));
        let to = if to == from { ACCOUNTS - 1 } else { to };
        let amount = random.below(50) as i64;
        self.bank.update_many(&[name(from).as_str(), &name(to)], |balances| {
            let [Some(from), Some(to)] = balances else { return };
            *from -= amount;
            *to += amount;
        })?;
        self.add(Count::Transfers, 1);
        Ok(())
    }

    fn look(&self) -> ipc_core::Result<()> {
        let balances = self.bank.values()?;
        self.holds(balances.len() as u64 == ACCOUNTS, "number of accounts");
        self.holds(balances.into_iter().sum::<i64>() == SUM, "sum");
        self.add(Count::Reads, 1);
        Ok(())
    }

    fn note(&self, random: &mut Random) -> ipc_core::Result<()> {
        let key = random.below(500);
        let size = match random.below(100) {
            0 => random.below(1 << 20),
            1..10 => random.below(20_000),
            _ => random.below(300),
        };
        let text = vec![key as u8; size as usize];
        let old = match random.below(20) {
            0..10 => self.notes.insert(key, text)?,
            10..15 => self.notes.remove(&key)?,
            15..18 => self.notes.get(&key)?,
            18 => self
                .notes
                .update(&key, |old| old.filter(|old| old.len() < 100_000).map(|old| old.repeat(2)))?,
            _ => {
                self.notes.update_many(&[&key, &(key + 1000)], |notes| {
                    notes.iter_mut().for_each(|note| *note = None)
                })?;
                None
            }
        };
        self.holds(old.is_none_or(|old| old.iter().all(|byte| *byte == key as u8)), "note");
        self.add(Count::Notes, 1);
        Ok(())
    }

    fn plain(&self, random: &mut Random) -> ipc_core::Result<()> {
        self.value.update(|words| words.iter_mut().for_each(|word| *word += 1));
        let words = self.value.get();
        self.holds(words.iter().all(|word| *word == words[0]), "value");
        let new = random.next();
        self.array.update_all(|all| {
            all[0] = new;
            all.sort_unstable();
        })?;
        self.holds(self.array.to_vec().is_sorted(), "array");
        Ok(())
    }

    fn work(&self, place: usize, seed: u64) -> ! {
        let mut random = Random::new(seed);
        loop {
            self.since[place].store(ipc_core::monotonic().as_nanos() as u64, SeqCst);
            let done = match random.below(1000) {
                0..700 => self.transfer(&mut random),
                700..705 => self.look(),
                705..980 => self.note(&mut random),
                _ => self.plain(&mut random),
            };
            if let Err(error) = done {
                self.add(Count::Faults, 1);
                eprintln!("{error}");
            }
        }
    }

    /// Everything is as it should be, and can be used.
    fn is_sound(&self) -> ipc_core::Result<()> {
        self.look()?;
        self.bank.check()?;
        self.notes.check()?;
        let stats = self.notes.stats()?;
        println!(
            "{:>12} KiB is the memory of the notes, {} KiB of it used",
            stats.memory() >> 10,
            stats.used >> 10
        );
        self.notes.clear()?;
        self.notes.check()?;
        self.plain(&mut Random::new(1))
    }
}

fn name(account: u64) -> String {
    format!("account {account}")
}

fn main() -> ExitCode {
    let seconds = seconds();
    let (descriptors, files) = (entries("/proc/self/fd"), entries("/dev/shm"));
    let begin = Instant::now();
    let mut random = Random::of_this_run();
    let world = World::new().expect("containers can be made");
    let start_in = |place, seed| start(|| world.work(place, seed));
    let mut places: [i32; PROCESSES] = std::array::from_fn(|place| start_in(place, random.next() | 1));
    let (mut kills, mut by_itself, mut longest) = (0_u64, 0_u64, Duration::ZERO);
    while begin.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_nanos(random.below(2 * PAUSE.as_nanos() as u64)));
        for (place, since) in world.since.iter().enumerate() {
            let now = ipc_core::monotonic().as_nanos() as u64;
            let time = Duration::from_nanos(now.saturating_sub(since.load(SeqCst)));
            if since.load(SeqCst) != 0 && time > HANG {
                world.add(Count::Hangs, 1);
                eprintln!("hang: {place} for {time:?}");
                since.store(now, SeqCst);
            }
            longest = longest.max(if since.load(SeqCst) == 0 { Duration::ZERO } else { time });
        }
        let place = random.below(PROCESSES as u64) as usize;
        by_itself += u64::from(!kill_and_reap(places[place]));
        kills += 1;
        world.since[place].store(ipc_core::monotonic().as_nanos() as u64, SeqCst);
        places[place] = start_in(place, random.next() | 1);
    }
    places.into_iter().for_each(|pid| by_itself += u64::from(!kill_and_reap(pid)));
    let sound = world.is_sound();
    let elapsed = begin.elapsed().as_secs_f64();
    let counts: Vec<u64> = world.counts.iter().map(|count| count.load(SeqCst)).collect();
    drop(world);

    println!("{elapsed:.1} s, {PROCESSES} processes, {kills} kills ({:.0} a second)", kills as f64 / elapsed);
    for (count, name) in COUNTS {
        println!("{:>12} {name}", counts[count as usize]);
    }
    println!("{:>12.1} ms was the longest that anybody was at one operation", longest.as_secs_f64() * 1e3);
    println!("{by_itself:>12} ended by themselves");
    let left =
        (entries("/proc/self/fd").saturating_sub(descriptors), entries("/dev/shm").saturating_sub(files));
    println!("left behind: {} descriptors, {} files; the end: {sound:?}", left.0, left.1);
    let bad: u64 = counts[Count::Torn as usize..].iter().sum();
    let progress = counts[Count::Transfers as usize] > 0 && counts[Count::Reads as usize] > 0;
    if bad + by_itself == 0 && sound.is_ok() && progress && left == (0, 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
