//! Kills a process at every instruction of every operation, and prints what became of the others.
//!
//! `cargo run --release -p ipc-queue --example joinable_kill_table` prints the table of the README; a text as argument picks the
//! operations whose name begins with it, `--quick` kills at fewer instructions. Ends with 1 if anybody hung or found
//! something wrong.

use std::process::ExitCode;
use std::time::Instant;

use ipc_crash_test::{FailureKind, Report, WalkEnd};

#[path = "../tests/joinable/kills/mod.rs"]
mod kills;

fn main() -> ExitCode {
    let (mut quick, mut prefix) = (false, String::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => quick = true,
            _ => prefix = argument,
        }
    }
    let begin = Instant::now();
    println!("| operation | steps | kills at every | kills | hangs | violations | slowest | median |");
    println!("|---|--:|--:|--:|--:|--:|--:|--:|");
    let mut reports = Vec::new();
    for case in kills::cases().iter().filter(|case| case.name.starts_with(&prefix)) {
        let report = case.run(quick, 1);
        println!("{}", row(&report, case.stride(quick)));
        for failure in &report.failures {
            eprintln!("{}: {failure}", report.operation);
        }
        reports.push(report);
    }
    let sum = |f: fn(&Report) -> u64| reports.iter().map(f).sum::<u64>();
    let slowest = reports.iter().map(|report| report.slowest).max().unwrap_or_default();
    println!(
        "| **all** | | | {} | {} | {} | {slowest:.1?} | |",
        sum(|report| report.kills),
        sum(|report| report.hangs),
        sum(|report| report.violations),
    );
    println!();
    println!(
        "{} kills of {} operations in {:.0?}; {} recoveries took more than 100 ms.",
        sum(|report| report.kills),
        reports.len(),
        begin.elapsed(),
        sum(|report| report.slow),
    );
    let complete = |report: &Report| report.failures.is_empty() && report.end == WalkEnd::Complete;
    for report in reports.iter().filter(|report| !complete(report)) {
        let of = |kind| report.failures.iter().filter(|failure| failure.kind == kind).count();
        let (hangs, violations) = (of(FailureKind::Hang), of(FailureKind::Violation));
        let errors = of(FailureKind::Error);
        println!(
            "NOT GOOD: {}: {hangs} hangs, {violations} violations, {errors} errors; walked {}",
            report.operation, report.end
        );
    }
    if !reports.is_empty() && reports.iter().all(complete) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(report: &Report, stride: u64) -> String {
    let steps = match report.recovery_steps {
        None => report.steps.to_string(),
        Some(steps) => format!("{} x {steps}", report.steps),
    };
    let every = match report.recovery_steps {
        None => stride.to_string(),
        Some(_) => format!("{stride} x {}", stride * kills::RECOVERY),
    };
    let Report { operation, kills, hangs, violations, slowest, median, .. } = report;
    format!(
        "| {operation} | {steps} | {every} | {kills} | {hangs} | {violations} | {slowest:.1?} | {median:.1?} |"
    )
}
