//! What a walk found: counts, times and the failures in full.

use std::fmt;
use std::time::Duration;

/// The result of a walk. `Display` gives one row of the table that [`markdown_table`] makes.
#[derive(Debug, Clone)]
#[must_use = "a report that nobody reads proves nothing: call `assert_complete` or `assert_clean`"]
pub struct Report {
    /// The name of the operation.
    pub operation: String,
    /// Length of the operation in instructions, or of the part of it that was walked.
    pub steps: u64,
    /// Length of the recovery in instructions, where recovery was walked too.
    pub recovery_steps: Option<u64>,
    /// Processes killed within the operation or within the recovery.
    pub kills: u64,
    /// How many of those were asleep in the kernel.
    pub blocked: u64,
    /// Checks that ran, each in a survivor of its own.
    pub checks: u64,
    /// Checks, or waiters, that did not end within the deadline.
    pub hangs: u64,
    /// Checks, or waiters, that panicked or died.
    pub violations: u64,
    /// Victims or recoverers that panicked, died or could not be stepped.
    pub errors: u64,
    /// Checks that passed, but took longer than the limit for a recovery.
    pub slow: u64,
    /// The longest time that a survivor, or a waiter after the kill, took.
    pub slowest: Duration,
    /// The median of these times.
    pub median: Duration,
    /// Single steps executed in all.
    pub single_steps: u64,
    /// Duration of the walk.
    pub elapsed: Duration,
    /// Why the walk ended.
    pub end: WalkEnd,
    /// The failures, in the order found.
    pub failures: Vec<Failure>,
}

/// How a stepped process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The operation was complete, and the process was killed right after it.
    Completed,
    /// Killed within the operation, after `step` instructions of it.
    Killed {
        /// The number of instructions that were executed.
        step: u64,
    },
    /// Killed asleep in the system call that follows the first `step` instructions.
    KilledWhileBlocked {
        /// The number of instructions that were executed.
        step: u64,
    },
}

/// Why a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkEnd {
    /// The operation ran through.
    Complete,
    /// The operation blocked, and nobody woke it.
    Blocked,
    /// The limit of steps was reached.
    StepLimit,
    /// The time was used up.
    OutOfTime,
    /// There were too many failures, or the victim failed by itself.
    Failed,
}

/// One failed kill.
#[derive(Debug, Clone)]
pub struct Failure {
    /// What kind of failure it is.
    pub kind: FailureKind,
    /// What happened, with the message of the panic.
    pub message: String,
    /// How the victim ended; `None` when it failed by itself.
    pub victim: Option<Outcome>,
    /// The instruction that the victim would have run next.
    pub victim_at: Option<String>,
    /// How the recoverer ended, where there was one.
    pub recoverer: Option<Outcome>,
    /// The instruction that the recoverer would have run next.
    pub recoverer_at: Option<String>,
}

impl Failure {
    pub(crate) fn error(message: String) -> Self {
        Self {
            kind: FailureKind::Error,
            message,
            victim: None,
            victim_at: None,
            recoverer: None,
            recoverer_at: None,
        }
    }
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// A survivor or a waiter did not end within the deadline.
    Hang,
    /// A survivor or a waiter panicked or died: what the check asserts does not hold.
    Violation,
    /// The victim or the recoverer failed by itself, so the walk could not go on.
    Error,
}

impl Report {
    /// Panics with the text of all failures when there is one, or when no check ran at all.
    ///
    /// A walk that ended where the operation blocks, or at a limit, is clean too.
    ///
    /// Slow recoveries are counted, not failed: on a busy machine they prove nothing.
    ///
    /// # Panics
    /// See above.
    #[track_caller]
    pub fn assert_clean(&self) {
        assert!(self.checks > 0 || !self.failures.is_empty(), "{}: no check ran", self.operation);
        if !self.failures.is_empty() {
            let texts: Vec<String> = self.failures.iter().map(|failure| format!("- {failure}")).collect();
            panic!(
                "{}: {} hangs, {} violations, {} errors in {} kills\n{}",
                self.operation,
                self.hangs,
                self.violations,
                self.errors,
                self.kills,
                texts.join("\n")
            );
        }
    }

    /// As [`assert_clean`](Self::assert_clean), and panics as well when the walk ended before the operation did, or
    /// when a recoverer was killed asleep, so that its walk was cut short.
    ///
    /// # Panics
    /// See above.
    #[track_caller]
    pub fn assert_complete(&self) {
        self.assert_clean();
        let Self { operation, steps, end, blocked, .. } = self;
        assert_eq!(*end, WalkEnd::Complete, "{operation}: walked {steps} steps, {end}");
        assert_eq!(*blocked, 0, "{operation}: recoverers that were killed while blocked");
    }

    pub(crate) fn new(operation: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            steps: 0,
            recovery_steps: None,
            kills: 0,
            blocked: 0,
            checks: 0,
            hangs: 0,
            violations: 0,
            errors: 0,
            slow: 0,
            slowest: Duration::ZERO,
            median: Duration::ZERO,
            single_steps: 0,
            elapsed: Duration::ZERO,
            end: WalkEnd::Failed,
            failures: Vec::new(),
        }
    }

    pub(crate) fn add(&mut self, failure: Failure) {
        match failure.kind {
            FailureKind::Hang => self.hangs += 1,
            FailureKind::Violation => self.violations += 1,
            FailureKind::Error => self.errors += 1,
        }
        self.failures.push(failure);
    }
}

/// A Markdown table with a row for each report.
pub fn markdown_table<'a>(reports: impl IntoIterator<Item = &'a Report>) -> String {
    const HEAD: &str = "\
| operation | steps | recovery steps | kills | blocked | checks | hangs | violations | errors \
| slow | slowest | median | walk | time |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|--:|
";
    reports.into_iter().fold(HEAD.to_owned(), |table, report| format!("{table}{report}\n"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recovery_steps = self.recovery_steps.map_or("-".to_owned(), |steps| steps.to_string());
        write!(
            f,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.1?} | {:.1?} | {} | {:.1?} |",
            self.operation,
            self.steps,
            recovery_steps,
            self.kills,
            self.blocked,
            self.checks,
            self.hangs,
            self.violations,
            self.errors,
            self.slow,
            self.slowest,
            self.median,
            self.end,
            self.elapsed
        )
    }
}

impl fmt::Display for WalkEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Complete => "complete",
            Self::Blocked => "to where it blocks",
            Self::StepLimit => "to the step limit",
            Self::OutOfTime => "out of time",
            Self::Failed => "given up",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.message)?;
        let processes =
            [("victim", self.victim, &self.victim_at), ("recoverer", self.recoverer, &self.recoverer_at)];
        for (role, outcome, address) in processes {
            if let Some(outcome) = outcome {
                write!(f, "; {role} {outcome}")?;
            }
            if let Some(address) = address {
                write!(f, " (before {address})")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Completed => f.write_str("killed after it was complete"),
            Self::Killed { step } => write!(f, "killed at step {step}"),
            Self::KilledWhileBlocked { step } => write!(f, "killed while blocked at step {step}"),
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hang => "hang",
            Self::Violation => "violation",
            Self::Error => "error",
        })
    }
}
