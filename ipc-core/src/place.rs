//! A typed spot in a segment.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;

use crate::error::Result;
use crate::layout::SharedLayout;
use crate::segment::Segment;

/// A `T` at a fixed offset of a segment, which it keeps mapped: looking at it costs nothing.
///
/// ```
/// use std::sync::atomic::{AtomicU32, Ordering};
/// use ipc_core::{Place, Segment, Spec};
/// let segment = Segment::anonymous(&Spec::new("flags", 1).len(64))?;
/// let flag: Place<AtomicU32> = Place::new(&segment, 4)?;
/// flag.store(1, Ordering::Relaxed);
/// # Ok::<(), ipc_core::Error>(())
/// ```
pub struct Place<T> {
    segment: Segment,
    offset: u64,
    at: NonNull<T>,
}

impl<T: SharedLayout> Place<T> {
    /// The `T` at that offset.
    ///
    /// # Errors
    /// Out of bounds, or not aligned.
    pub fn new(segment: &Segment, offset: u64) -> Result<Place<T>> {
        let at = NonNull::from(segment.at::<T>(offset)?);
        Ok(Place { segment: segment.clone(), offset, at })
    }
}

impl<T> Place<T> {
    /// The segment that it lies in.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Where in the segment it lies.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}

impl<T: SharedLayout> Deref for Place<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the segment checked the range when it gave out the reference, never moves or unmaps it while a
        // handle lives, and `self` holds one; a SharedLayout may be written by others meanwhile.
        unsafe { self.at.as_ref() }
    }
}

impl<T> Clone for Place<T> {
    fn clone(&self) -> Place<T> {
        Place { segment: self.segment.clone(), offset: self.offset, at: self.at }
    }
}

impl<T> fmt::Debug for Place<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({:?} at {})", self.segment, self.offset)
    }
}

// SAFETY: a Place gives `&T` only, like an Arc; a SharedLayout is Sync, and has no drop or thread of its own.
unsafe impl<T: SharedLayout> Send for Place<T> {}
// SAFETY: as above.
unsafe impl<T: SharedLayout> Sync for Place<T> {}
