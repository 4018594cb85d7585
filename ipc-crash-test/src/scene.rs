//! What the processes of a kill test share, and those that stand around it.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};

use rustix::io::Errno;
use rustix::thread::{Timespec, futex};

use crate::shared::SharedBox;

/// Without `PRIVATE`, between processes.
const SHARED: futex::Flags = futex::Flags::empty();
const ALL: u32 = i32::MAX as u32;

/// Words that the processes leave notes in; 0 at first.
pub type Notes = [AtomicU64; 4];

/// A lock, or whatever the test is about, words to leave notes in, and another process.
#[derive(Debug)]
pub struct Scene<L> {
    /// What the test is about.
    pub lock: L,
    /// Shared by all processes of the scene.
    pub notes: SharedBox<Notes>,
    other: Option<Other>,
}

impl<L> Scene<L> {
    /// Without another process.
    pub fn new(lock: L) -> Scene<L> {
        Scene { lock, notes: SharedBox::new([const { AtomicU64::new(0) }; 4]), other: None }
    }

    /// With another process, which runs `body` until that calls [`Gate::stay`].
    pub fn with_other(mut self, body: impl FnOnce(&L, &Notes, &Gate)) -> Scene<L> {
        let other = Other::start(|gate| body(&self.lock, &self.notes, gate));
        other.gate.await_arrival();
        self.other = Some(other);
        self
    }

    /// After a process that ran `body` and died there.
    pub fn after(self, body: impl FnOnce(&L)) -> Scene<L> {
        let other = Other::start(|gate| {
            body(&self.lock);
            gate.stay();
        });
        other.gate.await_arrival();
        drop(other);
        self
    }

    /// Lets the other process go on.
    pub fn go(&self) {
        if let Some(other) = &self.other {
            other.gate.open();
        }
    }
}

/// A forked process; killed and reaped when dropped.
#[derive(Debug)]
struct Other {
    pid: i32,
    gate: Gate,
}

/// Where the other process waits until it is let on.
#[derive(Debug)]
pub struct Gate(SharedBox<[AtomicU32; 2]>);

impl Gate {
    fn await_arrival(&self) {
        let limit = Timespec { tv_sec: 10, tv_nsec: 0 };
        while self.0[0].load(SeqCst) == 0 {
            let waited = futex::wait(&self.0[0], SHARED, 0, Some(&limit));
            assert_ne!(waited, Err(Errno::TIMEDOUT), "the other process hangs");
        }
    }

    fn arrive(&self) {
        self.0[0].store(1, SeqCst);
        let _ = futex::wake(&self.0[0], SHARED, ALL);
    }

    fn open(&self) {
        self.0[1].store(1, SeqCst);
        let _ = futex::wake(&self.0[1], SHARED, ALL);
    }

    /// Tells that all is ready, and waits until `seen`, or to be let on. It looks whenever nobody else needs the CPU,
    /// so that a victim which waits for this process makes a few steps only.
    pub fn stay_until(&self, seen: impl Fn() -> bool) {
        // SAFETY: takes an integer.
        unsafe { libc::nice(19) };
        self.arrive();
        while !self.is_open() && !seen() {
            std::thread::yield_now();
        }
    }

    /// Whether it was let on.
    pub fn is_open(&self) -> bool {
        self.0[1].load(SeqCst) != 0
    }

    /// Tells that all is ready, and waits to be let on.
    pub fn stay(&self) {
        self.arrive();
        while !self.is_open() {
            let _ = futex::wait(&self.0[1], SHARED, 0, None);
        }
    }
}

impl Other {
    fn start(body: impl FnOnce(&Gate)) -> Other {
        let gate = Gate(SharedBox::new([const { AtomicU32::new(0) }; 2]));
        // SAFETY: kill tests run in processes in which no other thread does anything.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "no process can be forked");
        if pid > 0 {
            return Other { pid, gate };
        }
        // SAFETY: takes integers.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let _ = catch_unwind(AssertUnwindSafe(|| {
            body(&gate);
            loop {
                std::thread::park();
            }
        }));
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(101) }
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // SAFETY: takes integers; the child is not reaped yet, so that the number is its own.
        unsafe { libc::kill(self.pid, libc::SIGKILL) };
        // SAFETY: the null pointer is allowed, and says that the status is of no interest.
        unsafe { libc::waitpid(self.pid, std::ptr::null_mut(), 0) };
    }
}
