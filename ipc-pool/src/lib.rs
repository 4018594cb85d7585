#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod batch;
mod board;
mod builder;
mod call;
mod callbacks;
mod clerk;
mod desk;
mod each;
mod entry;
mod error;
#[cfg(test)]
mod help;
mod insights;
#[cfg(test)]
mod kills;
mod member;
#[cfg(test)]
mod model;
mod outcomes;
mod pack;
mod pool;
mod result;
mod state;
mod stream;
mod sys;
mod task;
mod wait;
mod warden;
mod wire;
mod worker;

pub use ipc_core::Blob;

pub use builder::{Builder, Initialized};
pub use call::Call;
pub use each::Each;
pub use error::{Death, PoolError, Refusal, Refused, StillOpen, TaskError};
pub use insights::{Insights, SlowTask, WorkerInsights};
pub use pool::Pool;
pub use result::AsyncResult;
pub use stream::Imap;
