#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod barrier;
mod cells;
mod condvar;
mod error;
mod event;
mod layout;
mod lock;
#[cfg(all(test, loom))]
mod models;
mod mutex;
mod object;
mod party;
pub mod raw;
mod reentrant;
mod report;
mod rwlock;
mod semaphore;
mod shareable;
mod sync;
mod wait;

pub use ipc_core::{Cause, Error};

pub use barrier::{Arrival, Barrier};
pub use condvar::Condvar;
pub use error::{
    BarrierError, LockResult, LockTimeoutError, OverRelease, OwnerDied, Timeout, TryLockError, WouldBlock,
};
pub use event::Event;
pub use mutex::{Mutex, MutexGuard};
pub use reentrant::{ReentrantMutex, ReentrantMutexGuard};
pub use report::Holder;
pub use rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Permit, Semaphore};
pub use shareable::Shareable;
