//! Waiting for what other threads of this process do.

use std::sync::{Condvar, MutexGuard, PoisonError};
use std::time::Instant;

/// Waits until it is so, at most until the deadline; whether it is.
pub(crate) fn wait_until<'a, T>(
    changed: &Condvar,
    guard: MutexGuard<'a, T>,
    deadline: Option<Instant>,
    mut is_so: impl FnMut(&T) -> bool,
) -> (MutexGuard<'a, T>, bool) {
    let Some(deadline) = deadline else {
        let guard = changed.wait_while(guard, |inner| !is_so(inner));
        return (guard.unwrap_or_else(PoisonError::into_inner), true);
    };
    let left = deadline.saturating_duration_since(Instant::now());
    let waited = changed.wait_timeout_while(guard, left, |inner| !is_so(inner));
    let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
    (guard, !waited.timed_out())
}
