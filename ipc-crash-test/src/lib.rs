#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("ipc-crash-test steps processes with ptrace on Linux, on x86_64 and aarch64 only");

mod address;
mod affinity;
pub mod alone;
pub mod case;
mod control;
pub mod fresh;
mod kill_test;
mod process;
mod report;
pub mod scene;
mod shared;
pub mod soak;
mod stepped;
mod sys;
mod table;
mod walk;

pub use control::Step;
pub use kill_test::{KillTest, kill_at_every_instruction};
pub use report::{Failure, FailureKind, Outcome, Report, WalkEnd, markdown_table};
pub use shared::{ProcessShared, SharedBox};
pub use table::{kill_table, walk_some};
