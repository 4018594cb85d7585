//! What came of a case: how it is judged and told.

use std::fmt::{self, Write as _};
use std::time::Duration;

use serde::Serialize;

use crate::case::{Goal, Unit};

/// The shares that are told of a distribution.
const SHARES: [f64; 5] = [0.5, 0.9, 0.99, 0.999, 1.0];

/// So many times of a side are written at most.
const WRITTEN: usize = 1000;

/// What came of a case.
#[derive(Serialize)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    pub(crate) peer: &'static str,
    unit: &'static str,
    /// In that unit, what is judged.
    ours: f64,
    theirs: Option<f64>,
    /// Ours in units of the peer's.
    ratio: Option<f64>,
    goal: String,
    /// How far the goal is exceeded: 1 is just reached, more is better. Without a goal, `None`.
    pub(crate) reach: Option<f64>,
    /// In that unit, ours and theirs at each of [`SHARES`].
    percentiles: Option<[Vec<f64>; 2]>,
    /// In that unit, all times, or so many of them.
    our_times: Vec<f64>,
    their_times: Vec<f64>,
}

impl Outcome {
    /// `times` are in their order; what is judged is the one that such a share of them does not exceed.
    pub(crate) fn new(
        id: String,
        peer: &'static str,
        unit: Unit,
        goal: Goal,
        times: &[Vec<Duration>; 2],
        share: f64,
    ) -> Outcome {
        let value = |times: &Vec<Duration>| at(times, share).map(|time| unit.of(time));
        let ours = value(&times[0]).expect("ours is measured");
        let theirs = value(&times[1]);
        let ratio = theirs.map(|theirs| ours / theirs);
        let (unit_name, of_ratio) = (unit.name(), ratio.unwrap_or(f64::NAN));
        let (goal, reach) = match goal {
            Goal::RatioAtMost(most) => (format!("<={most}"), Some(most / of_ratio)),
            Goal::RatioAtLeast(least) => (format!(">={least}"), Some(of_ratio / least)),
            Goal::AtLeast(least) => (format!(">={least}{unit_name}"), Some(ours / least)),
            Goal::AtMost(most) | Goal::MedianAndMaxAtMost(most, _) => {
                (format!("<={most}{unit_name}"), Some(most / ours))
            }
            Goal::None => ("none".to_owned(), None),
        };
        let written = |times: &Vec<Duration>| {
            times.iter().step_by(times.len().div_ceil(WRITTEN).max(1)).map(|&time| unit.of(time)).collect()
        };
        let [our_times, their_times] = times.each_ref().map(written);
        let unit = unit_name;
        Outcome {
            id,
            peer,
            unit,
            ours,
            theirs,
            ratio,
            goal,
            reach,
            percentiles: None,
            our_times,
            their_times,
        }
    }

    /// Tells how the times are distributed, too, which are in their order.
    pub(crate) fn add_percentiles(&mut self, unit: Unit, times: &[Vec<Duration>; 2]) {
        let of = |times: &Vec<Duration>| {
            SHARES.iter().filter_map(|&share| at(times, share)).map(|time| unit.of(time)).collect()
        };
        self.percentiles = Some(times.each_ref().map(of));
    }

    /// What is judged, and by what.
    pub(crate) fn judged(&self) -> String {
        let value = match self.ratio {
            Some(ratio) if !self.goal.ends_with(self.unit) => format!("{ratio:.2}x"),
            _ => format!("{:.2} {}", self.ours, self.unit),
        };
        format!("{value}, goal {}", self.goal)
    }

    /// Whether it is good enough.
    pub(crate) fn is_reached(&self) -> bool {
        self.reach.is_none_or(|reach| reach >= 1.0)
    }
}

/// The first that such a share of the others does not exceed.
fn at(times: &[Duration], share: f64) -> Option<Duration> {
    let last = times.len().checked_sub(1)?;
    Some(times[(last as f64 * share).round() as usize])
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome { id, peer, unit, ours, theirs, ratio, goal, .. } = self;
        let precision = if ours.min(theirs.unwrap_or(*ours)) < 0.1 { 4 } else { 2 };
        let number = |value: Option<f64>, precision: usize| match value {
            Some(value) => format!("{value:.precision$}"),
            None => "-".to_owned(),
        };
        let (theirs, ratio) = (number(*theirs, precision), number(*ratio, 2));
        let verdict = if self.is_reached() { "OK" } else { "MISS" };
        write!(
            f,
            "CASE {id} ours {ours:.precision$} {unit} {peer} {theirs} ratio {ratio} goal {goal} {verdict}"
        )?;
        let Some([ours, theirs]) = &self.percentiles else { return Ok(()) };
        let list = |values: &[f64]| {
            SHARES.iter().zip(values).fold(String::new(), |mut text, (share, value)| {
                let _ = write!(text, " {}% {value:.precision$}", share * 100.0);
                text
            })
        };
        write!(f, "\nPERCENTILES {id} {unit} ours{}", list(ours))?;
        if theirs.is_empty() { Ok(()) } else { write!(f, " {peer}{}", list(theirs)) }
    }
}
