//! The ipc crates beside their peers, in one run, so that the ratios hold on a busy machine too.
//!
//! ```text
//! cargo run --release -p benches -- compare [--only PREFIX] [--quick]
//! ```
//!
//! Prints a line for each case: `CASE id ours VALUE UNIT PEER VALUE ratio R goal G OK|MISS`. Rounds of ours and the
//! peer's alternate; the values are medians. A crate's cases stand in a file of its own, which [`main`] lists.

mod case;
mod contest;
mod lock;
#[cfg(feature = "peers")]
mod peers;
mod process;
mod queue;
mod raw;
mod stream;

use std::process::ExitCode;

use clap::Parser;

use crate::case::Case;

#[derive(Parser)]
#[command(about = "Measures the ipc crates beside their peers")]
struct Arguments {
    /// What is to be done.
    #[arg(default_value = "compare", value_parser = ["compare"])]
    _what: String,
    /// Only the cases whose id begins like this.
    #[arg(long, value_name = "PREFIX", default_value = "")]
    only: String,
    /// Fewer rounds: for a look, not for a figure.
    #[arg(long)]
    quick: bool,
    /// Fail if a goal is missed.
    #[arg(long)]
    strict: bool,
}

fn main() -> ExitCode {
    if process::is_plain_exit() {
        return ExitCode::SUCCESS;
    }
    let Arguments { only, quick, strict, .. } = Arguments::parse();
    let cases: Vec<Case> =
        [process::cases(), lock::cases(quick), queue::cases()].into_iter().flatten().collect();
    let mut missed = false;
    for case in cases.into_iter().filter(|case| case.id.starts_with(&only)) {
        missed |= !case.measure(quick);
    }
    ExitCode::from(u8::from(strict && missed))
}
