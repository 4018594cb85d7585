// The first definition holds: in the documentation, where there is no such page, the link goes to the type.
#![doc = "[JOINABLE.md]: JoinableQueue\n\n"]
#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod any;
mod bytes;
mod core;
mod error;
mod getting;
mod joinable;
mod layout;
mod memory;
mod putting;
mod queue;
pub mod raw;
mod refused;
mod region;
mod ring;
mod roles;
mod values;
mod verbs;
mod wait;

// What errors and statistics are made of.
pub use ipc_core::{Cause, Error, Participant};

pub use any::{Source, wait_any};
pub use bytes::{Bytes, Reservation};
pub use error::{GetError, GetTimeoutError, PutError, PutTimeoutError, TryGetError, TryPutError};
pub use joinable::{Job, JoinableQueue, JoinableStats, Receipt, Rejected};
pub use queue::{Queue, Stats};
pub use roles::{Consumer, IntoIter, Iter, Producer};

// So that its example is compiled.
#[cfg(doctest)]
#[doc = include_str!("../JOINABLE.md")]
mod joinable_page {}
