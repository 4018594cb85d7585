//! A forked child that is gone, and reaped, when its handle is dropped.

use std::fs;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::{Pid, getpid, getppid};

use crate::control::Control;
use crate::sys::{self, Ticker};

/// A child process. Dropping it kills and reaps it.
pub(crate) struct Process {
    pub(crate) pid: Pid,
    pub(crate) control: Control,
    reaped: bool,
}

impl Process {
    /// Forks a child that runs `body`, and that dies with the calling thread.
    pub(crate) fn fork(control: &Control, body: impl FnOnce(&Control)) -> Self {
        control.reset();
        let parent = getpid();
        let pid = sys::fork_child(|| {
            set_pdeathsig(Signal::SIGKILL).expect("SIGKILL is a signal");
            if getppid() == parent {
                control.attach();
                body(control);
            }
        });
        Self { pid: pid.expect("no process can be forked"), reaped: false, control: control.clone() }
    }

    /// Forks a child that runs `body` at full speed and records when it was done.
    pub(crate) fn fork_timed(control: &Control, body: impl FnOnce()) -> Self {
        Self::fork(control, |control| {
            control.start();
            body();
            control.finish_timed();
        })
    }

    /// Waits for the end of a child made by `fork_timed`.
    pub(crate) fn join(&mut self, timing: &Timing) -> Result<(), JoinError> {
        let _ticking = timing.ticker.start();
        match self.wait(|waited| waited >= timing.deadline) {
            None => Err(JoinError::Hang),
            Some(_) if self.control.is_done() => Ok(()),
            Some(status) => Err(JoinError::Failed(self.describe_end(status))),
        }
    }

    /// Waits until the child sleeps in the kernel or has ended. The error says that it did neither.
    pub(crate) fn await_sleep(&mut self, limit: Duration) -> Result<(), String> {
        let begin = Instant::now();
        while !is_asleep(self.pid) {
            if self.has_ended() {
                break;
            }
            if begin.elapsed() >= limit {
                return Err(format!("did not fall asleep within {limit:?}"));
            }
            let _ = nix::sched::sched_yield();
        }
        Ok(())
    }

    /// Kills the child and waits until it is dead. It stays a zombie until the handle is dropped.
    pub(crate) fn kill(&mut self) {
        if self.reaped {
            return;
        }
        // A child that is not reaped keeps its id, so the signal cannot reach another process.
        let _ = kill(self.pid, Signal::SIGKILL);
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while waitid(Id::Pid(self.pid), flags) == Err(Errno::EINTR) {}
    }

    /// Waits for the child's next stop or its end; `give_up` is asked at every tick, with the time waited so far.
    ///
    /// The clock is first read at the first tick, so that a wait that ends before it, as nearly all steps do, costs
    /// one system call.
    pub(crate) fn wait(&mut self, mut give_up: impl FnMut(Duration) -> bool) -> Option<WaitStatus> {
        let mut first_tick = None;
        loop {
            match waitpid(self.pid, None) {
                Ok(status) => {
                    self.reaped = matches!(status, WaitStatus::Exited(..) | WaitStatus::Signaled(..));
                    return Some(status);
                }
                Err(Errno::EINTR) => {
                    if give_up(first_tick.get_or_insert_with(Instant::now).elapsed()) {
                        return None;
                    }
                }
                Err(error) => panic!("waitpid failed on a child that is not reaped: {error}"),
            }
        }
    }

    fn has_ended(&self) -> bool {
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT | WaitPidFlag::WNOHANG;
        !matches!(waitid(Id::Pid(self.pid), flags), Ok(WaitStatus::StillAlive) | Err(Errno::EINTR))
    }

    pub(crate) fn describe_end(&self, status: WaitStatus) -> String {
        match (self.control.panic_message(), status) {
            (Some(message), _) => format!("panicked: {message}"),
            (None, WaitStatus::Exited(_, code)) => format!("exited with code {code}"),
            (None, WaitStatus::Signaled(_, signal, _)) => format!("died of {signal}"),
            (None, status) => format!("is in an unexpected state, {status:?}"),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        while !self.reaped {
            match waitpid(self.pid, None) {
                Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..)) => self.reaped = true,
                Ok(_) | Err(Errno::EINTR) => {}
                Err(_) => self.reaped = true,
            }
        }
    }
}

/// The clock of all waits, and how long they may take.
pub(crate) struct Timing {
    pub(crate) ticker: Ticker,
    /// For a child at full speed, and for a single step.
    pub(crate) deadline: Duration,
    /// For a step that sleeps in the kernel.
    pub(crate) blocked_after: Duration,
}

/// Why a child that ran at full speed is no success.
pub(crate) enum JoinError {
    /// It did not end in time.
    Hang,
    /// It panicked or died.
    Failed(String),
}

/// Whether a process sleeps in a system call, from where a wake-up or a signal can bring it back.
pub(crate) fn is_asleep(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('S'))
}
