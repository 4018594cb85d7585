//! Scenarios that go wrong, for the tests of the runner. They are not listed.

use std::thread;

use super::{Outcome, Scenario, scenario};

pub(super) static SELFTESTS: &[Scenario] = &[
    scenario("selftest-panic", "panics", panic),
    scenario("selftest-error", "returns an error", error),
    scenario("selftest-exit", "exits", exit),
    scenario("selftest-hang", "hangs, with a child that hangs", hang),
];

fn panic() -> Outcome {
    panic!("two plus two is five")
}

fn error() -> Outcome {
    Err("no such luck".into())
}

fn exit() -> Outcome {
    std::process::exit(0)
}

fn hang() -> Outcome {
    let mut child = ipc_process::spawn(park, ())?;
    println!("pids {} {}", std::process::id(), child.pid());
    child.join()?;
    Ok(())
}

fn park() {
    loop {
        thread::park();
    }
}
