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
    /// Nanoseconds for each of that many.
    Nanos(u64),
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Of that time.
    PercentOf(Duration),
    /// Millions in a second, of that many.
    MillionsPerSecond(u64),
    /// Thousands of millions of bytes in a second, of that many bytes.
    GigabytesPerSecond(usize),
}

/// When a case is good enough.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    /// Ours is at most so many times the peer's.
    RatioAtMost(f64),
    /// Ours is at least so many times the peer's.
    RatioAtLeast(f64),
    /// Our own value is at least that.
    AtLeast(f64),
    /// Our own value is at most that.
    AtMost(f64),
    /// Our own median and maximum, in this order, are at most that.
    MedianAndMaxAtMost(f64, f64),
    /// It is only shown.
    None,
}

impl Unit {
    fn of(self, time: Duration) -> f64 {
        match self {
            Unit::Nanos(count) => time.as_secs_f64() * 1e9 / count as f64,
            Unit::Micros => time.as_secs_f64() * 1e6,
            Unit::Millis => time.as_secs_f64() * 1e3,
            Unit::PercentOf(whole) => time.as_secs_f64() / whole.as_secs_f64() * 100.0,
            Unit::MillionsPerSecond(count) => count as f64 / 1e6 / time.as_secs_f64(),
            Unit::GigabytesPerSecond(bytes) => bytes as f64 / 1e9 / time.as_secs_f64(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Unit::Nanos(_) => "ns",
            Unit::Micros => "us",
            Unit::Millis => "ms",
            Unit::PercentOf(_) => "%",
            Unit::MillionsPerSecond(_) => "M/s",
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
        let reached = self.judge("", self.goal, median(&mut ours), median(&mut theirs));
        let Goal::MedianAndMaxAtMost(_, most) = self.goal else { return reached };
        reached & self.judge("-max", Goal::AtMost(most), max(&ours), max(&theirs))
    }

    /// Prints the line; says whether the goal is reached.
    fn judge(&self, suffix: &str, goal: Goal, ours: Duration, theirs: Duration) -> bool {
        let unit = self.unit.name();
        let (ours, theirs) = (self.unit.of(ours), self.unit.of(theirs));
        let ratio = ours / theirs;
        let (goal, reached) = match goal {
            Goal::RatioAtMost(most) => (format!("<={most}"), ratio <= most),
            Goal::RatioAtLeast(least) => (format!(">={least}"), ratio >= least),
            Goal::AtLeast(least) => (format!(">={least}{unit}"), ours >= least),
            Goal::AtMost(most) | Goal::MedianAndMaxAtMost(most, _) => {
                (format!("<={most}{unit}"), ours <= most)
            }
            Goal::None => ("none".to_owned(), true),
        };
        println!(
            "CASE {}{suffix} ours {ours:.precision$} {unit} {} {theirs:.precision$} ratio {ratio:.2} goal {goal} {}",
            self.id,
            self.peer,
            if reached { "OK" } else { "MISS" },
            precision = if ours.min(theirs) < 0.1 { 4 } else { 2 },
        );
        reached
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn max(times: &[Duration]) -> Duration {
    times.iter().copied().max().unwrap_or_default()
}

/// How long `f` takes.
pub(crate) fn time<T>(f: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = f();
    let time = start.elapsed();
    drop(result);
    time
}
