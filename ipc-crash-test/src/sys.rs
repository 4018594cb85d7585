//! The system calls that need unsafe code: fork, `_exit`, and a timer whose signal interrupts `waitpid`.

#![allow(unsafe_code)]

use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Once;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{ForkResult, Pid, fork, gettid};

/// Forks a child that runs `body` and leaves with `_exit`; a panic in `body` ends there too.
pub(crate) fn fork_child(body: impl FnOnce()) -> io::Result<Pid> {
    // SAFETY: the child runs `body` alone and never returns to the caller's frames; that `body` needs no lock which
    // another thread holds is what `KillTest` asks of its user.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            let result = catch_unwind(AssertUnwindSafe(body));
            // SAFETY: `_exit` takes any status, and does not return to the code that the parent runs too.
            unsafe { libc::_exit(if result.is_ok() { 0 } else { 101 }) }
        }
    }
}

/// Stops the calling process with as few instructions after the stop as possible.
pub(crate) fn stop_self(pid: Pid) {
    // SAFETY: `kill` takes integers and touches no memory of ours.
    unsafe { libc::kill(pid.as_raw(), libc::SIGSTOP) };
}

/// A timer that interrupts the blocking system calls of the thread that made it, every millisecond while started.
///
/// It lets `waitpid` have a deadline without a second system call per wait. The signal is SIGURG, which is ignored
/// by default: one that comes late does no harm.
pub(crate) struct Ticker {
    timer: libc::timer_t,
}

impl Ticker {
    pub(crate) const INTERVAL_NANOS: libc::c_long = 1_000_000;

    pub(crate) fn new() -> io::Result<Self> {
        install_handler();
        // SAFETY: `sigevent` is plain data, valid when zeroed.
        let mut event: libc::sigevent = unsafe { mem::zeroed() };
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGURG;
        event.sigev_notify_thread_id = gettid().as_raw();
        let mut timer = ptr::null_mut();
        // SAFETY: both pointers are to locals that live through the call.
        match unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &mut event, &mut timer) } {
            0 => Ok(Self { timer }),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Ticks until the guard is dropped.
    pub(crate) fn start(&self) -> Ticking<'_> {
        self.set_interval(Self::INTERVAL_NANOS);
        Ticking { ticker: self }
    }

    fn set_interval(&self, tv_nsec: libc::c_long) {
        let every = libc::timespec { tv_sec: 0, tv_nsec };
        let spec = libc::itimerspec { it_interval: every, it_value: every };
        // SAFETY: the timer is deleted in `drop` only, and `spec` lives through the call.
        let result = unsafe { libc::timer_settime(self.timer, 0, &spec, ptr::null_mut()) };
        debug_assert_eq!(result, 0, "the timer exists and the interval is valid");
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // SAFETY: `new` made the timer, and nobody uses it after the drop.
        unsafe { libc::timer_delete(self.timer) };
    }
}

/// Stops the [`Ticker`] when dropped.
pub(crate) struct Ticking<'a> {
    ticker: &'a Ticker,
}

impl Drop for Ticking<'_> {
    fn drop(&mut self) {
        self.ticker.set_interval(0);
    }
}

/// Gives SIGURG a handler that does nothing, and no SA_RESTART: that alone makes it interrupt system calls.
fn install_handler() {
    extern "C" fn nothing(_: libc::c_int) {}

    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler does nothing, so it may run anywhere.
        unsafe { sigaction(Signal::SIGURG, &action) }.expect("SIGURG can have a handler");
    });
}
