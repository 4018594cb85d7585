//! Sleep until a word in shared memory changes: futex wait and wake.
//!
//! A waiter names the value that it saw; the kernel puts it to sleep only if the word still has that value, so no
//! wake-up between the look and the sleep is lost. Works between processes (the private flag is never set) and
//! between threads. Deadlines are absolute, on the monotonic clock; signals do not end a wait.
//!
//! A process that is killed wakes nobody: whoever may wait for one that dies sleeps with a deadline and looks
//! again. The locks and queues above do that for their users.
//!
//! ```
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use ipc_core::futex;
//!
//! let word = AtomicU32::new(0);
//! std::thread::scope(|scope| {
//!     scope.spawn(|| {
//!         word.store(1, Ordering::Release);
//!         futex::wake(&word, 1);
//!     });
//!     while word.load(Ordering::Acquire) == 0 {
//!         futex::wait(&word, 0, None);
//!     }
//! });
//! ```

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use crate::sys;

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "after a wake-up the word has to be looked at again"]
pub enum Wake {
    /// A wake-up, a word that had changed already, or nothing at all: look at the word again.
    Woken,
    /// The deadline has passed.
    TimedOut,
}

/// The most words that [`wait_any`] takes.
pub const MAX_WORDS: usize = 128;

/// Sleeps while `word` is `expected`, until woken or until `deadline` (`None`: for ever).
///
/// Returns at once when the word has another value, and may return without a reason.
pub fn wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wake {
    sys::futex_wait(word, expected, deadline)
}

/// Sleeps while `word` is `expected`, until woken or for about `timeout`.
///
/// Cheaper than [`wait`] with a deadline, since it looks at no clock. A signal may end it early, as if woken. For those
/// who look again now and then.
pub fn wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> Wake {
    sys::futex_wait_timeout(word, expected, timeout)
}

/// Sleeps while every word has its expected value, until one of them is woken or until `deadline`.
///
/// # Errors
/// `Unsupported` before Linux 5.16, which has no futex_waitv; `InvalidInput` for no words or more than
/// [`MAX_WORDS`].
pub fn wait_any(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> io::Result<Wake> {
    if words.is_empty() || words.len() > MAX_WORDS {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "1 to 128 words can be waited for"));
    }
    sys::futex_wait_any(words, deadline)
}

/// Wakes at most `count` of those who sleep on `word`; says how many it were.
///
/// The caller has changed the word before. Never blocks, and may be called from a signal handler.
pub fn wake(word: &AtomicU32, count: u32) -> usize {
    // The kernel counts with a sign, and takes anything below 1 for 1.
    if count == 0 { 0 } else { sys::futex_wake(word, count.min(i32::MAX as u32)) }
}

/// Wakes all who sleep on `word`; says how many it were.
pub fn wake_all(word: &AtomicU32) -> usize {
    wake(word, u32::MAX)
}
