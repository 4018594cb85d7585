#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod child;
mod current;
mod entry;
mod function;
mod join;
mod process;
pub mod raw;
mod refusal;
mod spawn;
mod sys;
mod wire;

pub use ipc_core::Blob;

pub use child::Child;
pub use current::{Current, Parent, current, parent};
pub use entry::init;
pub use function::{Function, Runnable};
pub use join::{Failure, JoinError, Panic};
pub use process::{Process, active_children};
pub use refusal::{Reason, SpawnError};
pub use spawn::{Builder, spawn, spawn_runnable};
