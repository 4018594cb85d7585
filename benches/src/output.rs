//! The outcomes as files: all figures, and a picture.

use std::error::Error;
use std::fmt;
use std::fs::{self, File};
use std::path::Path;

use plotters::prelude::*;
use serde::Serialize;

use crate::outcome::Outcome;
use crate::plot;

/// Where it was measured.
#[derive(Serialize)]
pub(crate) struct Machine {
    cpus: usize,
    model: String,
    kernel: String,
}

impl Machine {
    pub(crate) fn this() -> Machine {
        let file = |path| fs::read_to_string(path).unwrap_or_default();
        let info = file("/proc/cpuinfo");
        let model = info.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(':')).map_or("unknown", |(_, model)| model.trim());
        Machine {
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            model: model.to_owned(),
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpus, model, kernel } = self;
        write!(f, "MACHINE {cpus} CPUs, {model}, Linux {kernel}")
    }
}

/// All that a run gives.
#[derive(Serialize)]
pub(crate) struct Data<T> {
    pub(crate) machine: Machine,
    pub(crate) is_quick: bool,
    pub(crate) results: Vec<T>,
}

impl<T: Serialize> Data<T> {
    /// Writes it into that file of the folder, which need not exist yet.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<(), Box<dyn Error>> {
        fs::create_dir_all(folder)?;
        Ok(serde_json::to_writer_pretty(File::create(folder.join(name))?, self)?)
    }
}

/// Dark enough for white, which it is drawn on.
const OK: RGBColor = RGBColor(46, 139, 87);
const MISS: RGBColor = RGBColor(200, 80, 60);
const TEXT: RGBColor = RGBColor(40, 40, 40);
const WIDTH: u32 = 900;
const LINE: u32 = 22;

/// A bar for each case that has a goal: how far it is exceeded, on a logarithmic scale.
pub(crate) fn draw(path: &Path, outcomes: &[Outcome]) -> Result<(), Box<dyn Error>> {
    let bars: Vec<_> = outcomes.iter().filter_map(|outcome| Some((outcome, outcome.reach?))).collect();
    if bars.is_empty() {
        return Ok(());
    }
    // One line alone would have no height.
    let count = bars.len().max(2) as i32;
    let root = SVGBackend::new(path, (WIDTH, count as u32 * LINE + 105)).into_drawing_area();
    root.fill(&WHITE)?;
    let least = bars.iter().map(|bar| bar.1).fold(0.5, f64::min) * 0.8;
    let most = bars.iter().map(|bar| bar.1).fold(2.0, f64::max) * 1.3;
    let marks =
        (-10..20).map(|power| 2_f64.powi(power)).filter(|mark| (least..most).contains(mark)).collect();
    let mut chart = ChartBuilder::on(&root)
        .caption(
            "ours, as times the goal: 1 is just reached, more is better, red is missed",
            ("sans-serif", 16, &TEXT),
        )
        .margin(10)
        .x_label_area_size(45)
        .y_label_area_size(440)
        .build_cartesian_2d(
            (least..most).log_scale().with_key_points(marks),
            (0..count - 1).into_segmented(),
        )?;
    let name = |segment: &SegmentValue<i32>| match segment {
        SegmentValue::CenterOf(line) => {
            bars.get((count - 1 - line) as usize).map_or(String::new(), |(outcome, _)| {
                format!("{} : {} ({})", outcome.id, outcome.peer, outcome.judged())
            })
        }
        _ => String::new(),
    };
    chart
        .configure_mesh()
        .disable_y_mesh()
        .x_desc("times the goal, log scale")
        .x_label_formatter(&|&x| plot::mark(x))
        .axis_style(TEXT)
        .light_line_style(TRANSPARENT)
        .bold_line_style(TEXT.mix(0.4))
        .label_style(("sans-serif", 12, &TEXT))
        .y_labels(bars.len())
        .y_label_formatter(&name)
        .draw()?;
    let lines = || bars.iter().zip((0..count).rev());
    let color = |outcome: &Outcome| if outcome.is_reached() { OK } else { MISS }.filled();
    chart.draw_series(lines().map(|(&(outcome, reach), line)| {
        let (from, to) = (SegmentValue::Exact(line), SegmentValue::Exact(line + 1));
        let mut bar = Rectangle::new([(1.0, from), (reach, to)], color(outcome));
        bar.set_margin(3, 3, 0, 0);
        bar
    }))?;
    // Where the goal is just reached, there is hardly a bar.
    chart.draw_series(lines().map(|(&(outcome, reach), line)| {
        Circle::new((reach, SegmentValue::CenterOf(line)), 5, color(outcome))
    }))?;
    root.present()?;
    Ok(())
}
