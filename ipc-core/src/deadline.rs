//! The one place where a timeout becomes a point in time.

use std::time::{Duration, Instant};

/// The moment `timeout` from now on the monotonic clock; `None`, which means never, when it is too far away to
/// be expressed (`Duration::MAX`, for one).
///
/// ```
/// use std::time::Duration;
/// assert!(ipc_core::deadline(Duration::from_secs(1)).is_some());
/// assert!(ipc_core::deadline(Duration::MAX).is_none());
/// ```
pub fn deadline(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// The monotonic clock, which is the same for all processes of the machine: the time since some moment before they
/// started.
pub fn monotonic() -> Duration {
    crate::sys::monotonic()
}

/// As [`monotonic`], but up to some milliseconds ago, and several times cheaper.
pub fn monotonic_coarse() -> Duration {
    crate::sys::monotonic_coarse()
}
