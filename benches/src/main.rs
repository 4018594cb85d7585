//! The ipc crates beside their peers, in one run, so that the ratios hold on a busy machine too.
//!
//! ```text
//! cargo run --release -p benches -- compare [--only PREFIX] [--quick] [--json] [--output FOLDER]
//! cargo run --release -p benches -- queue-vs-pipe [--quick] [--output FOLDER]
//! cargo run --release -p benches -- scaling [--quick] [--output FOLDER]
//! cargo run --release -p benches -- reliability [--quick]
//! ```
//!
//! `compare` prints a line for each case: `CASE id ours VALUE UNIT PEER VALUE ratio R goal G OK|MISS`. Rounds of ours and the
//! peer's alternate; the values are medians. A crate's cases stand in a file of its own, which [`main`] lists.

mod case;
mod counter;
mod cpus;
mod lock;
mod outcome;
mod output;
#[cfg(feature = "peers")]
mod peers;
mod pingpong;
mod pipe;
mod pipes;
mod plot;
mod pool;
#[cfg(feature = "peers")]
mod pool_peers;
mod process;
mod python;
mod queue;
mod raw;
mod reliability;
mod scaling;
mod shared;
mod stream;
mod versus;
mod wordcount;

use std::error::Error;
use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use crate::output::{Data, Machine};

/// What is to be done.
#[derive(Clone, Copy, ValueEnum)]
enum What {
    /// Ours beside the peers.
    Compare,
    /// Queue beside pipe, over sizes of messages.
    QueueVsPipe,
    /// Costs over processes, sizes of messages and entries.
    Scaling,
    /// All tables of kills, as one.
    Reliability,
}

#[derive(Parser)]
#[command(about = "Measures the ipc crates beside their peers")]
struct Arguments {
    #[arg(value_enum, default_value = "compare")]
    what: What,
    /// Only the cases whose id begins like this, or the tables of kills of the crates whose name does.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    only: String,
    /// Fewer rounds: for a look, not for a figure.
    #[arg(long)]
    quick: bool,
    /// Print the figures of all rounds as JSON instead of lines.
    #[arg(long)]
    json: bool,
    /// Write pictures, and the figures of all rounds, into this folder.
    #[arg(long, value_name = "FOLDER")]
    output: Option<PathBuf>,
    /// Fail if a goal is missed.
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    if process::is_plain_exit() {
        return ExitCode::SUCCESS;
    }
    #[cfg(feature = "peers")]
    procspawn::init();
    let arguments = Arguments::parse();
    let output = arguments.output.as_deref();
    let done = match arguments.what {
        What::Compare => compare(&arguments).map(|good| good || !arguments.strict),
        What::QueueVsPipe | What::Scaling if !arguments.only.is_empty() => {
            Err("--only is for compare and reliability".into())
        }
        What::QueueVsPipe => versus::run(arguments.quick, output).map(|()| true),
        What::Scaling => scaling::run(arguments.quick, output).map(|()| true),
        What::Reliability => reliability::run(&arguments.only, arguments.quick),
    };
    match done {
        Ok(good) => ExitCode::from(u8::from(!good)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all goals are reached.
fn compare(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let say = |line: &dyn Display| {
        if !arguments.json {
            println!("{line}");
        }
    };
    let machine = Machine::this();
    say(&machine);
    if !python::is_there() {
        say(&"SKIP what is beside multiprocessing: there is no python3");
    }
    if wordcount::TREE.is_none() {
        say(&"SKIP pool/wordcount: the toolchain has no documentation here");
    }
    let cases = [
        process::cases(),
        lock::cases(arguments.quick),
        queue::cases(arguments.quick),
        pipe::cases(),
        shared::cases(),
        pool::cases(),
        wordcount::cases(),
    ];
    let (mut outcomes, mut failed) = (Vec::new(), Vec::new());
    for case in cases.into_iter().flatten().filter(|case| case.id.starts_with(&arguments.only)) {
        let id = case.id;
        // What went wrong is printed. The others are worth knowing all the same.
        let Ok(measured) = catch_unwind(AssertUnwindSafe(|| case.measure(arguments.quick))) else {
            say(&format_args!("FAILED {id}"));
            failed.push(id);
            continue;
        };
        for outcome in measured {
            say(&outcome);
            outcomes.push(outcome);
        }
    }
    let missed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_reached()).map(|outcome| &*outcome.id).collect();
    let good = missed.is_empty();
    let goals = outcomes.iter().filter(|outcome| outcome.reach.is_some()).count();
    let (count, misses) = (outcomes.len(), missed.len());
    say(&format_args!("SUMMARY {count} cases, {goals} with a goal, {misses} missed: {}", missed.join(" ")));
    let data = Data { machine, is_quick: arguments.quick, results: outcomes };
    if arguments.json {
        serde_json::to_writer_pretty(std::io::stdout().lock(), &data)?;
    }
    if let Some(folder) = &arguments.output {
        data.write(folder, "compare.json")?;
        output::draw(&folder.join("compare.svg"), &data.results)?;
    }
    if !failed.is_empty() {
        return Err(format!("not measured: {}", failed.join(" ")).into());
    }
    Ok(good)
}
