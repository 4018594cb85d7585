#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_has_atomic = "64")))]
compile_error!("the ipc crates need 64-bit Linux: futexes, memfd and pidfd");

mod bell;
mod blob;
#[cfg(feature = "codec")]
pub mod codec;
mod cpus;
mod deadline;
mod error;
mod fork;
pub mod futex;
mod header;
mod hold;
mod layout;
mod mapping;
mod name;
mod own;
mod participant;
mod place;
mod refusal;
mod segment;
mod sys;
pub mod transfer;
mod watch;

pub use blob::Blob;
pub use cpus::can_spin;
pub use deadline::{deadline, monotonic, monotonic_coarse};
pub use error::{Cause, Error, Result};
pub use fork::ForkMutex;
pub use header::Spec;
pub use hold::Hold;
pub use layout::SharedLayout;
pub use participant::{Identity, Participant, ParticipantId};
pub use place::Place;
pub use segment::{Segment, remove_stale};
pub use transfer::Fd;
pub use watch::Watch;
