//! A child that is stepped through its operation, one instruction at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use crate::address;
use crate::control::{Control, Step};
use crate::process::{JoinError, Process, Timing, is_asleep};
use crate::report::Outcome;

/// A traced child, stopped between two instructions of its operation.
pub(crate) struct Stepped {
    process: Process,
    steps: u64,
}

impl Stepped {
    /// Forks a child that runs `body`, and waits until it calls [`Step::run`].
    pub(crate) fn fork(
        control: &Control,
        timing: &Timing,
        body: impl FnOnce(Step<'_>),
    ) -> Result<Self, String> {
        let mut process = Process::fork(control, |control| body(Step::new(control)));
        let _ticking = timing.ticker.start();
        match process.wait(|waited| waited >= timing.deadline) {
            Some(WaitStatus::Stopped(..)) if control.is_started() => {
                ptrace::setoptions(process.pid, ptrace::Options::PTRACE_O_EXITKILL)
                    .map_err(|error| format!("cannot be traced: {error}"))?;
                Ok(Self { process, steps: 0 })
            }
            Some(WaitStatus::Exited(_, 0)) => Err("never called Step::run".into()),
            Some(status) => Err(process.describe_end(status)),
            None => Err(format!("did not come to Step::run within {:?}", timing.deadline)),
        }
    }

    /// Steps until `limit` instructions have run, or the operation is complete, or it blocks.
    ///
    /// `blocked_at` remembers between children at which steps the operation blocks, so that only the first one pays
    /// the full patience.
    pub(crate) fn step_to(
        &mut self,
        limit: u64,
        timing: &Timing,
        blocked_at: &mut BTreeSet<u64>,
        when_blocked: Option<&dyn Fn()>,
    ) -> Result<Outcome, String> {
        let _ticking = timing.ticker.start();
        let mut signal = None;
        while self.steps < limit && self.process.control.is_running() {
            match ptrace::step(self.process.pid, signal.take()) {
                // A process that somebody else killed is found dead by the wait.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(format!("cannot be stepped: {error}")),
            }
            match self.wait_step(timing, blocked_at, when_blocked)? {
                Some(WaitStatus::Stopped(_, Signal::SIGTRAP)) => self.steps += 1,
                // Passed on, a stop would only be reported again.
                Some(WaitStatus::Stopped(_, Signal::SIGSTOP | Signal::SIGTSTP)) => {}
                Some(WaitStatus::Stopped(_, other)) => signal = Some(other),
                Some(status) => return Err(self.process.describe_end(status)),
                None => return Ok(Outcome::KilledWhileBlocked { step: self.steps }),
            }
        }
        if self.process.control.is_panicked() {
            return Err(self.let_panic(timing));
        }
        match self.process.control.is_done() {
            true => Ok(Outcome::Completed),
            false => Ok(Outcome::Killed { step: self.steps }),
        }
    }

    /// Waits for the end of one step; `None` when it sleeps in the kernel and `when_blocked` did not wake it.
    fn wait_step(
        &mut self,
        timing: &Timing,
        blocked_at: &mut BTreeSet<u64>,
        mut when_blocked: Option<&dyn Fn()>,
    ) -> Result<Option<WaitStatus>, String> {
        let pid = self.process.pid;
        let known = blocked_at.contains(&self.steps);
        let mut patience = if known { Duration::ZERO } else { timing.blocked_after };
        loop {
            let mut asleep = false;
            let status = self.process.wait(|waited| {
                asleep = waited >= patience && is_asleep(pid);
                asleep || waited >= timing.deadline.max(patience)
            });
            match (status, asleep) {
                (Some(status), _) => return Ok(Some(status)),
                (None, false) => return Err(format!("took {:?} for a single step", timing.deadline)),
                (None, true) => blocked_at.insert(self.steps),
            };
            match when_blocked.take() {
                Some(wake) => wake(),
                None => return Ok(None),
            }
            patience = timing.blocked_after;
        }
    }

    /// Lets a process that panics come to its end at full speed, and returns what it said.
    fn let_panic(&mut self, timing: &Timing) -> String {
        let _ = ptrace::cont(self.process.pid, None);
        match self.process.wait(|waited| waited >= timing.deadline) {
            Some(status) => self.process.describe_end(status),
            None => "panicked, and did not end".into(),
        }
    }

    /// Lets the process come to its end at full speed.
    pub(crate) fn go_on(&mut self, timing: &Timing) -> Result<(), String> {
        ptrace::detach(self.process.pid, None).map_err(|error| format!("cannot go on: {error}"))?;
        match self.process.join(timing) {
            Ok(()) => Ok(()),
            Err(JoinError::Hang) => Err(format!("did not end within {:?}", timing.deadline)),
            Err(JoinError::Failed(message)) => Err(message),
        }
    }

    /// Instructions run so far.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// The address of the instruction that would run next.
    pub(crate) fn next_instruction(&self) -> Option<u64> {
        address::next_instruction(self.process.pid)
    }

    /// Kills the process; see [`Process::kill`].
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}
