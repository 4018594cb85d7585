//! Processes that move money between the accounts of a bank, and one who kills them at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-shared --example shared_soak -- --seconds 600`. The killed are replaced at once. A transfer
//! changes two accounts in one step, so the sum of all of them never changes: it is looked at all the time, and at the
//! end, when everything in the store is looked at. Beside the accounts, entries of many sizes come and go. Ends with 1 if
//! money was lost or made, if anything is damaged, or if anybody hung.

use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ipc_crash_test::soak::{Random, Workers, kill_and_reap, seconds, start, traces};
use ipc_shared::{Array, Dict, Value};

const PROCESSES: usize = 8;
const ACCOUNTS: u64 = 1000;
const SUM: i64 = 100 * ACCOUNTS as i64;

/// What the processes count together.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    Transfers,
    Reads,
    Notes,
    Torn,
    Faults,
}

const COUNTS: [(Count, &str); 5] = [
    (Count::Transfers, "transfers"),
    (Count::Reads, "sums looked at"),
    (Count::Notes, "changes of notes"),
    (Count::Torn, "wrong sums, or torn values"),
    (Count::Faults, "faults"),
];

/// What all share.
struct World {
    workers: Workers<PROCESSES>,
    /// How many there are of each [`Count`].
    counts: Array<u64>,
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
        let world = World {
            workers: Workers::new(),
            counts: Array::zeroed(COUNTS.len())?,
            bank: Dict::new()?,
            notes: Dict::new()?,
            value: Value::new([0; 16])?,
            array: Array::new(&[0; 100])?,
        };
        world.bank.extend((0..ACCOUNTS).map(|account| (name(account), 100)))?;
        Ok(world)
    }

    fn add(&self, what: Count) {
        self.counts.atomics()[what as usize].fetch_add(1, SeqCst);
    }

    fn holds(&self, it_does: bool, what: &str) {
        if !it_does {
            self.add(Count::Torn);
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
        self.add(Count::Transfers);
        Ok(())
    }

    fn look(&self) -> ipc_core::Result<()> {
        let balances = self.bank.values()?;
        self.holds(balances.len() as u64 == ACCOUNTS, "number of accounts");
        self.holds(balances.into_iter().sum::<i64>() == SUM, "sum");
        self.add(Count::Reads);
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
        self.add(Count::Notes);
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
            self.workers.begin_at(place);
            let done = match random.below(1000) {
                0..700 => self.transfer(&mut random),
                700..705 => self.look(),
                705..980 => self.note(&mut random),
                _ => self.plain(&mut random),
            };
            if let Err(error) = done {
                self.add(Count::Faults);
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
    let (seconds, before) = (seconds(), traces());
    let world = World::new().expect("containers can be made");
    let start = |place, seed| start(|| world.work(place, seed));
    let kills = world.workers.run(Duration::from_secs(seconds), start, kill_and_reap, || ());
    let sound = world.is_sound();
    let counts = world.counts.to_vec();
    drop(world);

    let good = kills.report();
    for (count, name) in COUNTS {
        println!("{:>12} {name}", counts[count as usize]);
    }
    let after = traces();
    let left = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    println!("left behind: {} descriptors, {} files; the end: {sound:?}", left.0, left.1);
    let bad: u64 = counts[Count::Torn as usize..].iter().sum();
    let progress = counts[Count::Transfers as usize] > 0 && counts[Count::Reads as usize] > 0;
    if good && bad == 0 && sound.is_ok() && progress && left == (0, 0) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
