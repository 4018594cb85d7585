//! What parent and child say to each other: one parcel there, one parcel back.

use std::os::fd::OwnedFd;

use ipc_core::Fd;
use serde::{Deserialize, Serialize};

use crate::join::Panic;

/// From parent to child; the encoded arguments follow it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    /// The file that the parent runs. The child has to run the same, or `entry` means something else there.
    pub(crate) executable: [i64; 5],
    /// Where in the program the function lies that decodes the arguments.
    pub(crate) entry: usize,
    pub(crate) name: String,
    /// The numbers of this process and its ancestors among their siblings: `1:2`.
    pub(crate) path: String,
    pub(crate) daemon: bool,
    pub(crate) nested: bool,
    pub(crate) parent_pid: u32,
    pub(crate) parent_name: String,
    /// A pidfd.
    pub(crate) parent: Fd<OwnedFd>,
}

/// From child to parent; after `Returned` the encoded result follows.
#[derive(Serialize, Deserialize)]
pub(crate) enum Report {
    Returned,
    Panicked(Panic),
    /// The child did not get as far as its arguments.
    NotStarted(String),
    /// The child could not make sense of its arguments.
    BadArguments(String),
    /// The result could not be encoded, or not be sent.
    BadResult(String),
}
