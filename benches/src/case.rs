//! One comparison: how it is measured and judged.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

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
    /// Bytes for each of that many: the nanoseconds stand for bytes.
    BytesEach(u64),
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
            Unit::BytesEach(count) => time.as_nanos() as f64 / count as f64,
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
            Unit::BytesEach(_) => "bytes",
            Unit::GigabytesPerSecond(_) => "GB/s",
        }
    }
}

impl Case {
    /// Measures both in turn and prints a line for each value that is judged.
    pub(crate) fn measure(mut self, quick: bool) -> Vec<Outcome> {
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
        ours.sort_unstable();
        theirs.sort_unstable();
        let middle = Outcome::new(&self, "", self.goal, (&ours, &theirs), |times| times[times.len() / 2]);
        let Goal::MedianAndMaxAtMost(_, most) = self.goal else { return vec![middle] };
        let last = |times: &[Duration]| times[times.len() - 1];
        vec![middle, Outcome::new(&self, "-max", Goal::AtMost(most), (&ours, &theirs), last)]
    }
}

/// What came of a case.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) peer: &'static str,
    unit: &'static str,
    /// In that unit, what is judged.
    ours: f64,
    theirs: f64,
    /// Ours in units of the peer's.
    pub(crate) ratio: f64,
    goal: String,
    /// How far the goal is exceeded: 1 is just reached, more is better. Without a goal, `None`.
    pub(crate) reach: Option<f64>,
    /// In that unit, all rounds.
    our_rounds: Vec<f64>,
    their_rounds: Vec<f64>,
}

impl Outcome {
    fn new(
        case: &Case,
        suffix: &str,
        goal: Goal,
        (our_rounds, their_rounds): (&[Duration], &[Duration]),
        pick: impl Fn(&[Duration]) -> Duration,
    ) -> Outcome {
        let unit = case.unit.name();
        let (ours, theirs) = (case.unit.of(pick(our_rounds)), case.unit.of(pick(their_rounds)));
        let ratio = ours / theirs;
        let (goal, reach) = match goal {
            Goal::RatioAtMost(most) => (format!("<={most}"), Some(most / ratio)),
            Goal::RatioAtLeast(least) => (format!(">={least}"), Some(ratio / least)),
            Goal::AtLeast(least) => (format!(">={least}{unit}"), Some(ours / least)),
            Goal::AtMost(most) | Goal::MedianAndMaxAtMost(most, _) => {
                (format!("<={most}{unit}"), Some(most / ours))
            }
            Goal::None => ("none".to_owned(), None),
        };
        let all = |times: &[Duration]| times.iter().map(|&time| case.unit.of(time)).collect();
        let (our_rounds, their_rounds) = (all(our_rounds), all(their_rounds));
        let id = format!("{}{suffix}", case.id);
        Outcome { id, peer: case.peer, unit, ours, theirs, ratio, goal, reach, our_rounds, their_rounds }
    }

    /// Whether it is good enough.
    pub(crate) fn is_reached(&self) -> bool {
        self.reach.is_none_or(|reach| reach >= 1.0)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { id, peer, unit, ours, theirs, ratio, goal, .. } = self;
        let precision = if ours.min(*theirs) < 0.1 { 4 } else { 2 };
        let verdict = if self.is_reached() { "OK" } else { "MISS" };
        write!(
            f,
            "CASE {id} ours {ours:.precision$} {unit} {peer} {theirs:.precision$} ratio {ratio:.2} goal {goal} {verdict}"
        )
    }
}

/// How long `f` takes.
pub(crate) fn time<T>(f: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = f();
    let time = start.elapsed();
    drop(result);
    time
}
