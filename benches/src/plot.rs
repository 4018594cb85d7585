//! Charts: lines over something that grows, as tables and as pictures.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;

use plotters::prelude::*;
use serde::Serialize;

/// Told apart also by those who do not see all colours. Dark enough for white, which they are drawn on.
const COLORS: [RGBColor; 4] =
    [RGBColor(0, 90, 180), RGBColor(200, 80, 0), RGBColor(0, 130, 90), RGBColor(140, 60, 150)];
const TEXT: RGBColor = RGBColor(40, 40, 40);
const GRID: RGBColor = RGBColor(215, 215, 215);
const SIZE: (u32, u32) = (450, 380);

/// Some lines over the same.
#[derive(Serialize)]
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    /// What it is over, and what it tells, with units.
    pub(crate) x: &'static str,
    pub(crate) y: &'static str,
    /// How a value of `x` is written.
    #[serde(skip)]
    pub(crate) name: fn(f64) -> String,
    pub(crate) lines: Vec<Line>,
}

/// A label and points, whose `x` are the same as those of the longest line of the chart, or some of them.
#[derive(Serialize)]
pub(crate) struct Line {
    pub(crate) label: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Chart {
    /// A row for each `x`, a column for each line.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("**{}** ({})\n\n| {} |", self.title, self.y, self.x);
        self.lines.iter().for_each(|line| _ = write!(text, " {} |", line.label));
        let _ = writeln!(text, "\n|--:|{}", "--:|".repeat(self.lines.len()));
        for x in self.xs() {
            let _ = write!(text, "| {} |", (self.name)(x));
            for line in &self.lines {
                let value = line.points.iter().find(|point| point.0 == x);
                let _ = match value {
                    Some((_, y)) => write!(text, " {} |", number(*y)),
                    None => write!(text, " - |"),
                };
            }
            text.push('\n');
        }
        text
    }

    /// Of the longest line, so of all.
    fn xs(&self) -> impl ExactSizeIterator<Item = f64> {
        let longest = self.lines.iter().max_by_key(|line| line.points.len()).expect("a chart has lines");
        longest.points.iter().map(|point| point.0)
    }

    fn draw(&self, area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>) -> Result<(), Box<dyn Error>> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (xs, mut ys) = (range(points().map(|point| point.0)), range(points().map(|point| point.1)));
        // Room for the legend.
        ys.end *= (ys.end / ys.start).powf(0.4);
        // All labels of a long axis would run into each other.
        let labels = self.xs().step_by(if self.xs().len() > 5 { 3 } else { 1 }).collect::<Vec<_>>();
        let marks = marks(&ys);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, ("sans-serif", 16, &TEXT))
            .margin(10)
            .x_label_area_size(40)
            .y_label_area_size(55)
            .build_cartesian_2d(
                xs.log_scale().with_key_points(labels),
                ys.log_scale().with_key_points(marks),
            )?;
        chart
            .configure_mesh()
            .x_desc(format!("{}, log scale", self.x))
            .y_desc(format!("{}, log scale", self.y))
            .x_labels(8)
            .x_label_formatter(&|&x| (self.name)(x))
            .y_label_formatter(&|&y| mark(y))
            .label_style(("sans-serif", 12, &TEXT))
            .axis_style(TEXT)
            .bold_line_style(GRID)
            .light_line_style(TRANSPARENT)
            .draw()?;
        for (Line { label, points }, color) in self.lines.iter().zip(COLORS) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), color.stroke_width(2)).point_size(3))?
                .label(*label)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], color.stroke_width(2)));
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font(("sans-serif", 12, &TEXT))
            .border_style(GRID)
            .background_style(WHITE.mix(0.8))
            .draw()?;
        Ok(())
    }
}

/// Draws charts side by side.
pub(crate) fn draw(path: &Path, charts: &[Chart]) -> Result<(), Box<dyn Error>> {
    let (width, height) = SIZE;
    let root = SVGBackend::new(path, (width * charts.len() as u32, height)).into_drawing_area();
    root.fill(&WHITE)?;
    let areas = root.split_evenly((1, charts.len()));
    charts.iter().zip(&areas).try_for_each(|(chart, area)| chart.draw(area))?;
    root.present()?;
    Ok(())
}

/// From the least to the most, and a little more.
fn range(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    let (least, most) = (values.clone().fold(f64::MAX, f64::min), values.fold(0.0, f64::max));
    least / 1.1..most * 1.1
}

/// Where an axis has its labels: powers of 10; on a short one, what is between them, too.
fn marks(range: &std::ops::Range<f64>) -> Vec<f64> {
    let within = |steps: &[f64]| -> Vec<f64> {
        let powers = (-12..12).map(|power| 10_f64.powi(power));
        let all = powers.flat_map(|power| steps.iter().map(move |step| step * power));
        all.filter(|mark| range.contains(mark)).collect()
    };
    let kinds: [&[f64]; 3] = [&[1.0], &[1.0, 2.0, 5.0], &[1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0]];
    kinds.into_iter().map(within).find(|marks| marks.len() > 2).unwrap_or_else(|| within(kinds[2]))
}

/// A round number, without the zeros behind its point.
pub(crate) fn mark(value: f64) -> String {
    match value {
        1e6.. => format!("{} M", value / 1e6),
        1e4.. => format!("{} k", value / 1e3),
        // What is computed from powers of 10 is not always round.
        _ => format!("{}", (value * 1e6).round() / 1e6),
    }
}

/// With three digits or so.
fn number(value: f64) -> String {
    match value {
        1e6.. => format!("{:.1} M", value / 1e6),
        1e4.. => format!("{:.0} k", value / 1e3),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A number of bytes.
pub(crate) fn bytes(size: f64) -> String {
    match size as usize {
        size @ 0..1024 => format!("{size} B"),
        size @ 1024..1_048_576 => format!("{} KiB", size >> 10),
        size => format!("{} MiB", size >> 20),
    }
}

/// The middle of some.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
