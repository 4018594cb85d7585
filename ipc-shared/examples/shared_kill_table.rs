//! Kills a process at every instruction of every operation of the containers, and prints what became of the others and of
//! what was in them.
//!
//! `cargo run --release -p ipc-shared --example shared_kill_table` prints the table of the README; a text as argument picks
//! the operations whose name begins with it, `--quick` kills at fewer instructions. Ends with 1 if anybody hung, or
//! found something torn or damaged.

use std::process::ExitCode;

#[path = "../tests/it/kills/mod.rs"]
mod kills;

fn main() -> ExitCode {
    ipc_crash_test::kill_table(&kills::cases(), &["torn", "damaged"])
}
