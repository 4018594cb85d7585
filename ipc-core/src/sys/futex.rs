//! Futexes and the monotonic clock.

use std::io;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::thread::futex;
use rustix::time::{ClockId, Timespec};

use crate::futex::Wake;

pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wake {
    let until = match deadline.map(absolute).transpose() {
        Ok(until) => until,
        Err(wake) => return wake,
    };
    loop {
        // No private flag: the word may be waited for by another process.
        return match futex::wait_bitset(word, futex::Flags::empty(), expected, until.as_ref(), ANY_BIT) {
            Err(Errno::INTR) => continue,
            Err(Errno::TIMEDOUT) => Wake::TimedOut,
            // AGAIN: the word has changed already. Nothing else can happen to a valid word.
            _ => Wake::Woken,
        };
    }
}

pub(crate) fn futex_wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> Wake {
    // A timeout that cannot be expressed is longer than anybody waits.
    let timeout = Timespec::try_from(timeout).ok();
    match futex::wait(word, futex::Flags::empty(), expected, timeout.as_ref()) {
        Err(Errno::TIMEDOUT) => Wake::TimedOut,
        _ => Wake::Woken,
    }
}

const ANY_BIT: std::num::NonZeroU32 = std::num::NonZeroU32::MAX;

pub(crate) fn futex_wait_any(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> io::Result<Wake> {
    let until = match deadline.map(absolute).transpose() {
        Ok(until) => until,
        Err(wake) => return Ok(wake),
    };
    let waits: Vec<futex::Wait> = words
        .iter()
        .map(|(word, expected)| {
            let mut wait = futex::Wait::new();
            wait.val = u64::from(*expected);
            wait.uaddr = futex::WaitPtr::new(word.as_ptr().cast());
            wait.flags = futex::WaitFlags::SIZE_U32;
            wait
        })
        .collect();
    loop {
        let flags = futex::WaitvFlags::empty();
        return match futex::waitv(&waits, flags, until.as_ref(), ClockId::Monotonic) {
            Err(Errno::INTR) => continue,
            Err(Errno::TIMEDOUT) => Ok(Wake::TimedOut),
            // PERM: what some sandboxes say to a call that they do not know.
            Err(Errno::NOSYS | Errno::PERM) => Err(io::ErrorKind::Unsupported.into()),
            Ok(_) | Err(Errno::AGAIN) => Ok(Wake::Woken),
            Err(error) => Err(error.into()),
        };
    }
}

pub(crate) fn futex_wake(word: &AtomicU32, count: u32) -> usize {
    // Fails only for an address that is not mapped, and a reference is.
    futex::wake(word, futex::Flags::empty(), count).unwrap_or(0)
}

/// The moment as the kernel wants it. `Instant` is the same clock but hides its value.
fn absolute(deadline: Instant) -> Result<Timespec, Wake> {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let left = deadline.checked_duration_since(Instant::now()).filter(|left| *left > Duration::ZERO);
    let left = left.and_then(|left| Timespec::try_from(left).ok()).ok_or(Wake::TimedOut)?;
    Ok(now.checked_add(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }))
}

pub(crate) fn monotonic() -> Duration {
    since_boot(ClockId::Monotonic)
}

pub(crate) fn monotonic_coarse() -> Duration {
    since_boot(ClockId::MonotonicCoarse)
}

fn since_boot(clock: ClockId) -> Duration {
    let now = rustix::time::clock_gettime(clock);
    // It counts up from 0.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}
