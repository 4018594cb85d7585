//! Kills a process at every instruction of every operation of a queue of jobs, and prints what became of the others and of
//! the jobs.
//!
//! `cargo run --release -p ipc-queue --example joinable_kill_table` prints the table of the page of JoinableQueue; a text as
//! argument picks the operations whose name begins with it, `--quick` kills at fewer instructions. Ends with 1 if anybody
//! hung or found something wrong.

use std::process::ExitCode;

#[path = "../tests/it/joinable/kills/mod.rs"]
mod kills;

fn main() -> ExitCode {
    ipc_crash_test::kill_table(&kills::cases(), &[])
}
