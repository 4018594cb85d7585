//! What the processes of a kill test share, and those that stand around it.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use ipc_core::futex;
use ipc_crash_test::SharedBox;
use ipc_queue::JoinableQueue;

pub(crate) type Notes = [AtomicU64; 4];

/// A queue, words to leave notes in, and another process.
pub(crate) struct Scene<L> {
    pub(crate) queue: L,
    pub(crate) notes: SharedBox<Notes>,
    other: Option<Other>,
}

impl<L> Scene<L> {
    pub(crate) fn new(queue: L) -> Scene<L> {
        Scene { queue, notes: SharedBox::new([const { AtomicU64::new(0) }; 4]), other: None }
    }

    /// With another process, which runs `body` until that calls [`Gate::stay`].
    pub(crate) fn with_other(mut self, body: impl FnOnce(&L, &Notes, &Gate)) -> Scene<L> {
        let other = Other::start(|gate| body(&self.queue, &self.notes, gate));
        other.gate.await_arrival();
        self.other = Some(other);
        self
    }

    /// After a process that ran `body` and died there.
    pub(crate) fn after(self, body: impl FnOnce(&L)) -> Scene<L> {
        let other = Other::start(|gate| {
            body(&self.queue);
            gate.stay();
        });
        other.gate.await_arrival();
        drop(other);
        self
    }

    /// Lets the other process go on.
    pub(crate) fn go(&self) {
        if let Some(other) = &self.other {
            other.gate.open();
        }
    }
}

/// A forked process; killed and reaped when dropped.
struct Other {
    pid: i32,
    gate: Gate,
}

/// Where the other process waits until it is let on.
pub(crate) struct Gate(SharedBox<[AtomicU32; 2]>);

impl Gate {
    fn await_arrival(&self) {
        while self.0[0].load(SeqCst) == 0 {
            let deadline = ipc_core::deadline(Duration::from_secs(10));
            assert_eq!(futex::wait(&self.0[0], 0, deadline), futex::Wake::Woken, "the other process hangs");
        }
    }

    fn open(&self) {
        self.0[1].store(1, SeqCst);
        futex::wake_all(&self.0[1]);
    }

    /// Tells that all is ready, and waits until `seen`, or to be let on. It looks whenever nobody else needs the CPU,
    /// so that a victim which waits for this process makes a few steps only.
    pub(crate) fn stay_until(&self, seen: impl Fn() -> bool) {
        // SAFETY: takes an integer.
        unsafe { libc::nice(19) };
        self.0[0].store(1, SeqCst);
        futex::wake_all(&self.0[0]);
        while self.0[1].load(SeqCst) == 0 && !seen() {
            std::thread::yield_now();
        }
    }

    /// Tells that all is ready, and waits to be let on.
    pub(crate) fn stay(&self) {
        self.0[0].store(1, SeqCst);
        futex::wake_all(&self.0[0]);
        while self.0[1].load(SeqCst) == 0 {
            let _ = futex::wait(&self.0[1], 0, None);
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

/// Does once, in the process that forks all others, what every process does once.
pub(crate) fn warm_up() {
    let name = format!("warm-up-{}", std::process::id());
    let queue = JoinableQueue::<u64>::create_unbounded(&name).unwrap();
    queue.put(1).unwrap();
    assert!(queue.try_get().is_ok());
    assert!(!queue.join_timeout(Duration::from_millis(1)).unwrap());
}
