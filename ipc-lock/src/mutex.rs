//! Mutual exclusion around data.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use ipc_core::{Identity, Participant};

use crate::error::{LockResult, LockTimeoutError, OwnerDied, TryLockError};
use crate::layout;
use crate::lock::{Acquired, TimedOut};
use crate::object::{Object, handle};
use crate::party;
use crate::report::{self, Holder};
use crate::shareable::Shareable;

/// A lock between processes, around a `T` in shared memory.
///
/// `Mutex<()>` is the plain lock. A clone, or what another process makes of a serialised handle, is a handle to the
/// same mutex. Threads of one process exclude each other as well.
///
/// **If the owner dies**, by SIGKILL or by any other end of its process, the next to lock gets the lock, those who wait
/// within 100 ms, as a rule in less than 5, and is told by [`OwnerDied`]. The mutex never becomes unusable.
///
/// A thread that panics releases the lock, and the next one is not told. Locking twice in one thread waits for ever:
/// see [`ReentrantMutex`](crate::ReentrantMutex).
///
/// ```
/// use ipc_lock::{Mutex, OwnerDied};
///
/// let mutex = Mutex::new(5_u64)?;
/// *mutex.lock().unwrap() += 1;
/// let value = match mutex.lock() {
///     Ok(guard) => *guard,
///     // Decide whether the data is sound, here by making it so.
///     Err(died) => {
///         let mut guard = died.into_inner();
///         *guard = 0;
///         0
///     }
/// };
/// assert_eq!(value, 6);
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[doc(alias = "Lock")]
pub struct Mutex<T> {
    object: Object<layout::Mutex, T>,
}

/// The lock is held until this is dropped, which only the thread that locked it can do.
///
/// Leaked with [`std::mem::forget`] it stays held until the process ends, or drops its last handle.
///
/// ```compile_fail
/// let mutex = ipc_lock::Mutex::new(())?;
/// let guard = mutex.lock().unwrap();
/// std::thread::scope(|scope| scope.spawn(|| drop(guard))); // another thread cannot unlock
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[doc(alias = "release")]
#[must_use = "the lock is released when the guard is dropped"]
pub struct MutexGuard<'a, T: Shareable> {
    mutex: &'a Mutex<T>,
    /// What the guard needs of the mutex, in reach: a load less is felt at every unlock.
    lock: &'a layout::RawLock,
    /// Who locked it: a forked child has a copy of the guard, but not the lock.
    me: Identity<'a>,
    /// Not for other threads.
    thread: PhantomData<*const ()>,
}

handle!(Mutex<T>, layout::Mutex, "mutex");

impl<T: Shareable> Mutex<T> {
    fn from_object(object: Object<layout::Mutex, T>) -> Mutex<T> {
        Mutex { object }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard inside.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        let me = party::identity(self.segment());
        match self.object.lock.lock(self.segment(), me.id().word()) {
            Acquired::Clean => Ok(self.guard(me)),
            Acquired::OwnerDied => Err(OwnerDied::new(self.guard(me))),
        }
    }

    /// The lock, if no living process holds it. To find that one does takes some microseconds, since it is asked whether
    /// the owner lives; the lock itself, if it is free, takes a few nanoseconds.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`], or [`OwnerDied`] with the guard inside.
    #[inline]
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError<MutexGuard<'_, T>>> {
        let me = party::identity(self.segment());
        match self.object.lock.try_lock(self.segment(), me.id().word()) {
            Some(Acquired::Clean) => Ok(self.guard(me)),
            Some(Acquired::OwnerDied) => Err(TryLockError::OwnerDied(OwnerDied::new(self.guard(me)))),
            None => Err(TryLockError::WouldBlock),
        }
    }

    /// Waits for the lock, at most that long.
    ///
    /// # Errors
    /// [`LockTimeoutError::Timeout`], or [`OwnerDied`] with the guard inside.
    #[doc(alias = "acquire")]
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<MutexGuard<'_, T>, LockTimeoutError<MutexGuard<'_, T>>> {
        self.lock_until(ipc_core::deadline(timeout))
    }

    /// Waits for the lock, at most until then. One that has passed already gets the lock if it is free.
    ///
    /// # Errors
    /// As [`lock_timeout`](Mutex::lock_timeout).
    #[doc(alias = "acquire")]
    pub fn lock_deadline(
        &self,
        deadline: Instant,
    ) -> Result<MutexGuard<'_, T>, LockTimeoutError<MutexGuard<'_, T>>> {
        self.lock_until(Some(deadline))
    }

    fn lock_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<MutexGuard<'_, T>, LockTimeoutError<MutexGuard<'_, T>>> {
        let me = party::identity(self.segment());
        match self.object.lock.lock_until(self.segment(), me.id().word(), deadline) {
            Ok(Acquired::Clean) => Ok(self.guard(me)),
            Ok(Acquired::OwnerDied) => Err(LockTimeoutError::OwnerDied(OwnerDied::new(self.guard(me)))),
            Err(TimedOut) => Err(LockTimeoutError::Timeout),
        }
    }

    #[inline]
    fn guard<'a>(&'a self, me: Identity<'a>) -> MutexGuard<'a, T> {
        MutexGuard { mutex: self, lock: &self.object.lock, me, thread: PhantomData }
    }

    /// Who holds the lock, dead or alive; `None` if it is free.
    #[doc(alias = "locked")]
    pub fn holder(&self) -> Option<Holder> {
        report::holder(self.segment(), &self.object.lock)
    }

    /// The processes that wait for the lock, one entry for each waiting thread; the first 14.
    pub fn waiters(&self) -> Vec<Participant> {
        report::waiters(self.segment(), &self.object.lock.waiters)
    }
}

impl<T: Shareable> MutexGuard<'_, T> {
    /// Releases the lock, runs `f`, and waits for it again.
    pub(crate) fn unlocked<R>(&mut self, f: impl FnOnce() -> R) -> (R, Acquired) {
        self.unlock();
        let result = f();
        self.me = party::identity(self.mutex.segment());
        (result, self.lock.lock(self.mutex.segment(), self.me.id().word()))
    }

    #[inline]
    fn unlock(&self) {
        if self.me.is_current() {
            self.lock.unlock();
        }
    }
}

impl<T: Shareable> Drop for MutexGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.unlock();
    }
}

impl<T: Shareable> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held, so that no one else who keeps to it has access; whatever bytes one who does not
        // may write are a value of a Shareable. Mapped and aligned: see Object.
        unsafe { &*self.mutex.object.data() }
    }
}

impl<T: Shareable> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`, and `self` is borrowed exclusively.
        unsafe { &mut *self.mutex.object.data() }
    }
}

impl<T: Shareable> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mutex").field("holder", &self.holder()).finish_non_exhaustive()
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
