//! Queue and pipe beside each other, over sizes of messages: a table, and a plot.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use ipc_pipe::{Connection, pipe};
use ipc_process::spawn;
use ipc_queue::Queue;

use crate::cpus::Cpus;
use crate::plot::{self, Chart, Line};
use crate::{pipes, stream};

const SIZES: [usize; 10] = [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20];

/// What was measured of one size.
struct Row {
    size: usize,
    /// Messages a second, from one process to another: queue and pipe.
    rate: [f64; 2],
    /// Microseconds there and back.
    round_trip: [f64; 2],
}

/// As many items as a queue of that size may hold, so that it takes about as much memory as a pipe.
fn capacity(size: usize) -> usize {
    ((1 << 20) / size).clamp(2, 1024)
}

fn answer_queue(questions: Queue<[u8]>, answers: Queue<[u8]>, size: usize, count: u64) {
    let mut bytes = vec![0; size];
    for _ in 0..count {
        questions.get_bytes_into(&mut bytes).expect("nobody closes it");
        answers.put_bytes(&bytes).expect("nobody closes it");
    }
}

/// So many times there and back through two queues.
fn queue_round_trips(size: usize, count: u64) -> Duration {
    let queue = || Queue::<[u8]>::bounded(capacity(size)).expect("there is memory");
    let (questions, answers) = (queue(), queue());
    let args = (questions.clone(), answers.clone(), size, count + 1);
    let mut child = spawn(answer_queue, args).expect("it starts");
    let mut bytes = vec![7; size];
    let mut ask = || {
        questions.put_bytes(&bytes).expect("nobody closes it");
        answers.get_bytes_into(&mut bytes).expect("nobody closes it");
    };
    // The child has started when it has answered.
    ask();
    let time = crate::case::time(|| (0..count).for_each(|_| ask()));
    child.join().expect("it returns");
    time
}

fn answer_pipe(connection: Connection<[u8]>, size: usize, count: u64) {
    let mut bytes = vec![0; size];
    for _ in 0..count {
        connection.recv_bytes_into(&mut bytes).expect("nobody leaves");
        connection.send_bytes(&bytes).expect("nobody leaves");
    }
}

/// So many times there and back through a pipe.
fn pipe_round_trips(size: usize, count: u64) -> Duration {
    let (here, there) = pipe::<[u8], [u8]>().expect("there is memory");
    let mut child = spawn(answer_pipe, (there, size, count + 1)).expect("it starts");
    let mut bytes = vec![7; size];
    let mut ask = || {
        here.send_bytes(&bytes).expect("nobody leaves");
        here.recv_bytes_into(&mut bytes).expect("nobody leaves");
    };
    ask();
    let time = crate::case::time(|| (0..count).for_each(|_| ask()));
    child.join().expect("it returns");
    time
}

/// The median of some rounds, one of the queue's and one of the pipe's in turns.
fn medians(rounds: usize, measure: [&dyn Fn() -> Duration; 2]) -> [f64; 2] {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..rounds {
        for (times, measure) in times.iter_mut().zip(measure) {
            times.push(measure().as_secs_f64());
        }
    }
    times.map(plot::median)
}

fn measure(size: usize, rounds: usize) -> Row {
    // About as many bytes each, and neither too few messages nor too many.
    let count = ((1_u64 << 28) / size as u64).clamp(100, 500_000);
    let trips = (count / 50).clamp(50, 5000);
    let queue = || stream::sized(size, count, capacity(size));
    let pipe = || pipes::bytes(Cpus::Any, size, count);
    let rate = medians(rounds, [&queue, &pipe]).map(|time| count as f64 / time);
    let queue = || queue_round_trips(size, trips);
    let pipe = || pipe_round_trips(size, trips);
    let round_trip = medians(rounds, [&queue, &pipe]).map(|time| time * 1e6 / trips as f64);
    Row { size, rate, round_trip }
}

/// Measures all sizes and prints a table; draws a plot into the file, if there is to be one.
pub(crate) fn run(quick: bool, output: Option<&Path>) -> Result<(), Box<dyn Error>> {
    println!(
        "| message | queue, messages/s | pipe, messages/s | queue, GB/s | pipe, GB/s | queue, round trip | pipe, round trip |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let mut rows = Vec::new();
    for size in SIZES {
        let row = measure(size, if quick { 1 } else { 5 });
        let mut line = format!("| {} |", plot::bytes(size as f64));
        row.rate.iter().try_for_each(|rate| write!(line, " {} |", with_unit(*rate)))?;
        row.rate.iter().try_for_each(|rate| write!(line, " {:.2} |", rate * size as f64 / 1e9))?;
        row.round_trip.iter().try_for_each(|micros| write!(line, " {micros:.2} us |"))?;
        println!("{line}");
        rows.push(row);
    }
    let Some(folder) = output else { return Ok(()) };
    std::fs::create_dir_all(folder)?;
    plot::draw(&folder.join("queue-vs-pipe.svg"), &charts(&rows))
}

fn with_unit(rate: f64) -> String {
    if rate >= 1e6 { format!("{:.1} M", rate / 1e6) } else { format!("{:.1} k", rate / 1e3) }
}

/// Bytes a second on the left, round trips on the right, over the sizes.
fn charts(rows: &[Row]) -> [Chart; 2] {
    let chart = |title, y, value: fn(&Row) -> [f64; 2]| {
        let line = |side: usize, label| Line {
            label,
            points: rows.iter().map(|row| (row.size as f64, value(row)[side])).collect(),
        };
        Chart {
            title,
            x: "size of a message",
            y,
            name: plot::bytes,
            lines: vec![line(0, "queue"), line(1, "pipe")],
        }
    };
    [
        chart("one way", "GB/s", |row| row.rate.map(|rate| rate * row.size as f64 / 1e9)),
        chart("there and back", "microseconds", |row| row.round_trip),
    ]
}
