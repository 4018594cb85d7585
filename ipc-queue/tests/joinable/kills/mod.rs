//! Every operation as a kill test: each with a survivor that checks the contract.

mod joinable;
mod joinable_waits;
mod scene;

use std::time::Duration;

use ipc_crash_test::{KillTest, Report, WalkEnd};

use scene::Scene;

/// Within this time a survivor must have what the dead held. The contract says 100 ms; a busy machine takes longer,
/// and the report counts those that did.
const SOON: Duration = Duration::from_secs(1);

/// So many instructions are walked one by one in the full table, before the stride begins.
pub(crate) const DENSE: u64 = 400;

/// A recoverer is killed at every so many strides of the victim: its way is longer.
pub(crate) const RECOVERY: u64 = 23;

/// An operation, and how densely it is walked.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Kills at every n-th instruction: in the full table, and in its short form.
    strides: [u64; 2],
    run: fn(Walk) -> Report,
}

/// One walk over one case.
#[derive(Clone, Copy)]
pub(crate) struct Walk {
    name: &'static str,
    stride: u64,
    start_at: u64,
    max_steps: u64,
}

impl Walk {
    /// A test of which the victim, the recoverer, the waiters and the check are still missing.
    fn of<'a, L>(self, setup: impl Fn() -> Scene<L> + 'a) -> KillTest<'a, Scene<L>> {
        KillTest::new(self.name, setup).stride(self.stride).start_at(self.start_at).max_steps(self.max_steps)
    }
}

impl Case {
    pub(crate) fn stride(&self, quick: bool) -> u64 {
        self.strides[usize::from(quick)]
    }

    /// Walks with the stride of the full table or of its short form, times `coarser`.
    pub(crate) fn run(&self, quick: bool, coarser: u64) -> Report {
        let stride = self.stride(quick) * coarser;
        let walk = Walk { name: self.name, stride, start_at: 0, max_steps: u64::MAX };
        // A recovery is walked for each step of its victim, which is enough.
        if quick || stride == 1 || self.name.contains("of a killed") {
            return (self.run)(walk);
        }
        let beginning = (self.run)(Walk { stride: 1, max_steps: DENSE - 1, ..walk });
        match beginning.end {
            WalkEnd::StepLimit => add(beginning, (self.run)(Walk { start_at: DENSE, ..walk })),
            _ => beginning,
        }
    }
}

/// One report of two walks over the same operation.
fn add(one: Report, other: Report) -> Report {
    Report {
        kills: one.kills + other.kills,
        checks: one.checks + other.checks,
        hangs: one.hangs + other.hangs,
        violations: one.violations + other.violations,
        errors: one.errors + other.errors,
        slow: one.slow + other.slow,
        slowest: one.slowest.max(other.slowest),
        median: if one.checks > other.checks { one.median } else { other.median },
        elapsed: one.elapsed + other.elapsed,
        failures: one.failures.into_iter().chain(other.failures).collect(),
        ..other
    }
}

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    scene::warm_up();
    [joinable::CASES, joinable_waits::CASES]
        .into_iter()
        .flatten()
        .map(|&(name, strides, run)| Case { name, strides, run })
        .collect()
}

type Entry = (&'static str, [u64; 2], fn(Walk) -> Report);
