//! Operations as kill tests, in a table: each can be walked densely, or in passing.

use std::time::Duration;

use crate::kill_test::KillTest;
use crate::report::{Report, WalkEnd};
use crate::scene::Scene;

/// So many instructions are walked one by one in the full table, before the stride begins.
const DENSE: u64 = 400;

/// A recoverer is killed at every so many strides of the victim: its way is longer.
pub const RECOVERY: u64 = 23;

/// A [`Case`] as it stands in a list: its name; at every how many instructions to kill, in the full table and in its short
/// form; and the test.
pub type Entry = (&'static str, [u64; 2], fn(Walk) -> Report);

/// An operation, and how densely it is walked.
#[derive(Debug)]
pub struct Case {
    /// The operation.
    pub name: &'static str,
    /// Kills at every n-th instruction: in the full table, and in its short form.
    strides: [u64; 2],
    run: fn(Walk) -> Report,
}

/// One walk over one case.
#[derive(Debug, Clone, Copy)]
pub struct Walk {
    name: &'static str,
    /// Kills at every n-th instruction.
    pub stride: u64,
    start_at: u64,
    max_steps: u64,
}

impl Walk {
    /// A test of which the victim, the recoverer, the waiters and the check are still missing.
    pub fn of<'a, L>(self, setup: impl Fn() -> Scene<L> + 'a) -> KillTest<'a, Scene<L>> {
        let test = KillTest::new(self.name, setup).stride(self.stride).start_at(self.start_at);
        // Others may be busy on the same machine.
        test.max_steps(self.max_steps).deadline(Duration::from_secs(10))
    }
}

impl Case {
    /// A case out of a list.
    pub fn new(&(name, strides, run): &Entry) -> Case {
        Case { name, strides, run }
    }

    /// Kills at every so many instructions.
    pub fn stride(&self, quick: bool) -> u64 {
        self.strides[usize::from(quick)]
    }

    /// Walks with the stride of the full table or of its short form, times `coarser`.
    pub fn run(&self, quick: bool, coarser: u64) -> Report {
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
