//! The parts that the locks are made of, for those who lay out shared memory by themselves.
//!
//! A [`RawLock`] lies anywhere in a segment, zeroed memory is a free one, and all who use it agree on what it protects.
//! Whoever gets it as [`Acquired::OwnerDied`] repairs that first: nobody else can, and to be killed while doing so must do
//! no harm. Sleeping goes through [`Patience`], or, for something that a known process holds, through [`Lookout`]: both
//! see to it that one who is killed before it wakes others costs them a moment, and not for ever.
//! The locks themselves can lie in such a segment, too: `Mutex::new_in` and the like.
//!
//! ```
//! use ipc_core::{Place, Segment, Spec};
//! use ipc_lock::raw::{Acquired, RawLock, identity};
//!
//! let segment = Segment::anonymous(&Spec::new("example", 1).len(128))?;
//! let lock: Place<RawLock> = Place::new(&segment, 0)?;
//! assert_eq!(lock.lock(&segment, identity(&segment).id().word()), Acquired::Clean);
//! lock.unlock();
//! # Ok::<(), ipc_core::Error>(())
//! ```

pub use crate::layout::{RawLock, Waiters};
pub use crate::lock::{Acquired, TimedOut};
pub use crate::party::{Party, identity};
pub use crate::report::waiters;
pub use crate::wait::{Lookout, Patience, Slept, Waiting};
