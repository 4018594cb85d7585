//! One comparison: how it is measured.

use std::time::{Duration, Instant};

use crate::cpus::Cpus;
use crate::outcome::Outcome;
use crate::pingpong::{PingPong, ping_pong, ping_pong_each};

/// Does it once, and says how long that took; or some times, and says how long each took.
pub(crate) type Side = Box<dyn FnMut() -> Vec<Duration>>;

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
    rounds: usize,
    /// Whether each time is that of one operation, so that their distribution tells something.
    has_percentiles: bool,
    /// Makes ours and the peer's ready.
    prepare: Box<dyn FnOnce() -> [Side; 2]>,
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
    pub(crate) fn of(self, time: Duration) -> f64 {
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

    pub(crate) fn name(self) -> &'static str {
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
    /// Ours and theirs each do it once.
    pub(crate) fn new(
        id: &'static str,
        peer: &'static str,
        unit: Unit,
        goal: Goal,
        rounds: usize,
        ours: impl FnMut() -> Duration + 'static,
        theirs: impl FnMut() -> Duration + 'static,
    ) -> Case {
        Case::prepared(id, peer, unit, goal, rounds, || [once(ours), once(theirs)])
    }

    /// Ours has no peer.
    pub(crate) fn alone(
        id: &'static str,
        unit: Unit,
        goal: Goal,
        rounds: usize,
        ours: impl FnMut() -> Duration + 'static,
    ) -> Case {
        Case::prepared(id, "nobody", unit, goal, rounds, || [once(ours), Box::new(Vec::new)])
    }

    /// As [`new`](Self::new), where something has to be made before, which is done only if the case is measured.
    pub(crate) fn prepared(
        id: &'static str,
        peer: &'static str,
        unit: Unit,
        goal: Goal,
        rounds: usize,
        prepare: impl FnOnce() -> [Side; 2] + 'static,
    ) -> Case {
        Case { id, peer, unit, goal, rounds, has_percentiles: false, prepare: Box::new(prepare) }
    }

    /// `count` items from some processes to others.
    pub(crate) fn stream(
        id: &'static str,
        peer: &'static str,
        count: u64,
        goal: Goal,
        ours: fn() -> Duration,
        theirs: fn() -> Duration,
    ) -> Case {
        Case::new(id, peer, Unit::MillionsPerSecond(count), goal, 10, ours, theirs)
    }

    /// Rounds there and back between two processes, timed as a whole.
    pub(crate) fn round_trips<P: PingPong, Q: PingPong>(
        id: &'static str,
        peer: &'static str,
        cpus: Cpus,
        goal: Goal,
    ) -> Case {
        const ROUNDS: u32 = 20_000;
        let (ours, theirs) = (move || ping_pong::<P>(ROUNDS, cpus), move || ping_pong::<Q>(ROUNDS, cpus));
        Case::new(id, peer, Unit::Nanos(ROUNDS.into()), goal, 20, ours, theirs)
    }

    /// Rounds there and back between two processes, each timed by itself; with a pause before each that wakes both.
    pub(crate) fn latency<P: PingPong, Q: PingPong>(
        id: &'static str,
        peer: &'static str,
        cpus: Cpus,
        seldom: bool,
    ) -> Case {
        let trips = if seldom { 500 } else { 5000 };
        let prepare = move || -> [Side; 2] {
            [
                Box::new(move || ping_pong_each::<P>(trips, cpus, seldom)),
                Box::new(move || ping_pong_each::<Q>(trips, cpus, seldom)),
            ]
        };
        Case::prepared(id, peer, Unit::Nanos(1), Goal::None, 10, prepare).with_percentiles()
    }

    /// Judged by that.
    pub(crate) fn goal(self, goal: Goal) -> Case {
        Case { goal, ..self }
    }

    /// Each time is that of one operation: tells how they are distributed, too.
    pub(crate) fn with_percentiles(self) -> Case {
        Case { has_percentiles: true, ..self }
    }

    /// Measures both in turn; what is judged.
    pub(crate) fn measure(self, quick: bool) -> Vec<Outcome> {
        let rounds = if quick { self.rounds.div_ceil(10) } else { self.rounds };
        let Case { id, peer, unit, goal, has_percentiles, .. } = self;
        let mut sides = (self.prepare)();
        let mut times = [Vec::new(), Vec::new()];
        for round in 0..=rounds {
            for (side, times) in sides.iter_mut().zip(&mut times) {
                let all = side();
                // The first warms up, and shows that the work is done right.
                if round > 0 {
                    times.extend(all);
                }
            }
        }
        times.iter_mut().for_each(|times| times.sort_unstable());
        let outcome =
            |suffix, goal, share| Outcome::new(format!("{id}{suffix}"), peer, unit, goal, &times, share);
        let mut outcomes = vec![outcome("", goal, 0.5)];
        if let Goal::MedianAndMaxAtMost(_, most) = goal {
            outcomes.push(outcome("-max", Goal::AtMost(most), 1.0));
        }
        if has_percentiles {
            outcomes[0].add_percentiles(unit, &times);
        }
        outcomes
    }
}

/// A side that does it once.
pub(crate) fn once(mut f: impl FnMut() -> Duration + 'static) -> Side {
    Box::new(move || vec![f()])
}

/// How long `f` takes.
pub(crate) fn time<T>(f: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = f();
    let time = start.elapsed();
    drop(result);
    time
}
