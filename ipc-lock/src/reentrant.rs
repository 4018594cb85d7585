//! A mutex that its owner's thread may lock again.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipc_core::Participant;

use crate::error::{LockResult, LockTimeoutError, OwnerDied, TryLockError, forever};
use crate::layout;
use crate::lock::{Acquired, TimedOut};
use crate::object::{Object, handle};
use crate::report::{self, Holder};
use crate::shareable::Shareable;

/// A [`Mutex`](crate::Mutex) that the thread which holds it may lock again, any number of times.
///
/// It is released when every guard of that thread is gone. Since there may be several guards at once they give no
/// `&mut T`, but a [`Cell`], which can be read and set.
///
/// **If the owner dies**, all its locks on it are gone at once, and the next to lock is told by [`OwnerDied`], as for
/// a `Mutex`. A thread that locks again is not told again.
///
/// ```
/// let mutex = ipc_lock::ReentrantMutex::new(1_u32)?;
/// let outer = mutex.lock().unwrap();
/// let inner = mutex.lock().unwrap();
/// inner.set(inner.get() + 1);
/// assert_eq!(outer.get(), 2);
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[doc(alias = "RLock")]
pub struct ReentrantMutex<T> {
    object: Object<layout::ReentrantMutex, T>,
}

/// One of the locks that a thread has on a [`ReentrantMutex`]; undone when this is dropped.
///
/// ```compile_fail
/// let mutex = ipc_lock::ReentrantMutex::new(())?;
/// let guard = mutex.lock().unwrap();
/// std::thread::scope(|scope| scope.spawn(|| drop(guard))); // another thread cannot unlock
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[doc(alias = "release")]
#[must_use = "the lock is released when the guard is dropped"]
pub struct ReentrantMutexGuard<'a, T: Shareable> {
    mutex: &'a ReentrantMutex<T>,
    /// Who locked it: a forked child has a copy of the guard, but not the lock.
    me: u32,
    /// Not for other threads.
    thread: PhantomData<*const ()>,
}

handle!(ReentrantMutex<T>, layout::ReentrantMutex, "reentrant-mutex");

/// This thread of the process `me`: a word that no other thread of any process has, and that a dead one did not have.
fn this_thread(me: u32) -> u64 {
    static LAST: AtomicU32 = AtomicU32::new(0);
    thread_local! {
        static NUMBER: Cell<u32> = const { Cell::new(0) };
    }
    let number = match NUMBER.get() {
        0 => LAST.fetch_add(1, Ordering::Relaxed).wrapping_add(1),
        number => number,
    };
    NUMBER.set(number);
    u64::from(me) << 32 | u64::from(number)
}

impl<T: Shareable> ReentrantMutex<T> {
    fn from_object(object: Object<layout::ReentrantMutex, T>) -> ReentrantMutex<T> {
        ReentrantMutex { object }
    }

    /// Waits for the lock, unless this thread has it.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard inside.
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> LockResult<ReentrantMutexGuard<'_, T>> {
        forever(|| self.lock_until(None))
    }

    /// The lock, if this thread has it or no living process holds it. To find that one does takes some microseconds.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`], or [`OwnerDied`] with the guard inside.
    #[doc(alias = "acquire")]
    pub fn try_lock(&self) -> Result<ReentrantMutexGuard<'_, T>, TryLockError<ReentrantMutexGuard<'_, T>>> {
        let (segment, me) = self.object.identity();
        if self.lock_again(me) {
            return Ok(self.guard(me));
        }
        match self.object.lock.try_lock(segment, me).map(|acquired| self.first(me, acquired)) {
            Some(result) => result.map_err(TryLockError::OwnerDied),
            None => Err(TryLockError::WouldBlock),
        }
    }

    /// Waits for the lock, at most that long, unless this thread has it.
    ///
    /// # Errors
    /// [`LockTimeoutError::Timeout`], or [`OwnerDied`] with the guard inside.
    #[doc(alias = "acquire")]
    pub fn lock_timeout(
        &self,
        timeout: Duration,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockTimeoutError<ReentrantMutexGuard<'_, T>>> {
        self.lock_until(ipc_core::deadline(timeout))
    }

    /// Waits for the lock, at most until then, unless this thread has it.
    ///
    /// # Errors
    /// As [`lock_timeout`](ReentrantMutex::lock_timeout).
    #[doc(alias = "acquire")]
    pub fn lock_deadline(
        &self,
        deadline: Instant,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockTimeoutError<ReentrantMutexGuard<'_, T>>> {
        self.lock_until(Some(deadline))
    }

    fn lock_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<ReentrantMutexGuard<'_, T>, LockTimeoutError<ReentrantMutexGuard<'_, T>>> {
        let (segment, me) = self.object.identity();
        if self.lock_again(me) {
            return Ok(self.guard(me));
        }
        match self.object.lock.lock_until(segment, me, deadline) {
            Ok(acquired) => self.first(me, acquired).map_err(LockTimeoutError::OwnerDied),
            Err(TimedOut) => Err(LockTimeoutError::Timeout),
        }
    }

    /// Counts one lock more, if this thread is the owner: only then can both comparisons hold, since nobody else
    /// writes this process's identity or this thread's number.
    fn lock_again(&self, me: u32) -> bool {
        let layout = &*self.object;
        let mine =
            layout.lock.owner() == Some(me) && layout.thread.load(Ordering::Relaxed) == this_thread(me);
        if mine {
            layout.count.store(layout.count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
        mine
    }

    /// Begins to count, whatever a dead owner left.
    fn first(&self, me: u32, acquired: Acquired) -> LockResult<ReentrantMutexGuard<'_, T>> {
        self.object.count.store(1, Ordering::Relaxed);
        self.object.thread.store(this_thread(me), Ordering::Relaxed);
        match acquired {
            Acquired::Clean => Ok(self.guard(me)),
            Acquired::OwnerDied => Err(OwnerDied::new(self.guard(me))),
        }
    }

    fn guard(&self, me: u32) -> ReentrantMutexGuard<'_, T> {
        ReentrantMutexGuard { mutex: self, me, thread: PhantomData }
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

impl<T: Shareable> Drop for ReentrantMutexGuard<'_, T> {
    fn drop(&mut self) {
        let layout = &*self.mutex.object;
        if self.mutex.object.identity().1 != self.me {
            return;
        }
        let count = layout.count.load(Ordering::Relaxed);
        layout.count.store(count.saturating_sub(1), Ordering::Relaxed);
        if count <= 1 {
            layout.thread.store(0, Ordering::Relaxed);
            layout.lock.unlock();
        }
    }
}

impl<T: Shareable> Deref for ReentrantMutexGuard<'_, T> {
    type Target = Cell<T>;

    fn deref(&self) -> &Cell<T> {
        // SAFETY: this thread holds the lock, and a guard cannot leave it, so that all `&Cell` to the data are in one
        // thread; a Cell has the layout of what is in it. Mapped, aligned, and valid whatever its bytes: see Object.
        unsafe { &*self.mutex.object.data().cast::<Cell<T>>() }
    }
}

impl<T: Shareable> fmt::Debug for ReentrantMutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReentrantMutex").field("holder", &self.holder()).finish_non_exhaustive()
    }
}

impl<T: Shareable + Copy + fmt::Debug> fmt::Debug for ReentrantMutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}
