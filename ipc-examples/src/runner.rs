//! Runs scenarios, each in a process of its own: one that panics, hangs or dies does not stop the others.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::thread;
use std::time::{Duration, Instant};

use ipc_process::{Builder, Process, current, parent};
use rustix::fs::MemfdFlags;

use crate::scenarios::{self, Scenario};
use crate::system;

/// How long a scenario may take.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// What became of a scenario.
#[derive(Debug)]
pub struct Report {
    /// Its id.
    pub id: &'static str,
    /// From the start of its process to its end.
    pub took: Duration,
    /// Why it failed.
    pub result: Result<(), String>,
    /// What it printed, if that was kept.
    pub output: String,
}

/// Runs the scenarios one after the other and prints a line for each; says whether all of them passed.
///
/// What a scenario prints is shown if it is the only one. Of many, it is shown for those that fail.
///
/// # Errors
/// Of writing to `out`.
pub fn run_all(chosen: &[&'static Scenario], deadline: Duration, out: &mut dyn Write) -> io::Result<bool> {
    let show = chosen.len() == 1;
    let (mut passed, mut failed) = (0, 0);
    for scenario in chosen {
        let report = run(scenario, deadline, show);
        let word = if report.result.is_ok() { "ok    " } else { "FAILED" };
        writeln!(out, "{word}  {:<24} {:>7} ms", report.id, report.took.as_millis())?;
        match &report.result {
            Ok(()) => passed += 1,
            Err(why) => {
                failed += 1;
                writeln!(out, "        {why}")?;
                report.output.lines().try_for_each(|line| writeln!(out, "      | {line}"))?;
            }
        }
    }
    writeln!(out, "{passed} passed, {failed} failed")?;
    Ok(failed == 0)
}

/// Runs one scenario in a process of its own. `show` lets it print to this process's output, otherwise that is kept.
pub fn run(scenario: &'static Scenario, deadline: Duration, show: bool) -> Report {
    let start = Instant::now();
    let mut output = String::new();
    let result = if show {
        isolate(scenario, deadline, None)
    } else {
        keep_output(scenario, deadline, &mut output).unwrap_or_else(|error| Err(error.to_string()))
    };
    Report { id: scenario.id, took: start.elapsed(), result, output }
}

fn keep_output(
    scenario: &Scenario,
    deadline: Duration,
    output: &mut String,
) -> io::Result<Result<(), String>> {
    // A pipe would have to be read meanwhile, and has no end while a stray process holds it.
    let mut file = File::from(rustix::fs::memfd_create("output", MemfdFlags::CLOEXEC)?);
    let result = isolate(scenario, deadline, Some(&file));
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    *output = String::from_utf8_lossy(&bytes).into_owned();
    Ok(result)
}

fn isolate(scenario: &Scenario, deadline: Duration, output: Option<&File>) -> Result<(), String> {
    // Not a daemon, since it starts children.
    let mut builder = Builder::new().name(scenario.id);
    if let Some(file) = output {
        let copy = || file.try_clone().map_err(|error| error.to_string());
        builder = builder.stdout(copy()?).stderr(copy()?);
    }
    let mut child =
        builder.spawn(child_main, (scenario.id.to_owned(),)).map_err(|error| error.to_string())?;
    let (ended, left) = watch(&child, deadline).map_err(|error| error.to_string())?;
    match child.join() {
        _ if !ended => Err(format!("hangs: still runs after {} s", deadline.as_secs())),
        Err(error) => Err(error.to_string()),
        Ok(Ok(())) if !left.is_empty() => Err(format!("left processes behind: {left:?}")),
        Ok(result) => result,
    }
}

/// Waits for the end; says whether it came in time, and which processes of the group were left. None is afterwards.
fn watch(scenario: &Process, deadline: Duration) -> Result<(bool, Vec<u32>), Box<dyn std::error::Error>> {
    let ended = system::wait_for_end(scenario, deadline)?;
    // The scenario is not joined yet, so its number means this group and no other one.
    let left = if ended { system::members(scenario.pid())? } else { Vec::new() };
    if !ended || !left.is_empty() {
        system::kill_group(scenario.pid())?;
        // It may have hung before it had a group.
        scenario.kill()?;
    }
    Ok((ended, left))
}

/// What the scenario's process does.
fn child_main(id: String) -> Result<(), String> {
    system::lead_a_group().map_err(|error| error.to_string())?;
    thread::spawn(|| {
        // When the runner is killed, the scenario and its children have no one to watch over them.
        if let Some(runner) = parent() {
            runner.wait();
            let _ = system::kill_group(current().pid());
        }
    });
    let scenario = scenarios::find(&id).ok_or("there is no scenario of that name")?;
    (scenario.run)().map_err(|error| error.to_string())
}
