//! What lies in shared memory. This file is the specification; any change here changes [`VERSION`].
//!
//! The segment begins with an [`ipc_queue::raw::Ring`]; in the part that it leaves free lies a [`Pipe`]. The ring's two
//! words for those who wait are 1 if the next message, or the next room, is to be told through the socket.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicU32, AtomicU64};

use ipc_core::SharedLayout;
use ipc_queue::raw::Ring;

/// Version of the layouts in this file.
pub(crate) const VERSION: u32 = 2;

/// How many processes can have an end of one pipe.
pub(crate) const PARTICIPANTS: u32 = 1024;

/// Where the [`Pipe`] lies.
pub(crate) const PIPE: u64 = Ring::FREE.start;

/// What a pipe has besides its ring. Hardly ever written.
#[repr(C, align(64))]
#[derive(Debug)]
pub(crate) struct Pipe {
    /// The last number under which descriptors were sent. Changed by whoever puts a message in.
    pub(crate) parcels: AtomicU64,
    /// Counts up when a process gives its last handle of the receiving end up.
    pub(crate) receivers_left: AtomicU32,
    /// Somebody waits for room for so many bytes: those with fewer wait until so many messages are taken; 0 if nobody does.
    pub(crate) claimed_for: AtomicU64,
    pub(crate) claimed_until: AtomicU64,
}

// SAFETY: repr(C) and made of atomics only.
unsafe impl SharedLayout for Pipe {}

const _: () = assert!(PIPE + size_of::<Pipe>() as u64 <= Ring::FREE.end);
