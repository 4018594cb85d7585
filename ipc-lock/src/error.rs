//! What a lock can say besides yes.

use std::error::Error;
use std::fmt;

/// The previous owner died while it held the lock. **The lock is held now**, and the guard is inside.
///
/// Shaped like [`std::sync::PoisonError`]: whoever gets this decides whether the data is sound, repairs it, and goes
/// on with [`into_inner`](OwnerDied::into_inner). The next to lock is not told again, unless this one dies as well.
///
/// ```
/// use ipc_lock::{Mutex, OwnerDied};
/// let mutex = Mutex::new(())?;
/// // Data that cannot be torn needs no repair:
/// let guard = mutex.lock().unwrap_or_else(OwnerDied::into_inner);
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[must_use = "the lock is held, and released when this is dropped"]
pub struct OwnerDied<G>(G);

impl<G> OwnerDied<G> {
    pub(crate) fn new(guard: G) -> OwnerDied<G> {
        OwnerDied(guard)
    }

    /// The guard.
    pub fn into_inner(self) -> G {
        self.0
    }

    /// The guard, to look at the data.
    pub fn get_ref(&self) -> &G {
        &self.0
    }

    /// The guard, to repair the data.
    pub fn get_mut(&mut self) -> &mut G {
        &mut self.0
    }
}

/// The result of a lock that waits: a guard either way, and whether the previous owner died with the lock.
pub type LockResult<G> = Result<G, OwnerDied<G>>;

/// An error returned from `try_lock`, `try_read` and `try_write`.
#[must_use = "it may hold the lock"]
pub enum TryLockError<G> {
    /// The previous owner died; the lock is held, the guard inside.
    OwnerDied(OwnerDied<G>),
    /// A living process holds the lock.
    WouldBlock,
}

/// An error returned from the locks with a timeout or a deadline.
#[doc(alias = "TimeoutError")]
#[must_use = "it may hold the lock"]
pub enum LockTimeoutError<G> {
    /// The previous owner died; the lock is held, the guard inside.
    OwnerDied(OwnerDied<G>),
    /// A living process held the lock all the time.
    Timeout,
}

/// An error returned from a wait with a timeout or a deadline: it passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "TimeoutError")]
pub struct Timeout;

/// An error returned from [`Semaphore::try_acquire`](crate::Semaphore::try_acquire): all permits are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WouldBlock;

/// An error returned from [`Semaphore::release`](crate::Semaphore::release): there would be more permits than the
/// bound allows. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "ValueError")]
pub struct OverRelease;

/// An error returned from the waits of a [`Barrier`](crate::Barrier).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[doc(alias = "BrokenBarrierError")]
pub enum BarrierError {
    /// A party died, timed out or gave up, or the barrier was reset while this one waited. It stays broken until
    /// it is [reset](crate::Barrier::reset).
    Broken,
    /// Not all arrived in time. The barrier is broken for the others, too.
    Timeout,
}

const DIED: &str = "the previous owner died with the lock, which is held now: `into_inner` gives the guard";

macro_rules! error {
    ($name:ident $(<$guard:ident>)?, $self:ident => $text:expr) => {
        impl$(<$guard>)? fmt::Display for $name$(<$guard>)? {
            fn fmt(&$self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($text)
            }
        }

        impl$(<$guard>)? Error for $name$(<$guard>)? {}
    };
}

error!(OwnerDied<G>, self => DIED);
error!(TryLockError<G>, self => match self {
    TryLockError::OwnerDied(_) => DIED,
    TryLockError::WouldBlock => "the lock is held by a living process",
});
error!(LockTimeoutError<G>, self => match self {
    LockTimeoutError::OwnerDied(_) => DIED,
    LockTimeoutError::Timeout => "the lock was not to be had in time: a living process holds it",
});
error!(Timeout, self => "nothing came before the deadline");
error!(WouldBlock, self => "all permits are held");
error!(OverRelease, self => "the semaphore would have more permits than its bound");
error!(BarrierError, self => match self {
    BarrierError::Broken => "the barrier is broken",
    BarrierError::Timeout => "not all parties arrived in time",
});

// By hand, so that they do not ask anything of G.
impl<G> fmt::Debug for OwnerDied<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerDied(..)")
    }
}

impl<G> fmt::Debug for TryLockError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryLockError::OwnerDied(_) => "OwnerDied(..)",
            TryLockError::WouldBlock => "WouldBlock",
        })
    }
}

impl<G> fmt::Debug for LockTimeoutError<G> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LockTimeoutError::OwnerDied(_) => "OwnerDied(..)",
            LockTimeoutError::Timeout => "Timeout",
        })
    }
}

/// A lock that waits without a deadline: should it time out all the same, it waits again.
pub(crate) fn forever<G>(lock: impl Fn() -> Result<G, LockTimeoutError<G>>) -> LockResult<G> {
    loop {
        match lock() {
            Ok(guard) => return Ok(guard),
            Err(LockTimeoutError::OwnerDied(died)) => return Err(died),
            Err(LockTimeoutError::Timeout) => {}
        }
    }
}
