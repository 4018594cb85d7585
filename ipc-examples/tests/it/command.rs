//! The command: what it prints, its exit codes, and that it leaves nothing behind.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use ipc_examples::scenarios::SCENARIOS;
use tempfile::TempDir;

use crate::trees::{large_tree, odd_tree};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ipc-examples");

/// A started command, with a directory of its own for whatever it might leave.
struct Started {
    child: Child,
    directory: TempDir,
}

fn start(arguments: &[&str]) -> Started {
    let directory = tempfile::tempdir().unwrap();
    let child = Command::new(PROGRAM)
        .args(arguments)
        .current_dir(&directory)
        .env("TMPDIR", directory.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Started { child, directory }
}

impl Started {
    fn finish(self) -> Output {
        let output = self.child.wait_with_output().unwrap();
        assert_eq!(fs::read_dir(&self.directory).unwrap().count(), 0, "files are left");
        // Every descendant has its TMPDIR.
        let mark = self.directory.path().to_str().unwrap();
        let left: Vec<_> = processes_with(mark);
        assert!(left.is_empty(), "processes are left: {left:?}");
        output
    }
}

/// The processes that live and have that text in their environment.
fn processes_with(mark: &str) -> Vec<String> {
    let has_mark = |path: &Path| {
        fs::read(path.join("environ")).is_ok_and(|text| String::from_utf8_lossy(&text).contains(mark))
    };
    let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
    entries.filter(|path| has_mark(path)).map(|path| path.display().to_string()).collect()
}

fn run(arguments: &[&str]) -> Output {
    start(arguments).finish()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[track_caller]
fn succeeds(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

#[test]
fn list_prints_every_id() {
    let printed = succeeds(&run(&["list"]));
    let ids: Vec<_> = printed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(ids, SCENARIOS.iter().map(|scenario| scenario.id).collect::<Vec<_>>());
}

#[test]
fn a_scenario_shows_what_it_prints() {
    let printed = succeeds(&run(&["run", "process-function"]));
    assert!(printed.contains("it returned: hello bun!"), "{printed}");
    assert!(printed.ends_with("1 passed, 0 failed\n"), "{printed}");
}

#[test]
fn all_scenarios_pass() {
    let printed = succeeds(&run(&["run", "all"]));
    assert!(printed.ends_with(&format!("\n{} passed, 0 failed\n", SCENARIOS.len())), "{printed}");
    assert_eq!(printed.lines().count(), SCENARIOS.len() + 1);
}

#[test]
fn scenarios_that_fail_do_not_stop_the_others() {
    let output = run(&[
        "run",
        "--deadline",
        "1",
        "selftest-panic",
        "selftest-error",
        "selftest-exit",
        "selftest-hang",
        "process-run",
    ]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    for reason in
        ["two plus two is five", "no such luck", "exited with code 0", "hangs: still runs after 1 s"]
    {
        assert!(printed.contains(reason), "{printed}");
    }
    assert!(printed.contains("ok      process-run"), "{printed}");
    assert!(printed.ends_with("1 passed, 4 failed\n"), "{printed}");
}

#[test]
fn an_unknown_scenario_is_an_error() {
    let output = run(&["run", "process-fnuction"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("process-fnuction"));
}

#[test]
fn without_a_command_there_is_a_tour() {
    let printed = succeeds(&run(&[]));
    assert!(printed.contains("the soup is burnt") && printed.contains("killed by SIGKILL"), "{printed}");
    assert!(printed.contains("it was told: the previous owner died"), "{printed}");
    assert!(printed.ends_with("check: equal to the serial count\n"), "{printed}");
}

#[test]
fn wordcount_checks_itself() {
    let printed = succeeds(&run(&["wordcount", "--check", "--top", "1"]));
    assert!(printed.ends_with("check: equal to the serial count\n"), "{printed}");
    let tree = odd_tree();
    let printed = succeeds(&run(&["wordcount", tree.path().to_str().unwrap(), "--check", "--workers", "3"]));
    assert!(printed.contains("4  two"), "{printed}");
    assert!(printed.contains("1: binary, skipped"), "{printed}");
    assert!(printed.ends_with("check: equal to the serial count\n"), "{printed}");
}

#[test]
fn wordcount_of_a_path_that_is_not_there_is_an_error() {
    let output = run(&["wordcount", "/nonexistent/path"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/nonexistent/path"));
}

#[test]
fn killing_the_command_leaves_no_process() {
    let tree = large_tree();
    let mut started = start(&["wordcount", tree.path().to_str().unwrap(), "--workers", "4"]);
    started.child.kill().unwrap();
    let mut started_scenario = start(&["run", "process-join"]);
    started_scenario.child.kill().unwrap();
    // The ends of their output come when the last of each has gone.
    started.finish();
    started_scenario.finish();
}
