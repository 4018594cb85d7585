//! What the loom models of all protocols have in common. The models themselves are in `models/`, a file a protocol.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release -p ipc-lock --lib loom -- --nocapture`
//!
//! A model runs every order of its threads' steps with a bounded number of preemptions, and every value that a load may
//! see in loom's memory model. [`explore_kills`] runs it once for each step at which a process can be killed.
#![allow(unsafe_code)]

use std::sync::atomic::AtomicUsize;
use std::time::{Duration, Instant};

use ipc_core::ParticipantId;
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};

use crate::layout;
use crate::party::Party;
use crate::sync::{AtomicU32, AtomicU64, kills};

/// Processes with the first, the second and the third cell.
pub(crate) const ONE: u32 = 1;
pub(crate) const TWO: u32 = 2;
pub(crate) const THREE: u32 = 3;

/// A process that had the third cell before, and is dead.
pub(crate) const DEAD: u32 = 1 << 12 | 3;

/// The processes of a model.
pub(crate) struct World {
    dead: [AtomicBool; 3],
}

impl World {
    pub(crate) fn new() -> World {
        World { dead: std::array::from_fn(|_| AtomicBool::new(false)) }
    }

    /// Says that this process is dead. All that it did is before.
    pub(crate) fn bury(&self, id: u32) {
        self.dead[id as usize - 1].store(true, Ordering::Release);
    }
}

impl Party for World {
    type Watch = ();

    fn dead(&self, (): &mut (), ids: &[u32]) -> Vec<u32> {
        ids.iter().copied().filter(|&id| self.is_dead(id)).collect()
    }

    fn wake_on_death(&self, (): &mut (), _: &AtomicU32) -> bool {
        false
    }

    fn is_dead(&self, id: u32) -> bool {
        let known = ParticipantId::from_word(id).and_then(|id| self.dead.get(id.word() as usize - 1));
        known.is_none_or(|dead| dead.load(Ordering::Acquire))
    }
}

/// A number that a lock protects: loom fails if somebody writes it while another may look at it.
pub(crate) struct Plain(UnsafeCell<u32>);

impl Plain {
    pub(crate) fn new() -> Plain {
        Plain(UnsafeCell::new(0))
    }

    pub(crate) fn get(&self) -> u32 {
        // SAFETY: loom has just checked that nobody writes, and runs nobody else now.
        self.0.with(|number| unsafe { *number })
    }

    pub(crate) fn set(&self, new: u32) {
        // SAFETY: as above, and nobody looks.
        self.0.with_mut(|number| unsafe { *number = new });
    }
}

/// Runs a model in every order with at most so many preemptions.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let begin = Instant::now();
    report(run(preemptions, model), 1, begin.elapsed());
}

/// Runs a model once for each step that its victim can be killed at, which it is told. Such a run explores as much as
/// [`explore`].
pub(crate) fn explore_kills(preemptions: usize, model: impl Fn(u32) + Clone + Send + Sync + 'static) {
    let begin = Instant::now();
    let mut executions = 0;
    for step in 0_u32.. {
        let model = model.clone();
        let before = kills();
        executions += run(preemptions, move || model(step));
        if kills() == before {
            assert!(step > 0, "nobody was killed");
            return report(executions, step, begin.elapsed());
        }
    }
}

fn run(preemptions: usize, model: impl Fn() + Send + Sync + 'static) -> usize {
    let executions = std::sync::Arc::new(AtomicUsize::new(0));
    let count = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound.get_or_insert(preemptions);
    // Three processes, each killed at every step, take more than the usual number of decisions.
    builder.max_branches = builder.max_branches.max(20_000);
    builder.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        model();
    });
    executions.load(Ordering::Relaxed)
}

fn report(executions: usize, runs: u32, elapsed: Duration) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or_default().replace("::loom_models", "");
    println!("{name:<64} {runs:>3} runs {executions:>9} executions {:>6.2} s", elapsed.as_secs_f32());
}

fn zeroes<const N: usize>() -> [AtomicU32; N] {
    std::array::from_fn(|_| AtomicU32::new(0))
}

fn zero() -> AtomicU32 {
    AtomicU32::new(0)
}

impl layout::RawLock {
    pub(crate) fn new() -> layout::RawLock {
        layout::RawLock {
            word: zero(),
            asleep: zero(),
            seen: AtomicU64::new(0),
            waiters: layout::Waiters::new(),
        }
    }
}

impl layout::Waiters {
    fn new() -> layout::Waiters {
        layout::Waiters { ids: zeroes() }
    }
}

impl layout::Cells {
    pub(crate) fn new() -> layout::Cells {
        layout::Cells { used: AtomicU64::new(0), cells: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl layout::RwLock {
    pub(crate) fn new() -> layout::RwLock {
        let (writer, readers) = (layout::RawLock::new(), layout::Cells::new());
        layout::RwLock { writer, left: zero(), writing: zero(), readers }
    }
}

impl layout::Semaphore {
    pub(crate) fn new() -> layout::Semaphore {
        layout::Semaphore {
            lock: layout::RawLock::new(),
            total: zero(),
            available: zero(),
            bound: zero(),
            sleepers: zero(),
            signal: zero(),
            waiters: layout::Waiters::new(),
            permits: layout::Cells::new(),
        }
    }
}

impl layout::Condvar {
    pub(crate) fn new() -> layout::Condvar {
        layout::Condvar { sequence: zero(), sleepers: zero(), waiters: layout::Waiters::new() }
    }
}

impl layout::Event {
    pub(crate) fn new() -> layout::Event {
        layout::Event { state: zero(), waiters: layout::Waiters::new() }
    }
}

impl layout::Barrier {
    pub(crate) fn new(parties: u32) -> layout::Barrier {
        layout::Barrier {
            lock: layout::RawLock::new(),
            round: zero(),
            parties: AtomicU32::new(parties),
            arrived: zero(),
            outcomes: zeroes(),
            waiters: layout::Waiters::new(),
            holders: layout::Cells::new(),
        }
    }
}
