//! Eight processes use every primitive, and a ninth kills them at random, 100 times a second and more.
//!
//! `cargo run --release -p ipc-lock --example lock_soak -- --seconds 300`. The killed are replaced at once. Everybody checks
//! what must hold, whoever dies; at the end nothing may be left. Ends with 1 if anybody hung or found something wrong.
#![allow(unsafe_code)]

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use ipc_core::{Place, Segment, Spec};
use ipc_crash_test::soak::{Random, entries, seconds, start};
use ipc_lock::{
    Barrier, BarrierError, Condvar, Event, LockTimeoutError, Mutex, MutexGuard, OwnerDied, ReentrantMutex,
    RwLock, Semaphore,
};

const PROCESSES: usize = 8;
const PERMITS: u64 = 3;
/// Who waits for longer than this hangs: with this many processes on few CPUs, much longer than the contract's 100 ms.
const HANG: Duration = Duration::from_secs(5);
/// Between two kills, on average.
const PAUSE: Duration = Duration::from_millis(6);

/// What the processes count, each in a row of its own and all together.
#[derive(Clone, Copy)]
#[repr(usize)]
enum Count {
    Mutex,
    Reentrant,
    Read,
    Write,
    Permit,
    Turn,
    Event,
    Round,
    Broken,
    Told,
    Hangs,
    Violations,
}

const COUNTS: [(Count, &str); 12] = [
    (Count::Mutex, "mutex locks"),
    (Count::Reentrant, "reentrant locks"),
    (Count::Read, "reads"),
    (Count::Write, "writes"),
    (Count::Permit, "permits"),
    (Count::Turn, "turns with a condvar"),
    (Count::Event, "events seen"),
    (Count::Round, "barrier rounds passed"),
    (Count::Broken, "barriers found broken"),
    (Count::Told, "told of a dead owner"),
    (Count::Hangs, "hangs"),
    (Count::Violations, "violations"),
];

/// What all share.
struct World {
    counts: Place<[AtomicU64; COUNTS.len()]>,
    /// When each process began to wait for what it waits for, in nanoseconds; 0 if it does not.
    since: Place<[AtomicU64; PROCESSES]>,
    pair: Mutex<[u64; 2]>,
    nested: ReentrantMutex<[u64; 2]>,
    table: RwLock<[u64; 16]>,
    permits: Semaphore,
    /// Identities of those who have a permit; 0 where nobody is.
    inside: Mutex<[u32; PROCESSES]>,
    turn: Mutex<u64>,
    turned: Condvar,
    event: Event,
    barrier: Barrier,
}

impl World {
    fn new() -> ipc_core::Result<World> {
        let segment = Segment::anonymous(&Spec::new("soak", 1).len(4096))?;
        Ok(World {
            counts: Place::new(&segment, 0)?,
            since: Place::new(&segment, 2048)?,
            pair: Mutex::new([0; 2])?,
            nested: ReentrantMutex::new([0; 2])?,
            table: RwLock::new([0; 16])?,
            permits: Semaphore::bounded(PERMITS as u32)?,
            inside: Mutex::new([0; PROCESSES])?,
            turn: Mutex::new(0)?,
            turned: Condvar::new()?,
            event: Event::new()?,
            barrier: Barrier::new(2)?,
        })
    }

    fn count(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, Relaxed);
    }

    fn check(&self, holds: bool, what: &str) {
        if !holds {
            self.count(Count::Violations);
            eprintln!("violation: {what}");
        }
    }

    /// The guard that must come in time.
    fn got<G>(&self, result: Result<G, LockTimeoutError<G>>, what: &str) -> Option<(G, bool)> {
        match result {
            Ok(guard) => Some((guard, false)),
            Err(LockTimeoutError::OwnerDied(died)) => {
                self.count(Count::Told);
                Some((died.into_inner(), true))
            }
            Err(LockTimeoutError::Timeout) => {
                self.count(Count::Hangs);
                eprintln!("hang: {what}");
                None
            }
        }
    }

    /// Two numbers are equal, unless their writer died.
    fn use_mutex(&self) {
        let Some((mut pair, told)) = self.got(self.pair.lock_timeout(HANG), "mutex") else { return };
        if told {
            pair[1] = pair[0];
        }
        self.check(pair[0] == pair[1], "a torn pair under the mutex");
        let next = pair[0] + 1;
        *std::hint::black_box(&mut pair[0]) = next;
        linger(next);
        *std::hint::black_box(&mut pair[1]) = next;
        self.count(Count::Mutex);
    }

    fn use_reentrant(&self) {
        let Some((outer, told)) = self.got(self.nested.lock_timeout(HANG), "reentrant mutex") else { return };
        if told {
            outer.set([outer.get()[0]; 2]);
        }
        let [one, two] = outer.get();
        self.check(one == two, "a torn pair under the reentrant mutex");
        match self.nested.try_lock() {
            Ok(inner) => {
                inner.set([one + 1, two]);
                linger(one);
                inner.set([one + 1, two + 1]);
            }
            Err(_) => self.check(false, "the owner could not lock again"),
        }
        self.check(outer.get() == [one + 1; 2], "somebody else wrote under the reentrant mutex");
        self.count(Count::Reentrant);
    }

    fn use_rwlock(&self, write: bool) {
        let whole = |table: &[u64; 16]| table.iter().all(|number| *number == table[0]);
        if write {
            let Some((mut table, told)) = self.got(self.table.write_timeout(HANG), "write lock") else {
                return;
            };
            self.check(told || whole(&table), "a writer found a torn table");
            let next = table[0] + 1;
            for number in table.iter_mut() {
                *std::hint::black_box(number) = next;
            }
            table[15] = next - 1;
            linger(next);
            table[15] = next;
            self.count(Count::Write);
        } else {
            let Some((table, told)) = self.got(self.table.read_timeout(HANG), "read lock") else { return };
            let before = *table;
            self.check(told || whole(&before), "a reader found a torn table");
            std::thread::yield_now();
            self.check(*table == before, "it was written to under a reader");
            self.count(Count::Read);
        }
    }

    /// Never more than `PERMITS` are inside. Whoever died inside has left his mark, and is not.
    fn use_semaphore(&self, place: usize) {
        let Ok(_permit) = self.permits.acquire_timeout(HANG) else {
            self.count(Count::Hangs);
            return eprintln!("hang: semaphore: {:?}", self.permits.holders());
        };
        let id = self.inside.segment().me().map_or(0, |id| id.word());
        if let Some((mut inside, _)) =
            self.got(self.inside.lock_timeout(HANG), "mutex of the semaphore's users")
        {
            let segment = self.inside.segment();
            for mark in inside.iter_mut().filter(|mark| **mark != 0) {
                if ipc_core::ParticipantId::from_word(*mark).is_none_or(|id| !segment.is_alive(id)) {
                    *mark = 0;
                }
            }
            inside[place] = id;
            let count = inside.iter().filter(|mark| **mark != 0).count() as u64;
            self.check(count <= PERMITS, "more users than permits");
        }
        std::thread::yield_now();
        if let Some((mut inside, _)) =
            self.got(self.inside.lock_timeout(HANG), "mutex of the semaphore's users")
        {
            inside[place] = 0;
        }
        self.count(Count::Permit);
    }

    /// Whoever finds the number at a place that is his makes the next move.
    fn use_condvar(&self, place: usize) {
        let Some((mut turn, _)) = self.got(self.turn.lock_timeout(HANG), "mutex of the condvar") else {
            return;
        };
        let begin = Instant::now();
        let before = *turn;
        let parity = place as u64 % 2;
        let mine = |turn: &mut u64| *turn % 2 != parity;
        let deadline = begin + HANG;
        while let Err(_died) = self.turned.wait_while_deadline(&mut turn, deadline, mine) {
            self.count(Count::Told);
        }
        if *turn % 2 == parity {
            *turn += 1;
            self.turned.notify_all();
            self.count(Count::Turn);
        } else if *turn == before {
            self.count(Count::Hangs);
            eprintln!("hang: no turn within {HANG:?}");
        }
    }

    fn use_event(&self) {
        match self.event.wait_timeout(HANG) {
            Ok(()) => self.count(Count::Event),
            Err(_) => {
                self.count(Count::Hangs);
                eprintln!("hang: event");
            }
        }
        self.event.clear();
    }

    /// Two of the eight meet, or are told.
    fn use_barrier(&self) {
        // A party has a handle of its own, so that its death is noticed.
        let barrier = self.barrier.clone();
        match barrier.wait_timeout(HANG) {
            Ok(_) => self.count(Count::Round),
            Err(BarrierError::Broken) => {
                self.count(Count::Broken);
                barrier.reset();
            }
            Err(BarrierError::Timeout) => {
                // Nobody else may have come: that is not a hang.
                barrier.reset();
            }
        }
    }

    fn work(&self, place: usize, seed: u64) -> ! {
        let mut random = Random::new(seed);
        loop {
            self.since[place].store(ipc_core::monotonic().as_nanos() as u64, Relaxed);
            match random.below(100) {
                0..25 => self.use_mutex(),
                25..35 => self.use_reentrant(),
                35..55 => self.use_rwlock(false),
                55..65 => self.use_rwlock(true),
                65..80 => self.use_semaphore(place),
                80..88 => self.use_condvar(place),
                88..92 => self.event.set(),
                92..95 => {
                    self.event.set();
                    self.use_event();
                }
                _ => self.use_barrier(),
            }
        }
    }
}

/// Now and then, gives others the CPU in the midst of a change, so that it is there that one is killed.
fn linger(number: u64) {
    if number.is_multiple_of(4) {
        std::thread::yield_now();
    }
}

/// Whether it was this process's kill that ended it; `None` if the kernel has not ended it after a while, which it can
/// be busy with. Then it still has what it held.
fn kill_and_reap(pid: i32) -> Option<bool> {
    // SAFETY: takes integers; it is not reaped yet, so that the number is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let begin = Instant::now();
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    let mut reap = || unsafe { libc::waitpid(pid, &mut status, libc::WNOHANG) };
    while reap() == 0 {
        if begin.elapsed() > HANG {
            let say = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            eprintln!("{pid} was killed, and the kernel does not end it: {} {}", say("stat"), say("wchan"));
            return None;
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Some(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL)
}

fn main() -> ExitCode {
    let seconds = seconds();
    let (descriptors, files) = (entries("/proc/self/fd"), entries("/dev/shm"));
    let begin = Instant::now();
    let mut random = Random::of_this_run();
    let world = World::new().expect("locks can be made");
    let start_in = |place, seed| start(|| world.work(place, seed));
    let mut places: [i32; PROCESSES] = std::array::from_fn(|place| start_in(place, random.next() | 1));
    let mut unended = Vec::new();
    let (mut kills, mut longest) = (0_u64, Duration::ZERO);
    while begin.elapsed() < Duration::from_secs(seconds) {
        std::thread::sleep(Duration::from_nanos(random.below(2 * PAUSE.as_nanos() as u64)));
        let place = random.below(PROCESSES as u64) as usize;
        // For how long has anybody been at one operation?
        let now = ipc_core::monotonic().as_nanos() as u64;
        for since in world.since.iter() {
            longest = longest.max(Duration::from_nanos(now.saturating_sub(since.load(Relaxed))));
        }
        match kill_and_reap(places[place]) {
            Some(killed) => world.check(killed, "a process ended by itself"),
            None => unended.push(places[place]),
        }
        kills += 1;
        world.since[place].store(now, Relaxed);
        places[place] = start_in(place, random.next() | 1);
    }
    let killing = Instant::now();
    unended.extend(places.into_iter().filter(|pid| kill_and_reap(*pid).is_none()));
    // SAFETY: the null pointer is allowed, and says that the status is of no interest.
    unended.iter().for_each(|pid| _ = unsafe { libc::waitpid(*pid, std::ptr::null_mut(), 0) });
    let using = Instant::now();

    // After the last kill everything can be had, by this process alone.
    world.use_mutex();
    world.use_reentrant();
    world.use_rwlock(false);
    world.use_rwlock(true);
    let permits: Vec<_> = (0..PERMITS).map(|_| world.permits.acquire_timeout(HANG)).collect();
    world.check(permits.iter().all(Result::is_ok), "a permit is lost");
    world.check(world.permits.try_acquire().is_err(), "there is a permit too many");
    drop(permits);
    let end = Instant::now();
    let elapsed = (end - begin).as_secs_f64();
    let counts: Vec<u64> = world.counts.iter().map(|count| count.load(Relaxed)).collect();
    let turn = *world.turn.lock().unwrap_or_else(|died: OwnerDied<MutexGuard<'_, u64>>| died.into_inner());
    drop(world);

    println!("{elapsed:.1} s, {PROCESSES} processes, {kills} kills ({:.0} a second)", kills as f64 / elapsed);
    for (count, name) in COUNTS {
        println!("{:>12} {name}", counts[count as usize]);
    }
    println!("{turn:>12} turns taken in all");
    println!("{:>12.1} ms was the longest that anybody was at one operation", longest.as_secs_f64() * 1e3);
    let left = (entries("/proc/self/fd") - descriptors, entries("/dev/shm").saturating_sub(files));
    let [killing, using] = [using - killing, end - using].map(|time| time.as_secs_f64());
    println!("{killing:>12.1} s to end all of them, {using:.1} s to use everything once more");
    println!("{:>12} killed that the kernel took {HANG:?} and more to end", unended.len());
    println!("left behind: {} descriptors, {} files", left.0, left.1);
    let bad = counts[Count::Hangs as usize] + counts[Count::Violations as usize];
    let progress = COUNTS[..8].iter().all(|(count, _)| counts[*count as usize] > 0);
    if bad == 0 && progress && left == (0, 0) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
