//! The table of all kills, as the examples of the crates print it.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Instant;

use crate::alone::{alone, leave};
use crate::case::{Case, RECOVERY};
use crate::report::{Failure, FailureKind, Report, WalkEnd, markdown_table};

/// Without optimisation everything is ten times as long.
const COARSER: u64 = if cfg!(debug_assertions) { 301 } else { 5 };

/// Has glibc fill and copy longer pieces of memory in wide steps. In its own way each byte is one, which were four of five
/// steps wherever somebody clears a buffer of 16 KiB. Others know nothing of it. To be set when a program starts.
pub(crate) const WIDE_STEPS: (&str, &str) = (
    "GLIBC_TUNABLES",
    "glibc.cpu.x86_rep_stosb_threshold=1000000000:glibc.cpu.x86_rep_movsb_threshold=1000000000",
);

/// Starts the program anew with that, if it is not set.
fn take_wide_steps() {
    let (name, value) = WIDE_STEPS;
    if let (None, Ok(program)) = (env::var_os(name), env::current_exe()) {
        // If that cannot be, the walks are longer.
        let _ = Command::new(program).args(env::args_os().skip(1)).env(name, value).exec();
    }
}

/// As a test: runs the cases whose name begins with that, killed at a few instructions only.
///
/// # Panics
/// If anybody hung or found something wrong, a walk did not come to its end, or there are not two cases.
pub fn walk_some(cases: fn() -> Vec<Case>, prefix: &str) {
    alone(|| {
        let cases = cases();
        let mine = cases.iter().filter(|case| case.name.starts_with(prefix));
        let reports: Vec<_> = mine.map(|case| case.run(true, COARSER)).collect();
        println!("{}", markdown_table(&reports));
        assert!(reports.len() > 1, "there are not two cases whose name begins with `{prefix}`");
        reports.iter().for_each(Report::assert_complete);
        leave();
    });
}

/// Runs the cases whose name begins with the text that stands as an argument, all without one, and prints a row for each
/// and a sum; `--quick` kills at fewer instructions. Starts the program anew for it, so call it first thing.
///
/// `kinds` are the first words of violations, each with a column of its own. Fails if anybody hung or found something
/// wrong, or a walk did not come to its end.
pub fn kill_table(cases: &[Case], kinds: &[&str]) -> ExitCode {
    take_wide_steps();
    let (mut quick, mut prefix) = (false, String::new());
    for argument in env::args().skip(1) {
        match argument.as_str() {
            "--quick" => quick = true,
            _ => prefix = argument,
        }
    }
    let begin = Instant::now();
    let titles: String = kinds.iter().map(|kind| format!(" {kind} |")).collect();
    println!(
        "| operation | steps | kills at every | kills | hangs |{titles} violations | slowest | median |"
    );
    println!("|---|--:|--:|--:|--:|{}--:|--:|--:|", "--:|".repeat(kinds.len()));
    let mut reports = Vec::new();
    for case in cases.iter().filter(|case| case.name.starts_with(&prefix)) {
        let report = case.run(quick, 1);
        println!("{}", row(&report, case.stride(quick), kinds));
        for failure in &report.failures {
            eprintln!("{}: {failure}", report.operation);
        }
        reports.push(report);
    }
    let sum = |f: fn(&Report) -> u64| reports.iter().map(f).sum::<u64>();
    let slowest = reports.iter().map(|report| report.slowest).max().unwrap_or_default();
    println!(
        "| **all** | | | {} | {} |{} {} | {slowest:.1?} | |",
        sum(|report| report.kills),
        sum(|report| report.hangs),
        counts(&reports, kinds),
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

fn row(report: &Report, stride: u64, kinds: &[&str]) -> String {
    let steps = match report.recovery_steps {
        None => report.steps.to_string(),
        Some(steps) => format!("{} x {steps}", report.steps),
    };
    let every = match report.recovery_steps {
        None => stride.to_string(),
        Some(_) => format!("{stride} x {}", stride * RECOVERY),
    };
    let Report { operation, kills, hangs, violations, slowest, median, .. } = report;
    let counts = counts(std::slice::from_ref(report), kinds);
    format!(
        "| {operation} | {steps} | {every} | {kills} | {hangs} |{counts} {violations} | {slowest:.1?} | {median:.1?} |"
    )
}

/// How many violations there were of each kind, as cells.
fn counts(reports: &[Report], kinds: &[&str]) -> String {
    let is_of = |failure: &Failure, kind: &str| {
        failure.kind == FailureKind::Violation && failure.message.contains(&format!(": {kind} "))
    };
    let count = |kind: &&str| {
        let failures = reports.iter().flat_map(|report| &report.failures);
        format!(" {} |", failures.filter(|failure| is_of(failure, kind)).count())
    };
    kinds.iter().map(count).collect()
}
