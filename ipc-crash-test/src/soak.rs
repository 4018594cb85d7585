//! What the soaks have in common: processes at work that are killed at random.
#![allow(unsafe_code)]

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use crate::control::nanos;
use crate::shared::{SharedBox, SharedBytes};

/// Numbers that look random: the same ones for the same seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The seed is not 0.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// One that no other run begins with.
    pub fn of_this_run() -> Random {
        Random(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()))
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Starts a process that does `work` until it is killed; its id. This process has one thread.
pub fn start(work: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread, so the child may do what its parent might.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no process can be forked");
    if pid > 0 {
        return pid;
    }
    // SAFETY: takes integers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let _ = catch_unwind(AssertUnwindSafe(work));
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(101) }
}

/// Whether it was this process's kill that ended the child.
pub fn kill_and_reap(pid: i32) -> bool {
    // SAFETY: takes integers; it is not reaped yet, so that the number is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    let mut reap = || unsafe { libc::waitpid(pid, &mut status, 0) };
    while reap() != pid {}
    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
}

/// How many entries a folder has.
pub fn entries(path: &str) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

/// The number after `--seconds` on the command line, or 20.
///
/// # Panics
/// It is no number.
pub fn seconds() -> u64 {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--seconds") {
        Some(at) => {
            arguments.get(at + 1).and_then(|text| text.parse().ok()).expect("--seconds takes a number")
        }
        None => 20,
    }
}

/// How many descriptors this process has, and how many files there are in /dev/shm.
pub fn traces() -> (usize, usize) {
    (entries("/proc/self/fd"), entries("/dev/shm"))
}

/// Whoever is at one operation for longer than this hangs: with more processes than CPUs, much longer than the contract's
/// 100 ms.
pub const HANG: Duration = Duration::from_secs(5);
/// Between two kills, on average.
const PAUSE: Duration = Duration::from_millis(3);

// What is known of an item.
const BEGUN: u8 = 1;
const SENT: u8 = 2;
const RECEIVED: u8 = 4;

/// What the processes of a [`Soak`] count together.
#[derive(Debug, Clone, Copy)]
#[repr(usize)]
pub enum Count {
    /// The next item's number.
    Next,
    /// Those whose sending returned.
    Sent,
    /// Received ones.
    Received,
    /// Those that were not taken.
    Refused,
    /// Ends that were seen.
    Ends,
    /// Objects that were made, used and dropped.
    Cycles,
    /// Received twice.
    Duplicated,
    /// Received in another order than their sender sent them.
    Disordered,
    /// That nobody had sent.
    Garbage,
    /// Errors that no kill explains.
    Faults,
    /// What was awaited for too long.
    Hangs,
}

const COUNTS: [(Count, &str); 11] = [
    (Count::Next, "begun"),
    (Count::Sent, "sent"),
    (Count::Received, "received"),
    (Count::Refused, "refused"),
    (Count::Ends, "ends"),
    (Count::Cycles, "made, used and dropped"),
    (Count::Duplicated, "duplicated"),
    (Count::Disordered, "in another order than their sender sent them"),
    (Count::Garbage, "that nobody had sent"),
    (Count::Faults, "faults"),
    (Count::Hangs, "hangs"),
];

/// Processes at so many places, each of which begins one operation after the other until it is killed.
#[derive(Debug)]
pub struct Workers<const PLACES: usize> {
    /// When each process began what it does, in nanoseconds.
    since: SharedBox<[AtomicU64; PLACES]>,
}

/// What came of the kills.
#[derive(Debug)]
pub struct Kills {
    places: usize,
    count: u64,
    elapsed: Duration,
    /// Items that the killed may have taken with them.
    allowed: u64,
    hangs: u64,
    /// Processes that ended before they were killed.
    by_themselves: u64,
    longest: Duration,
}

impl<const PLACES: usize> Workers<PLACES> {
    /// None has begun anything.
    #[expect(clippy::new_without_default, reason = "it takes memory that is shared")]
    pub fn new() -> Workers<PLACES> {
        Workers { since: SharedBox::new([const { AtomicU64::new(0) }; PLACES]) }
    }

    /// The process at that place begins an operation.
    pub fn begin_at(&self, place: usize) {
        self.since[place].store(nanos(), SeqCst);
    }

    /// Starts a process at each place; kills one after the other at random for that time, and starts it anew; and kills
    /// them all. `start` is given a place and a seed; `kill` says whether it was this kill that ended the process; `look`
    /// is called in between.
    pub fn run<W>(
        &self,
        time: Duration,
        mut start: impl FnMut(usize, u64) -> W,
        mut kill: impl FnMut(W) -> bool,
        mut look: impl FnMut(),
    ) -> Kills {
        let begin = Instant::now();
        let mut random = Random::of_this_run();
        let mut kills = Kills {
            places: PLACES,
            count: 0,
            elapsed: time,
            allowed: 0,
            hangs: 0,
            by_themselves: 0,
            longest: Duration::ZERO,
        };
        let mut start_at = |place, random: &mut Random| {
            self.begin_at(place);
            Some(start(place, random.next() | 1))
        };
        let mut end = |worker: &mut Option<W>, kills: &mut Kills| {
            let killed = worker.take().is_some_and(&mut kill);
            kills.by_themselves += u64::from(!killed);
        };
        let mut workers: Vec<_> = (0..PLACES).map(|place| start_at(place, &mut random)).collect();
        while begin.elapsed() < time {
            std::thread::sleep(Duration::from_nanos(random.below(2 * PAUSE.as_nanos() as u64)));
            self.look_for_hangs(&mut kills);
            look();
            let place = random.below(PLACES as u64) as usize;
            end(&mut workers[place], &mut kills);
            kills.count += 1;
            workers[place] = start_at(place, &mut random);
        }
        workers.iter_mut().for_each(|worker| end(worker, &mut kills));
        Kills { elapsed: begin.elapsed(), ..kills }
    }

    fn look_for_hangs(&self, kills: &mut Kills) {
        for (place, since) in self.since.iter().enumerate() {
            let now = nanos();
            let time = Duration::from_nanos(now.saturating_sub(since.load(SeqCst)));
            if time > HANG {
                kills.hangs += 1;
                eprintln!("hang: {place} for {time:?}");
                since.store(now, SeqCst);
            }
            kills.longest = kills.longest.max(time);
        }
    }
}

impl Kills {
    /// Prints what came of them; whether it is good.
    pub fn report(&self) -> bool {
        let Kills { places, count, hangs, by_themselves, .. } = self;
        let (seconds, longest) = (self.elapsed.as_secs_f64(), self.longest.as_secs_f64() * 1e3);
        println!(
            "{seconds:.1} s, {places} processes, {count} kills ({:.0} a second)",
            *count as f64 / seconds
        );
        println!("{longest:>12.1} ms was the longest that anybody was at one operation");
        println!("{hangs:>12} were at one for longer than {HANG:?}");
        println!("{by_themselves:>12} ended by themselves");
        hangs + by_themselves == 0
    }
}

/// [`Workers`], and what is known of the numbered items that they send each other. Each item has a byte in shared memory,
/// where it is written down that its sending began, that it returned, and that it was received.
#[derive(Debug)]
pub struct Soak<const PLACES: usize> {
    workers: Workers<PLACES>,
    items: SharedBytes,
    counts: SharedBox<[AtomicU64; COUNTS.len()]>,
    /// How many items each process may take in the call that it is in.
    taking: SharedBox<[AtomicU64; PLACES]>,
}

impl<const PLACES: usize> Soak<PLACES> {
    /// With room for so many items.
    pub fn new(items: u64) -> Soak<PLACES> {
        Soak {
            workers: Workers::new(),
            items: SharedBytes::new(items as usize),
            counts: SharedBox::new([const { AtomicU64::new(0) }; COUNTS.len()]),
            taking: SharedBox::new([const { AtomicU64::new(0) }; PLACES]),
        }
    }

    /// One more of these.
    pub fn add(&self, what: Count) {
        self.counts[what as usize].fetch_add(1, SeqCst);
    }

    /// How many of these there were.
    pub fn count(&self, what: Count) -> u64 {
        self.counts[what as usize].load(SeqCst)
    }

    /// The process at that place begins an operation.
    pub fn begin_at(&self, place: usize) {
        self.workers.begin_at(place);
    }

    /// The process at that place may take so many items with it when it is killed.
    pub fn takes(&self, place: usize, items: u64) {
        self.taking[place].store(items, SeqCst);
    }

    /// Numbers for so many items, whose sending begins now.
    ///
    /// # Panics
    /// There is no room for so many.
    pub fn begin(&self, items: u64) -> Range<u64> {
        let first = self.counts[Count::Next as usize].fetch_add(items, SeqCst);
        assert!(
            first + items < self.items.all().len() as u64,
            "too fast: there is no room for so many items"
        );
        self.note(first..first + items, BEGUN);
        first..first + items
    }

    /// Those were sent.
    pub fn sent(&self, items: Range<u64>) {
        self.counts[Count::Sent as usize].fetch_add(items.end - items.start, SeqCst);
        self.note(items, SENT);
    }

    fn note(&self, items: Range<u64>, state: u8) {
        let items = &self.items.all()[items.start as usize..items.end as usize];
        items.iter().for_each(|item| _ = item.fetch_or(state, SeqCst));
    }

    /// That was received. `last` is what came last from each sender on this way.
    pub fn received(&self, number: u64, sender: u32, last: &mut [u64]) {
        self.add(Count::Received);
        let (Some(item), Some(last)) = (self.items.all().get(number as usize), last.get_mut(sender as usize))
        else {
            return self.add(Count::Garbage);
        };
        match item.fetch_or(RECEIVED, SeqCst) {
            before if before & BEGUN == 0 => self.add(Count::Garbage),
            before if before & RECEIVED != 0 => self.add(Count::Duplicated),
            _ => {}
        }
        if number < *last {
            self.add(Count::Disordered);
        }
        *last = number;
    }

    /// As [`Workers::run`].
    pub fn run<W>(
        &self,
        time: Duration,
        mut start: impl FnMut(usize, u64) -> W,
        mut kill: impl FnMut(W) -> bool,
        look: impl FnMut(),
    ) -> Kills {
        let mut allowed = 0;
        let end = |(place, worker): (usize, W)| {
            let killed = kill(worker);
            allowed += self.taking[place].swap(0, SeqCst);
            killed
        };
        let kills = self.workers.run(time, |place, seed| (place, start(place, seed)), end, look);
        Kills { allowed, ..kills }
    }

    /// Prints what came of it, when everything that was left has been received; whether it is good.
    pub fn report(&self, kills: &Kills) -> bool {
        let states = |want: u8| {
            let items = self.items.all().iter().take(self.count(Count::Next) as usize);
            items.filter(|item| item.load(SeqCst) & (SENT | RECEIVED) == want).count() as u64
        };
        let (missing, half, allowed) = (states(SENT), states(RECEIVED), kills.allowed);
        let lost = missing.saturating_sub(allowed);
        let good = kills.report();
        for (count, name) in COUNTS {
            println!("{:>12} {name}", self.count(count));
        }
        println!("{half:>12} received of those whose sending did not return");
        println!("{missing:>12} taken by the killed, who may have taken {allowed}");
        println!("{lost:>12} lost");
        let bad: u64 = self.counts[Count::Duplicated as usize..].iter().map(|count| count.load(SeqCst)).sum();
        good && bad + lost == 0 && [Count::Sent, Count::Received].iter().all(|&of| self.count(of) > 0)
    }
}
