//! The walk: for each step a fresh state, a victim killed there, and a survivor that checks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::address;
use crate::control::{self, Control, Step};
use crate::kill_test::KillTest;
use crate::process::{JoinError, Process, Timing};
use crate::report::{Failure, FailureKind, Outcome, Report, WalkEnd};
use crate::stepped::Stepped;
use crate::sys::Ticker;

/// Which a walk must not exceed, unless its author sets another.
const DEFAULT_TIME_BUDGET: Duration = Duration::from_secs(300);

/// A walk under way.
pub(crate) struct Walk<'t, 'a, S> {
    test: &'t KillTest<'a, S>,
    timing: Timing,
    victim: Role,
    recoverer: Role,
    survivor: Control,
    waiters: Vec<Control>,
    report: Report,
    times: Vec<Duration>,
    begin: Instant,
}

/// What is kept of one stepped child for the next one.
struct Role {
    name: &'static str,
    control: Control,
    blocked_at: BTreeSet<u64>,
    /// The most steps that one of them made.
    longest: u64,
}

/// A process after its kill.
struct Killed {
    outcome: Outcome,
    steps: u64,
    next_instruction: Option<u64>,
    /// Reaped when dropped: at once, unless zombies are to be left.
    _zombie: Option<Stepped>,
}

impl<'t, 'a, S> Walk<'t, 'a, S> {
    pub(crate) fn new(test: &'t KillTest<'a, S>) -> Self {
        Self {
            timing: Timing {
                ticker: Ticker::new().expect("no timer can be made"),
                deadline: test.limits.deadline,
                blocked_after: test.limits.blocked_after,
            },
            victim: Role::new("victim"),
            recoverer: Role::new("recoverer"),
            survivor: Control::new(),
            waiters: test.waiters.iter().map(|_| Control::new()).collect(),
            report: Report::new(&test.name),
            times: Vec::new(),
            begin: Instant::now(),
            test,
        }
    }

    pub(crate) fn run(mut self) -> Report {
        self.report.end = self.walk();
        self.report.steps = self.victim.longest;
        self.report.recovery_steps = self.test.recoverer.is_some().then_some(self.recoverer.longest);
        self.report.elapsed = self.begin.elapsed();
        self.times.sort_unstable();
        self.report.slowest = self.times.last().copied().unwrap_or_default();
        self.report.median = self.times.get(self.times.len() / 2).copied().unwrap_or_default();
        self.report
    }

    fn walk(&mut self) -> WalkEnd {
        let limits = &self.test.limits;
        let mut step = limits.start_at;
        loop {
            let mut recovery_step = 0;
            let victim = loop {
                if let Some(end) = self.limit_reached(step) {
                    return end;
                }
                match self.kill_at(step, recovery_step) {
                    Err(failure) => {
                        self.report.add(failure);
                        return WalkEnd::Failed;
                    }
                    Ok((_, Some(Outcome::Killed { .. }))) => recovery_step += limits.recovery_stride,
                    Ok((victim, _)) => break victim,
                }
            };
            match victim {
                Outcome::Completed => return WalkEnd::Complete,
                Outcome::KilledWhileBlocked { .. } => return WalkEnd::Blocked,
                Outcome::Killed { .. } => step = step.saturating_add(limits.stride),
            }
        }
    }

    fn limit_reached(&mut self, step: u64) -> Option<WalkEnd> {
        let limits = &self.test.limits;
        let budget = limits.time_budget.unwrap_or(DEFAULT_TIME_BUDGET);
        if self.report.failures.len() >= limits.max_failures {
            return Some(WalkEnd::Failed);
        }
        if step > limits.max_steps {
            return Some(WalkEnd::StepLimit);
        }
        if self.begin.elapsed() < budget {
            return None;
        }
        if limits.time_budget.is_none() {
            let text = format!("not complete after {budget:?} at step {step}: set a stride or a time budget");
            self.report.add(Failure::error(text));
        }
        Some(WalkEnd::OutOfTime)
    }

    /// One kill: the victim after `step` instructions, then the recoverer, if there is one, after `recovery_step`.
    ///
    /// A failed check goes into the report; the error is that of a process that could not be walked.
    fn kill_at(&mut self, step: u64, recovery_step: u64) -> Result<(Outcome, Option<Outcome>), Failure> {
        let test = self.test;
        let state = (test.setup)();
        let wake = test.when_blocked.as_ref().map(|wake| || wake(&state));
        let wake = wake.as_ref().map(|wake| wake as &dyn Fn());

        let body = test.victim.as_deref().expect("a kill test needs a victim");
        let process = self.victim.fork(&self.timing, |step| body(&state, step))?;
        let mut waiters = self.fork_waiters(&state)?;
        let meanwhile = test.meanwhile.as_ref().map(|others| || others(&state));
        let meanwhile = meanwhile.as_ref().map(|others| others as &dyn Fn());
        let victim = self.victim.stop(process, step, &self.timing, wake, meanwhile)?;
        let victim = self.count(victim);

        let recoverer = match test.recoverer.as_deref() {
            Some(body) => {
                let process = self.recoverer.fork(&self.timing, |step| body(&state, step));
                let killed = process
                    .and_then(|process| self.recoverer.stop(process, recovery_step, &self.timing, wake, None))
                    .map_err(|failure| failure.after(&victim))?;
                Some(self.count(killed))
            }
            None => None,
        };

        let verdict = self.verify(&state, victim.outcome, &mut waiters);
        drop(waiters);
        if let Err((kind, message)) = verdict {
            let failure = Failure { kind, ..Failure::error(message) }.after(&victim);
            self.report.add(Failure {
                recoverer: recoverer.as_ref().map(|killed| killed.outcome),
                recoverer_at: recoverer.as_ref().and_then(Killed::place),
                ..failure
            });
        }
        Ok((victim.outcome, recoverer.map(|killed| killed.outcome)))
    }

    /// Forks the waiters, and waits until each of them is asleep.
    fn fork_waiters(&self, state: &S) -> Result<Vec<Process>, Failure> {
        let mut processes = Vec::new();
        for (waiter, control) in self.test.waiters.iter().zip(&self.waiters) {
            let mut process = Process::fork_timed(control, || waiter(state));
            process
                .await_sleep(self.timing.deadline)
                .map_err(|message| Failure::error(format!("the waiter {message}")))?;
            processes.push(process);
        }
        Ok(processes)
    }

    fn count(&mut self, killed: Killed) -> Killed {
        self.report.kills += 1;
        self.report.blocked += u64::from(matches!(killed.outcome, Outcome::KilledWhileBlocked { .. }));
        self.report.single_steps += killed.steps;
        match self.test.limits.leave_zombies {
            true => killed,
            false => Killed { _zombie: None, ..killed },
        }
    }

    /// Runs the check in a survivor, and waits for the waiters.
    fn verify(
        &mut self,
        state: &S,
        victim: Outcome,
        waiters: &mut [Process],
    ) -> Result<(), (FailureKind, String)> {
        let killed_at = control::nanos();
        let check = self.test.check.as_deref().expect("a kill test needs a check");
        self.report.checks += 1;
        let mut survivor = Process::fork_timed(&self.survivor, || check(state, victim));
        survivor.join(&self.timing).map_err(|error| error.describe("survivor", &self.timing))?;
        let mut time = self.survivor.elapsed();
        for (waiter, control) in waiters.iter_mut().zip(&self.waiters) {
            waiter.join(&self.timing).map_err(|error| error.describe("waiter", &self.timing))?;
            time = time.max(control.elapsed_since(killed_at));
        }
        self.report.slow += u64::from(time > self.test.limits.slow_limit);
        self.times.push(time);
        Ok(())
    }
}

impl Role {
    fn new(name: &'static str) -> Self {
        Self { name, control: Control::new(), blocked_at: BTreeSet::new(), longest: 0 }
    }

    fn fork(&self, timing: &Timing, body: impl FnOnce(Step<'_>)) -> Result<Stepped, Failure> {
        Stepped::fork(&self.control, timing, body).map_err(|message| self.error(message))
    }

    /// Steps a process through `limit` instructions, and kills it there, or lets it go on after `meanwhile`.
    fn stop(
        &mut self,
        mut process: Stepped,
        limit: u64,
        timing: &Timing,
        wake: Option<&dyn Fn()>,
        meanwhile: Option<&dyn Fn()>,
    ) -> Result<Killed, Failure> {
        let outcome = process.step_to(limit, timing, &mut self.blocked_at, wake);
        let outcome = outcome.map_err(|message| self.error(message))?;
        let next_instruction = process.next_instruction();
        if let (Some(others), Outcome::Killed { .. }) = (meanwhile, outcome) {
            others();
            process.go_on(timing).map_err(|message| self.error(message))?;
        }
        process.kill();
        self.longest = self.longest.max(process.steps());
        Ok(Killed { outcome, steps: process.steps(), next_instruction, _zombie: Some(process) })
    }

    fn error(&self, message: String) -> Failure {
        Failure::error(format!("the {} {message}", self.name))
    }
}

impl Killed {
    fn place(&self) -> Option<String> {
        self.next_instruction.map(address::describe)
    }
}

impl Failure {
    /// Adds how the victim ended.
    fn after(self, victim: &Killed) -> Self {
        Self { victim: Some(victim.outcome), victim_at: victim.place(), ..self }
    }
}

impl JoinError {
    fn describe(self, who: &str, timing: &Timing) -> (FailureKind, String) {
        match self {
            Self::Hang => (FailureKind::Hang, format!("the {who} did not end within {:?}", timing.deadline)),
            Self::Failed(message) => (FailureKind::Violation, format!("the {who} {message}")),
        }
    }
}
