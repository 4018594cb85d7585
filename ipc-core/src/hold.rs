//! What the kernel counts: who holds a number of a segment, be it only on the way to another process.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::io::Errno;
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Cause, Error, Result, os};
use crate::segment::Segment;
use crate::{sys, transfer};

/// The first byte for holds; those before it belong to names.
const FIRST: u32 = 16;

/// A number of a [`Segment`], held until the last copy of this is gone in every process: dropped, exited or killed, or
/// sent and never received.
///
/// Any number of holds can be had of one number, and [`Segment::is_held`] tells whether there are any. A clone, and a
/// copy that is sent within a [transfer](crate::transfer), is the same hold. It is the kernel that keeps account, so
/// that nothing has to be repaired after a kill. Costs a descriptor.
///
/// ```
/// use ipc_core::{Segment, Spec};
/// let segment = Segment::anonymous(&Spec::new("example", 1).len(8))?;
/// let hold = segment.hold(3)?;
/// assert!(segment.is_held(3)?);
/// drop(hold);
/// assert!(!segment.is_held(3)?);
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Clone)]
pub struct Hold(Arc<OwnedFd>);

impl Segment {
    /// Holds that number, 0 to 1,000.
    ///
    /// # Errors
    /// No descriptor left, no /proc; a number above 1,000.
    pub fn hold(&self, number: u16) -> Result<Hold> {
        let hold = || {
            let byte = byte(number)?;
            // Locks belong to an opening of the file; all copies of the segment's own descriptor share one.
            let file = sys::reopen(self.as_fd()).map_err(os)?;
            if sys::try_share(file.as_fd(), byte) { Ok(Hold(Arc::new(file))) } else { Err(os(Errno::NOLCK)) }
        };
        hold().map_err(|cause| Error::new("hold a part of", self.label(), cause))
    }

    /// Whether anybody holds that number. Costs a system call.
    ///
    /// # Errors
    /// A number above 1,000.
    pub fn is_held(&self, number: u16) -> Result<bool> {
        let held = || Ok(sys::is_locked(self.as_fd(), byte(number)?)?);
        held().map_err(|cause: Cause| Error::new("look after", self.label(), cause))
    }

    /// Whether the hold is one of this segment, and not of another that somebody sent along with it.
    pub fn is_of(&self, hold: &Hold) -> bool {
        sys::stat(hold.0.as_fd()).ok().map(|stat| stat.id) == sys::stat(self.as_fd()).ok().map(|stat| stat.id)
    }
}

fn byte(number: u16) -> Result<u32, Cause> {
    if number <= 1000 { Ok(FIRST + u32::from(number)) } else { Err(os(Errno::INVAL)) }
}

impl fmt::Debug for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

impl Serialize for Hold {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        transfer::share(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Hold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hold, D::Error> {
        transfer::shared(deserializer).map(Hold)
    }
}
