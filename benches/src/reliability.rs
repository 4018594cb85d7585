//! Every table of kills, as one: each operation, killed at its instructions, and what that did to others.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A command of cargo that prints Markdown tables with a row for each operation.
struct Table {
    package: &'static str,
    arguments: &'static [&'static str],
    quick: &'static [&'static str],
}

const fn example(package: &'static str, arguments: &'static [&'static str]) -> Table {
    Table { package, arguments, quick: &["--", "--quick"] }
}

const TABLES: [Table; 6] = [
    example("ipc-lock", &["run", "--example", "lock_kill_table"]),
    example("ipc-queue", &["run", "--example", "queue_kill_table"]),
    example("ipc-queue", &["run", "--example", "joinable_kill_table"]),
    example("ipc-pipe", &["run", "--example", "pipe_kill_table"]),
    example("ipc-shared", &["run", "--example", "shared_kill_table"]),
    Table {
        package: "ipc-pool",
        arguments: &["test", "--lib", "kills", "--", "--nocapture", "--test-threads=1"],
        quick: &[],
    },
];

/// Of an operation, or of all.
#[derive(Default)]
struct Counts {
    kills: u64,
    hangs: u64,
    lost: u64,
    torn: u64,
    other: u64,
}

impl Counts {
    fn add(&mut self, other: &Counts) {
        self.kills += other.kills;
        self.hangs += other.hangs;
        self.lost += other.lost;
        self.torn += other.torn;
        self.other += other.other;
    }

    fn cells(&self) -> String {
        let Counts { kills, hangs, lost, torn, other } = self;
        format!("{kills} | {hangs} | {lost} | {torn} | {other}")
    }

    fn is_clean(&self) -> bool {
        self.kills > 0 && self.hangs + self.lost + self.torn + self.other == 0
    }
}

/// Runs those of the crates whose name begins with `only` and prints one table; whether nobody hung, and nothing was lost,
/// torn or wrong.
pub(crate) fn run(only: &str, quick: bool) -> Result<bool, Box<dyn Error>> {
    println!(
        "| crate | operation | steps | kills | hangs | lost | torn | otherwise wrong | longest recovery |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
    let (begin, mut all, mut operations, mut good) = (Instant::now(), Counts::default(), 0, true);
    let mut longest = Longest::default();
    for table in TABLES.iter().filter(|table| table.package.starts_with(only)) {
        let mut of_table = Counts::default();
        let ended_well = table.run(quick, |row| {
            let Row { operation, steps, counts, slowest } = row;
            println!("| {} | {operation} | {steps} | {} | {slowest} |", table.package, counts.cells());
            of_table.add(&counts);
            longest.note(&slowest);
            operations += 1;
        })?;
        good &= ended_well && of_table.is_clean();
        if !ended_well {
            eprintln!("NOT GOOD: {} {}", table.package, table.arguments.join(" "));
        }
        all.add(&of_table);
    }
    println!("| **all** | {operations} operations | | {} | {} |", all.cells(), longest.text);
    println!("\nin {:.0?}", begin.elapsed());
    Ok(good)
}

/// The longest of some durations, as they are written.
#[derive(Default)]
struct Longest {
    millis: f64,
    text: String,
}

impl Longest {
    fn note(&mut self, text: &str) {
        let unit = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let factor = match unit {
            "s" => 1e3,
            "ms" => 1.0,
            _ => 1e-3,
        };
        let millis = text.trim_end_matches(unit).parse().unwrap_or(0.0) * factor;
        if millis >= self.millis {
            *self = Longest { millis, text: text.to_owned() };
        }
    }
}

/// A row of a table.
struct Row {
    operation: String,
    steps: String,
    counts: Counts,
    slowest: String,
}

impl Table {
    /// Calls `each` with every row; whether the command ended well.
    fn run(&self, quick: bool, mut each: impl FnMut(Row)) -> Result<bool, Box<dyn Error>> {
        let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        let (verb, arguments) = self.arguments.split_first().ok_or("there is no command")?;
        command.args([verb, "--release", "--quiet", "-p", self.package]).args(arguments);
        if quick {
            command.args(self.quick);
        }
        command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut head = Vec::new();
        for line in BufReader::new(child.stdout.take().ok_or("there is no output")?).lines() {
            let line = line?;
            // The name of a test may stand in front.
            let Some((_, cells)) = line.split_once('|') else { continue };
            let cells: Vec<String> = cells.split('|').map(|cell| cell.trim().to_owned()).collect();
            match &*cells[0] {
                "operation" => head = cells,
                text if text.starts_with("**") || text.starts_with("--") => {}
                _ => each(Row::new(&head, &cells)),
            }
        }
        Ok(child.wait()?.success())
    }
}

impl Row {
    fn new(head: &[String], cells: &[String]) -> Row {
        let cell = |name: &str| {
            let at = head.iter().position(|title| title == name);
            at.and_then(|at| cells.get(at)).cloned().unwrap_or_default()
        };
        let number = |name| cell(name).parse::<u64>().unwrap_or(0);
        let (lost, torn) = (number("lost"), number("torn") + number("damaged"));
        let other = number("violations") + number("errors") - (lost + torn).min(number("violations"));
        let counts = Counts { kills: number("kills"), hangs: number("hangs"), lost, torn, other };
        Row { operation: cell("operation"), steps: cell("steps"), counts, slowest: cell("slowest") }
    }
}
