//! A value in an anonymous shared mapping, which forked processes inherit at the same address.

#![allow(unsafe_code)]

use std::fmt;
use std::num::NonZeroUsize;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize,
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// A type whose values several processes may use at once through shared memory.
///
/// Implemented for atomics, and for arrays and tuples of them.
///
/// # Safety
/// - No pointer, descriptor or other thing that is valid in one process only is stored in the value.
/// - Every bit that changes after creation changes through atomics, or under a lock that works between processes.
/// - The value needs no drop.
pub unsafe trait ProcessShared: Sync + 'static {}

macro_rules! process_shared {
    ($($atomic:ty),*) => {$(
        // SAFETY: an atomic integer holds no pointer, changes atomically and needs no drop.
        unsafe impl ProcessShared for $atomic {}
    )*};
}
process_shared!(AtomicBool, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64, AtomicUsize);

// SAFETY: an array has nothing beside its elements, which fulfil the contract.
unsafe impl<T: ProcessShared, const N: usize> ProcessShared for [T; N] {}
// SAFETY: a tuple has nothing beside its fields, which fulfil the contract.
unsafe impl<A: ProcessShared, B: ProcessShared> ProcessShared for (A, B) {}
// SAFETY: a tuple has nothing beside its fields, which fulfil the contract.
unsafe impl<A: ProcessShared, B: ProcessShared, C: ProcessShared> ProcessShared for (A, B, C) {}

/// A `T` in memory that this process shares with the processes it forks afterwards.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// let pair = ipc_crash_test::SharedBox::new([const { AtomicU64::new(0) }; 2]);
/// pair[1].store(7, Relaxed);
/// assert_eq!(pair[1].load(Relaxed), 7);
/// ```
pub struct SharedBox<T: ProcessShared> {
    value: NonNull<T>,
}

impl<T: ProcessShared> SharedBox<T> {
    const LEN: NonZeroUsize = NonZeroUsize::new(size_of::<T>()).expect("a shared value has a size");

    /// Maps fresh shared memory and moves `value` into it.
    ///
    /// # Panics
    /// When the system has no memory left to map.
    pub fn new(value: T) -> Self {
        const { assert!(align_of::<T>() <= 4096, "a mapping is aligned to a page only") };
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new anonymous mapping at an address the kernel chooses overlaps nothing.
        let mapping = unsafe { mmap_anonymous(None, Self::LEN, protection, MapFlags::MAP_SHARED) };
        let place = mapping.expect("no memory for a shared mapping").cast::<T>();
        // SAFETY: the mapping is writable, long enough and aligned to a page, and nobody else knows it yet.
        unsafe { place.write(value) };
        Self { value: place }
    }
}

impl<T: ProcessShared> Deref for SharedBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` initialised the value; others change it only as `ProcessShared` allows; `drop` alone unmaps it.
        unsafe { self.value.as_ref() }
    }
}

impl<T: ProcessShared> Drop for SharedBox<T> {
    fn drop(&mut self) {
        // SAFETY: `new` made this mapping, and no reference into it outlives the box.
        let _ = unsafe { munmap(self.value.cast(), Self::LEN.get()) };
    }
}

// SAFETY: the box owns its mapping, and a `T` is made to be used from anywhere (`ProcessShared: Sync`).
unsafe impl<T: ProcessShared> Send for SharedBox<T> {}
// SAFETY: `&SharedBox<T>` gives `&T` alone, and `T` is `Sync`.
unsafe impl<T: ProcessShared> Sync for SharedBox<T> {}

impl<T: ProcessShared + fmt::Debug> fmt::Debug for SharedBox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SharedBox").field(&**self).finish()
    }
}

/// Many bytes in memory that this process shares with the processes it forks afterwards; 0 at first.
#[derive(Debug)]
pub(crate) struct SharedBytes {
    place: NonNull<AtomicU8>,
    len: NonZeroUsize,
}

impl SharedBytes {
    pub(crate) fn new(len: usize) -> SharedBytes {
        let len = NonZeroUsize::new(len).expect("one at least");
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a new anonymous mapping at an address the kernel chooses overlaps nothing.
        let mapping = unsafe { mmap_anonymous(None, len, protection, flags) };
        SharedBytes { place: mapping.expect("no memory for a shared mapping").cast(), len }
    }

    pub(crate) fn all(&self) -> &[AtomicU8] {
        // SAFETY: the mapping is that long, begins with zeros, holds atomics alone, and is unmapped by `drop` alone.
        unsafe { std::slice::from_raw_parts(self.place.as_ptr(), self.len.get()) }
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        // SAFETY: `new` made this mapping, and no reference into it outlives the value.
        let _ = unsafe { munmap(self.place.cast(), self.len.get()) };
    }
}
