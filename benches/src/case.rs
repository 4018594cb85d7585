//! One comparison: how it is measured and judged.

use std::time::{Duration, Instant};

/// Ours beside a peer's.
pub(crate) struct Case {
    /// `crate/what`.
    pub(crate) id: &'static str,
    /// What the peer is called.
    pub(crate) peer: &'static str,
    /// What the values are.
    pub(crate) unit: Unit,
    /// When it is good enough.
    pub(crate) goal: Goal,
    /// How often each is measured.
    pub(crate) rounds: usize,
    /// Does it once.
    pub(crate) ours: Box<dyn FnMut() -> Duration>,
    /// Does the same once in the peer's way.
    pub(crate) theirs: Box<dyn FnMut() -> Duration>,
}

/// How a duration is told.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// Microseconds.
    Micros,
    /// Thousands of millions of bytes in a second, of that many bytes.
    GigabytesPerSecond(usize),
}

/// When a case is good enough.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Ours is at most so many times the peer's.
    RatioAtMost(f64),
    /// Our own value is at least that.
    AtLeast(f64),
}

impl Unit {
    fn of(self, time: Duration) -> f64 {
        match self {
            Unit::Micros => time.as_secs_f64() * 1e6,
            Unit::GigabytesPerSecond(bytes) => bytes as f64 / 1e9 / time.as_secs_f64(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Micros => "us",
            Unit::GigabytesPerSecond(_) => "GB/s",
        }
    }
}

impl Case {
    /// Measures both in turn and prints the line; says whether the goal is reached.
    pub(crate) fn measure(mut self, quick: bool) -> bool {
        let rounds = if quick { self.rounds.div_ceil(10) } else { self.rounds };
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for round in 0..rounds + 1 {
            let (our, their) = ((self.ours)(), (self.theirs)());
            // The first warms up.
            if round > 0 {
                ours.push(our);
                theirs.push(their);
            }
        }
        let (ours, theirs) = (self.unit.of(median(ours)), self.unit.of(median(theirs)));
        let ratio = ours / theirs;
        let (goal, reached) = match self.goal {
            Goal::RatioAtMost(most) => (format!("<={most}"), ratio <= most),
            Goal::AtLeast(least) => (format!(">={least}{}", self.unit.name()), ours >= least),
        };
        println!(
            "CASE {} ours {ours:.2} {} {} {theirs:.2} ratio {ratio:.2} goal {goal} {}",
            self.id,
            self.unit.name(),
            self.peer,
            if reached { "OK" } else { "MISS" }
        );
        reached
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// How long `f` takes.
pub(crate) fn time<T>(f: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = f();
    let time = start.elapsed();
    drop(result);
    time
}
