//! The ipc crates beside their peers, in one run, so that the ratios hold on a busy machine too.
//!
//! ```text
//! cargo run --release -p benches -- compare [--only PREFIX] [--quick] [--output FOLDER]
//! cargo run --release -p benches -- queue-vs-pipe [--quick] [--output FOLDER]
//! ```
//!
//! Prints a line for each case: `CASE id ours VALUE UNIT PEER VALUE ratio R goal G OK|MISS`. Rounds of ours and the
//! peer's alternate; the values are medians. A crate's cases stand in a file of its own, which [`main`] lists.

mod case;
mod contest;
mod lock;
mod output;
#[cfg(feature = "peers")]
mod peers;
mod pipe;
mod pipes;
mod pool;
#[cfg(feature = "peers")]
mod pool_peers;
mod process;
mod queue;
mod raw;
mod shared;
mod stream;
mod versus;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

#[derive(Parser)]
#[command(about = "Measures the ipc crates beside their peers")]
struct Arguments {
    /// What is to be done: ours beside the peers', or queue beside pipe.
    #[arg(default_value = "compare", value_parser = ["compare", "queue-vs-pipe"])]
    what: String,
    /// Only the cases whose id begins like this.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    only: String,
    /// Fewer rounds: for a look, not for a figure.
    #[arg(long)]
    quick: bool,
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
    let done = match &*arguments.what {
        "compare" => compare(&arguments),
        _ => versus::run(arguments.quick, arguments.output.as_deref()).map(|()| true),
    };
    match done {
        Ok(good) => ExitCode::from(u8::from(arguments.strict && !good)),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all goals are reached.
fn compare(arguments: &Arguments) -> Result<bool, Box<dyn Error>> {
    let cases = [
        process::cases(),
        lock::cases(arguments.quick),
        queue::cases(),
        pipe::cases(),
        shared::cases(),
        pool::cases(),
    ];
    let mut outcomes = Vec::new();
    for case in cases.into_iter().flatten().filter(|case| case.id.starts_with(&arguments.only)) {
        for outcome in case.measure(arguments.quick) {
            println!("{outcome}");
            outcomes.push(outcome);
        }
    }
    let missed: Vec<_> =
        outcomes.iter().filter(|outcome| !outcome.is_reached()).map(|outcome| &*outcome.id).collect();
    println!("SUMMARY {} cases, {} missed: {}", outcomes.len(), missed.len(), missed.join(" "));
    if let Some(folder) = &arguments.output {
        output::write(folder, &outcomes)?;
    }
    Ok(missed.is_empty())
}
