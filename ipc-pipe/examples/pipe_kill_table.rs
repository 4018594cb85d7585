//! Kills a process at every instruction of every operation of a pipe, and prints what became of the others and of the
//! messages.
//!
//! `cargo run --release -p ipc-pipe --example pipe_kill_table` prints the table of the README; a text as argument picks
//! the operations whose name begins with it, `--quick` kills at fewer instructions. Ends with 1 if anybody hung, or a
//! message was lost, torn or there twice.

use std::process::ExitCode;

#[path = "../tests/it/kills/mod.rs"]
mod kills;

fn main() -> ExitCode {
    ipc_crash_test::kill_table(&kills::cases(), &["lost", "duplicated", "torn"])
}
