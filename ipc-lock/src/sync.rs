//! Atomics and futexes: the machine's, or loom's model of them.

#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use std::hint::spin_loop;
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

    pub(crate) use ipc_core::futex::{Wake, wait_timeout, wake, wake_all};
}

#[cfg(loom)]
pub(crate) use model::*;

#[cfg(loom)]
mod model;
