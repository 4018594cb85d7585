//! What lies in shared memory. This file is the specification; any change here changes [`VERSION`].
//!
//! The structs' fields are private to the modules that run the protocols: [`RawLock`] in `lock.rs`, [`Cells`] in
//! `cells.rs`, [`Waiters`] in `wait.rs`. Data behind a lock begins at the first multiple of 64 after its struct.
#![allow(unsafe_code)]

use ipc_core::SharedLayout;

use crate::sync::{AtomicU32, AtomicU64};

/// Version of the layouts in this file.
pub(crate) const VERSION: u32 = 2;

/// How many processes can take part in one object.
#[cfg(not(loom))]
pub(crate) const CAPACITY: usize = 1024;
#[cfg(loom)]
pub(crate) const CAPACITY: usize = 3;

/// So many cells have a bit together.
pub(crate) const BLOCK: usize = CAPACITY.div_ceil(64);

/// Threads that sleep are listed for diagnostics, the first so many.
#[cfg(not(loom))]
pub(crate) const LISTED: usize = 14;
#[cfg(loom)]
pub(crate) const LISTED: usize = 1;

/// How many rounds of a barrier are remembered.
pub(crate) const OUTCOMES: usize = 8;

/// A lock as one word: 0 is free, otherwise it is the identity of the owning process.
#[repr(C)]
#[derive(Debug)]
pub struct RawLock {
    pub(crate) word: AtomicU32,
    /// Not 0 if somebody may sleep on the word. A word of its own, since reading the word that was just swapped would
    /// nearly double the price of a lock.
    pub(crate) asleep: AtomicU32,
    /// When a waiter first saw this owner: its identity << 32 | milliseconds of the monotonic clock, cut off.
    pub(crate) seen: AtomicU64,
    pub(crate) waiters: Waiters,
}

/// Who sleeps: identities, 0 where nobody does. One that was killed stays until its place is needed.
#[repr(C)]
#[derive(Debug)]
pub struct Waiters {
    pub(crate) ids: [AtomicU32; LISTED],
}

/// A number for each participant: its identity << 32 | the number. An entry of another identity counts as 0.
#[repr(C)]
pub(crate) struct Cells {
    /// A bit for each [`BLOCK`] of cells of which one was ever used.
    pub(crate) used: AtomicU64,
    pub(crate) cells: [AtomicU64; CAPACITY],
}

/// `Mutex<T>`; the `T` follows.
#[repr(C)]
pub(crate) struct Mutex {
    pub(crate) lock: RawLock,
}

/// `ReentrantMutex<T>`; the `T` follows.
#[repr(C)]
pub(crate) struct ReentrantMutex {
    pub(crate) lock: RawLock,
    /// Which thread of the owning process holds the lock: the identity << 32 | the thread's number; 0 if none.
    pub(crate) thread: AtomicU64,
    /// How many times that thread has locked it.
    pub(crate) count: AtomicU64,
}

/// `RwLock<T>`; the `T` follows.
#[repr(C)]
pub(crate) struct RwLock {
    /// Held by a writer, by one that waits for the readers to leave, and for a moment by a reader that comes after one.
    pub(crate) writer: RawLock,
    /// Changes whenever a reader leaves while a writer waits.
    pub(crate) left: AtomicU32,
    /// Not 0 from when a writer gets at the data until it releases the lock: if no writer holds it, one has died.
    pub(crate) writing: AtomicU32,
    /// How many read locks each participant holds, or is about to.
    pub(crate) readers: Cells,
}

/// `Semaphore`. `total` and `permits` count; `available` is derived, so that recovery can compute it anew.
#[repr(C)]
pub(crate) struct Semaphore {
    /// Protects everything below but `signal`, which is also slept on.
    pub(crate) lock: RawLock,
    /// Permits that exist.
    pub(crate) total: AtomicU32,
    /// `total` without those that are held.
    pub(crate) available: AtomicU32,
    /// `total` cannot be raised above this.
    pub(crate) bound: AtomicU32,
    /// How many threads sleep, or more: the killed are not taken off.
    pub(crate) sleepers: AtomicU32,
    /// Changes whenever a permit comes free.
    pub(crate) signal: AtomicU32,
    pub(crate) waiters: Waiters,
    /// How many permits each participant holds.
    pub(crate) permits: Cells,
}

/// `Condvar`.
#[repr(C)]
pub(crate) struct Condvar {
    /// Changes with every notification.
    pub(crate) sequence: AtomicU32,
    /// How many threads wait, or more: the killed are not taken off.
    pub(crate) sleepers: AtomicU32,
    pub(crate) waiters: Waiters,
}

/// `Event`.
#[repr(C)]
pub(crate) struct Event {
    /// Bit 0: set. The other bits change with every `set` and `clear` that does something.
    pub(crate) state: AtomicU32,
    pub(crate) waiters: Waiters,
}

/// `Barrier`.
#[repr(C)]
pub(crate) struct Barrier {
    /// Protects everything below but `round`, which is also slept on.
    pub(crate) lock: RawLock,
    /// Bit 0: broken. The other bits are the number of the round.
    pub(crate) round: AtomicU32,
    /// How many have to arrive.
    pub(crate) parties: AtomicU32,
    /// How many have arrived in this round.
    pub(crate) arrived: AtomicU32,
    /// How the last rounds ended, each at its number modulo their number: round << 1 | everybody arrived.
    pub(crate) outcomes: [AtomicU32; OUTCOMES],
    pub(crate) waiters: Waiters,
    /// How many handles each participant has.
    pub(crate) holders: Cells,
}

macro_rules! shared {
    ($($name:ident)*) => { $(
        // SAFETY: repr(C) and made of atomics only.
        unsafe impl SharedLayout for $name {}
    )* };
}
shared!(RawLock Waiters Cells Mutex ReentrantMutex RwLock Semaphore Condvar Event Barrier);

#[cfg(not(loom))]
const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Waiters>() == 56);
    assert!(size_of::<RawLock>() == 72);
    assert!(offset_of!(Cells, cells) == 8);
    assert!(size_of::<Cells>() == 8 + 8 * CAPACITY);
    assert!(offset_of!(RwLock, readers) == 80);
    assert!(offset_of!(Semaphore, waiters) == 92);
    assert!(offset_of!(Semaphore, permits) == 152);
    assert!(offset_of!(Barrier, holders) == 176);
};
