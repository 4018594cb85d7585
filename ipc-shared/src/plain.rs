//! Plain data in a store: copied in and out word by word, or looked at in place under a lock.
#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

use ipc_core::{Place, Result};
use ipc_lock::Shareable;
use ipc_lock::raw::{Acquired, identity};

use crate::layout::Cell;
use crate::object::{DATA, Kind, Object};
use crate::store::Store;

/// What data is aligned to.
const ALIGN: u64 = 64;

/// A lock in a store, and `count` of `T` behind it.
pub(crate) struct Plain<T> {
    pub(crate) object: Object,
    pub(crate) cell: Place<Cell>,
    data: NonNull<T>,
}

/// Where the data of the object there begins.
fn data_at(at: u64) -> u64 {
    (at + DATA + size_of::<Cell>() as u64).next_multiple_of(ALIGN)
}

impl<T: Shareable> Plain<T> {
    const ALIGNED: () = assert!(align_of::<T>() as u64 <= ALIGN, "data can be aligned to 64 bytes at most");

    /// Makes one with memory for so many, each filled by `fill`.
    pub(crate) fn create(
        store: &Store,
        kind: Kind,
        type_name: &str,
        state: u64,
        bytes: usize,
        fill: impl FnOnce(*mut T),
    ) -> Result<Plain<T>> {
        let () = Self::ALIGNED;
        let len = size_of::<Cell>() as u64 + ALIGN + bytes as u64;
        let object = Object::create(store, kind, type_name, len, |_, at| {
            store.segment().at::<Cell>(at + DATA)?.state.store(state, Ordering::Relaxed);
            fill(store.segment().bytes(data_at(at), bytes)?.cast());
            Ok(())
        })?;
        Plain::at(object, |_| bytes)
    }

    /// The one of that object. `bytes` is told its state.
    pub(crate) fn at(object: Object, bytes: impl FnOnce(u64) -> usize) -> Result<Plain<T>> {
        let cell = Place::<Cell>::new(object.segment(), object.at + DATA)?;
        let bytes = bytes(cell.state.load(Ordering::Relaxed));
        let data = object.segment().bytes(data_at(object.at), bytes)?;
        let data = NonNull::new(data.cast()).expect("a mapping is never at 0");
        Ok(Plain { object, cell, data })
    }

    /// The data: mapped and aligned for as long as `self` lives. Who may look at it is the lock's business.
    #[inline]
    pub(crate) fn data(&self) -> *mut T {
        self.data.as_ptr()
    }

    /// The position of the data.
    pub(crate) fn data_at(&self) -> u64 {
        data_at(self.object.at)
    }

    /// Takes the lock, and says who has it, and whether its last owner died with it.
    #[inline]
    pub(crate) fn lock(&self) -> (ipc_core::Identity<'_>, Acquired) {
        let me = identity(self.object.segment());
        let acquired = self.cell.lock.lock(self.object.segment(), me.id().word());
        (me, acquired)
    }

    /// The same, if nobody has it.
    #[inline]
    pub(crate) fn try_lock(&self) -> Option<(ipc_core::Identity<'_>, Acquired)> {
        let me = identity(self.object.segment());
        let acquired = self.cell.lock.try_lock(self.object.segment(), me.id().word())?;
        Some((me, acquired))
    }
}

impl<T> Clone for Plain<T> {
    fn clone(&self) -> Plain<T> {
        Plain { object: self.object.clone(), cell: self.cell.clone(), data: self.data }
    }
}

// SAFETY: the pointer goes to memory of the segment, which `object` keeps mapped, whatever thread looks at it. It is
// followed word by word, by atomic operations, or by the holder of a lock: Shareable is Send.
unsafe impl<T: Shareable> Send for Plain<T> {}
// SAFETY: as above; a shared one gives no access to the data by itself.
unsafe impl<T: Shareable> Sync for Plain<T> {}

/// Whether a `T` is written by one store, so that nobody ever sees half of it.
pub(crate) const fn is_word<T>() -> bool {
    matches!(size_of::<T>(), 1 | 2 | 4 | 8) && align_of::<T>() <= 8
}

/// Copies a `T` out that others may be writing to.
///
/// # Safety
/// `from` is mapped, aligned to 8 bytes or, if `T` is a [word](is_word), to its size.
pub(crate) unsafe fn read<T: Shareable>(from: *const T) -> T {
    let mut to = MaybeUninit::<T>::uninit();
    let (source, target) = (from.cast::<u8>(), to.as_mut_ptr().cast::<u8>());
    let mut done = 0;
    macro_rules! part {
        ($atomic:ty, $plain:ty) => {
            while size_of::<T>() - done >= size_of::<$plain>() {
                // SAFETY: within the `T`, and aligned, since larger parts come first; an atomic may be written by others.
                let word = unsafe { &*source.add(done).cast::<$atomic>() }.load(Ordering::Relaxed);
                let place = target.wrapping_add(done).cast::<$plain>();
                // SAFETY: within `to`, which nobody else knows of.
                unsafe { place.write_unaligned(word) };
                done += size_of::<$plain>();
            }
        };
    }
    part!(AtomicU64, u64);
    part!(AtomicU32, u32);
    part!(AtomicU16, u16);
    part!(AtomicU8, u8);
    // SAFETY: every byte was written, and any bytes are a value of a Shareable.
    unsafe { to.assume_init() }
}

/// Copies a `T` in, at which others may be looking.
///
/// # Safety
/// As [`read`].
pub(crate) unsafe fn write<T: Shareable>(value: &T, to: *mut T) {
    let (source, target) = (ptr::from_ref(value).cast::<u8>(), to.cast::<u8>());
    let mut done = 0;
    macro_rules! part {
        ($atomic:ty, $plain:ty) => {
            while size_of::<T>() - done >= size_of::<$plain>() {
                let place = source.wrapping_add(done).cast::<$plain>();
                // SAFETY: within `value`. Padding may be read: what it is does not matter.
                let word = unsafe { place.read_unaligned() };
                // SAFETY: within the `T`, and aligned, since larger parts come first.
                unsafe { &*target.add(done).cast::<$atomic>() }.store(word, Ordering::Relaxed);
                done += size_of::<$plain>();
            }
        };
    }
    part!(AtomicU64, u64);
    part!(AtomicU32, u32);
    part!(AtomicU16, u16);
    part!(AtomicU8, u8);
}
