//! The same work by Python's `multiprocessing`, with the `python3` of this machine.

use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

/// Whether there is one.
pub(crate) fn is_there() -> bool {
    static IS_THERE: LazyLock<bool> = LazyLock::new(|| {
        let version = Command::new("python3").arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    });
    *IS_THERE
}

/// How long so much of that work takes.
pub(crate) fn run(what: &str, count: u64) -> Duration {
    const PROGRAM: &str = include_str!("python.py");
    let output =
        Command::new("python3").args(["-c", PROGRAM, what, &count.to_string()]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_secs_f64(
        text.trim()
            .parse()
            .unwrap_or_else(|_| panic!("python3 fails: {}", String::from_utf8_lossy(&output.stderr))),
    )
}
