//! Many readers or one writer.
//!
//! A reader counts itself in its process's cell, then looks whether there is a writer; a writer takes the lock, then
//! looks whether there are readers. The two steps of each are sequentially consistent (a writer's by a fence between
//! them), so that not both can miss the other. A
//! reader that finds a writer takes its count back and waits for the writer's lock, as a writer would, only to count
//! itself while no writer can be there. A writer that finds readers waits until their cells are 0 or their processes
//! dead.
#![allow(unsafe_code)]

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::time::{Duration, Instant};

use ipc_core::Participant;

use crate::error::{LockResult, LockTimeoutError, OwnerDied, TryLockError, forever};
use crate::layout;
use crate::lock::TimedOut;
use crate::object::{Object, handle};
use crate::party::Party;
use crate::report::{self, Holder};
use crate::shareable::Shareable;
use crate::sync::{self, Ordering, fence};
use crate::wait::{Lookout, Slept};

/// A lock between processes that many may hold for reading, or one for writing, around a `T` in shared memory.
///
/// A waiting writer keeps new readers out. So a thread that holds it for reading must not ask for it again: if a writer
/// waits in between, both wait for ever.
///
/// **If a reader dies**, its locks are gone: a writer that waits goes on within 100 ms, as a rule in less than 5. **If a writer dies**, the next to
/// lock gets the lock, those who wait as soon, and everybody is told by [`OwnerDied`] until a writer has released
/// the lock: it was told as well, and had the means to repair the data.
///
/// ```
/// let lock = ipc_lock::RwLock::new([0_u8; 16])?;
/// lock.write().unwrap()[3] = 7;
/// let (one, two) = (lock.read().unwrap(), lock.read().unwrap());
/// assert_eq!(one[3], two[3]);
/// # Ok::<(), ipc_core::Error>(())
/// ```
pub struct RwLock<T> {
    object: Object<layout::RwLock, T>,
}

/// The lock is held for reading until this is dropped.
///
/// ```compile_fail
/// let lock = ipc_lock::RwLock::new(())?;
/// let guard = lock.read().unwrap();
/// std::thread::scope(|scope| scope.spawn(|| drop(guard))); // another thread cannot unlock
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockReadGuard<'a, T: Shareable> {
    lock: &'a RwLock<T>,
    me: u32,
    thread: PhantomData<*const ()>,
}

/// The lock is held for writing until this is dropped.
///
/// ```compile_fail
/// let lock = ipc_lock::RwLock::new(())?;
/// let guard = lock.write().unwrap();
/// std::thread::scope(|scope| scope.spawn(|| drop(guard))); // another thread cannot unlock
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[must_use = "the lock is released when the guard is dropped"]
pub struct RwLockWriteGuard<'a, T: Shareable> {
    lock: &'a RwLock<T>,
    me: u32,
    thread: PhantomData<*const ()>,
}

handle!(RwLock<T>, layout::RwLock, "rwlock");

/// How long to wait for a lock.
#[derive(Clone, Copy)]
enum Wait {
    Not,
    Until(Option<Instant>),
}

/// Whether a dead writer may have torn the data.
type Torn = bool;

impl layout::RwLock {
    fn read<P: Party>(&self, party: &P, me: u32, wait: Wait) -> Result<Torn, TimedOut> {
        self.readers.raise(me);
        if self.has_writer() {
            self.leave(me);
            self.lock_writer(party, me, wait)?;
            self.readers.raise(me);
            self.writer.unlock();
        }
        // There is no writer, so whoever set this is dead. The load also orders what comes after it behind the release
        // by the last writer.
        Ok(self.writing.load(Ordering::Acquire) != 0)
    }

    /// Asked after the own cell was changed.
    fn has_writer(&self) -> bool {
        // Loom knows fences, but takes sequentially consistent accesses for less than they are.
        #[cfg(loom)]
        fence(Ordering::SeqCst);
        self.writer.word.load(Ordering::SeqCst) != 0
    }

    /// Takes one reader of this process off.
    fn leave(&self, me: u32) {
        self.readers.lower(me);
        if self.has_writer() {
            self.left.fetch_add(1, Ordering::Relaxed);
            sync::wake_all(&self.left);
        }
    }

    fn lock_writer<P: Party>(&self, party: &P, me: u32, wait: Wait) -> Result<(), TimedOut> {
        // How it was got does not matter: `writing` tells more.
        match wait {
            Wait::Not => self.writer.try_lock(party, me).map(drop).ok_or(TimedOut),
            Wait::Until(deadline) => self.writer.lock_until(party, me, deadline).map(drop),
        }
    }

    fn write<P: Party>(&self, party: &P, me: u32, wait: Wait) -> Result<Torn, TimedOut> {
        self.lock_writer(party, me, wait)?;
        if self.wait_for_readers(party, wait).is_err() {
            self.writer.unlock();
            return Err(TimedOut);
        }
        let torn = self.writing.load(Ordering::Relaxed) != 0;
        self.writing.store(1, Ordering::Relaxed);
        Ok(torn)
    }

    /// Within the writer's lock.
    fn wait_for_readers<P: Party>(&self, party: &P, wait: Wait) -> Result<(), TimedOut> {
        let mut lookout = match wait {
            Wait::Not => None,
            Wait::Until(deadline) => Some(Lookout::new(deadline)),
        };
        loop {
            let before = self.left.load(Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let readers = || self.readers.all().map(|(id, _)| id).collect::<Vec<u32>>();
            if readers().is_empty() {
                // What the readers did before they left is before what the writer does now.
                fence(Ordering::Acquire);
                return Ok(());
            }
            let (slept, dead) = match &mut lookout {
                Some(lookout) => lookout.sleep(party, &self.left, before, readers),
                None => (Slept::TimedOut, readers().into_iter().filter(|&id| party.is_dead(id)).collect()),
            };
            for &id in &dead {
                self.readers.clear(id);
            }
            // With one dead there may be no other.
            if slept == Slept::TimedOut && dead.is_empty() {
                return Err(TimedOut);
            }
        }
    }

    fn unlock_writer(&self) {
        self.writing.store(0, Ordering::Release);
        self.writer.unlock();
    }
}

impl<T: Shareable> RwLock<T> {
    fn from_object(object: Object<layout::RwLock, T>) -> RwLock<T> {
        RwLock { object }
    }

    /// Waits for the lock, to read.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard inside: a writer died.
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        forever(|| self.read_until(None))
    }

    /// The lock, to read, if no living process has it to write or waits for that. To find that one does takes some
    /// microseconds.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`], or [`OwnerDied`] with the guard inside.
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError<RwLockReadGuard<'_, T>>> {
        self.read_inner(Wait::Not).map_err(at_once)
    }

    /// Waits for the lock, to read, at most that long.
    ///
    /// # Errors
    /// [`LockTimeoutError::Timeout`], or [`OwnerDied`] with the guard inside.
    #[doc(alias = "read")]
    pub fn read_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RwLockReadGuard<'_, T>, LockTimeoutError<RwLockReadGuard<'_, T>>> {
        self.read_until(ipc_core::deadline(timeout))
    }

    /// Waits for the lock, to read, at most until then.
    ///
    /// # Errors
    /// As [`read_timeout`](RwLock::read_timeout).
    #[doc(alias = "read")]
    pub fn read_deadline(
        &self,
        deadline: Instant,
    ) -> Result<RwLockReadGuard<'_, T>, LockTimeoutError<RwLockReadGuard<'_, T>>> {
        self.read_until(Some(deadline))
    }

    fn read_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<RwLockReadGuard<'_, T>, LockTimeoutError<RwLockReadGuard<'_, T>>> {
        self.read_inner(Wait::Until(deadline))
    }

    fn read_inner(
        &self,
        wait: Wait,
    ) -> Result<RwLockReadGuard<'_, T>, LockTimeoutError<RwLockReadGuard<'_, T>>> {
        let (segment, me) = self.object.identity();
        let torn = self.object.read(segment, me, wait);
        told(torn, || RwLockReadGuard { lock: self, me, thread: PhantomData })
    }

    /// Waits for the lock, to write.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard inside: another writer died.
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        forever(|| self.write_until(None))
    }

    /// The lock, to write, if no living process has it. To find that one does takes some microseconds.
    ///
    /// # Errors
    /// [`TryLockError::WouldBlock`], or [`OwnerDied`] with the guard inside.
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError<RwLockWriteGuard<'_, T>>> {
        self.write_inner(Wait::Not).map_err(at_once)
    }

    /// Waits for the lock, to write, at most that long.
    ///
    /// # Errors
    /// [`LockTimeoutError::Timeout`], or [`OwnerDied`] with the guard inside.
    #[doc(alias = "write")]
    pub fn write_timeout(
        &self,
        timeout: Duration,
    ) -> Result<RwLockWriteGuard<'_, T>, LockTimeoutError<RwLockWriteGuard<'_, T>>> {
        self.write_until(ipc_core::deadline(timeout))
    }

    /// Waits for the lock, to write, at most until then.
    ///
    /// # Errors
    /// As [`write_timeout`](RwLock::write_timeout).
    #[doc(alias = "write")]
    pub fn write_deadline(
        &self,
        deadline: Instant,
    ) -> Result<RwLockWriteGuard<'_, T>, LockTimeoutError<RwLockWriteGuard<'_, T>>> {
        self.write_until(Some(deadline))
    }

    fn write_until(
        &self,
        deadline: Option<Instant>,
    ) -> Result<RwLockWriteGuard<'_, T>, LockTimeoutError<RwLockWriteGuard<'_, T>>> {
        self.write_inner(Wait::Until(deadline))
    }

    fn write_inner(
        &self,
        wait: Wait,
    ) -> Result<RwLockWriteGuard<'_, T>, LockTimeoutError<RwLockWriteGuard<'_, T>>> {
        let (segment, me) = self.object.identity();
        let torn = self.object.write(segment, me, wait);
        told(torn, || RwLockWriteGuard { lock: self, me, thread: PhantomData })
    }

    /// Who has the lock to write, or waits for the readers to leave; `None` if nobody does.
    pub fn writer(&self) -> Option<Holder> {
        report::holder(self.segment(), &self.object.writer)
    }

    /// Who has the lock to read, and how many times.
    pub fn readers(&self) -> Vec<(Participant, u32)> {
        report::counts(self.segment(), &self.object.readers)
    }

    /// The processes that wait for a writer to leave, one entry for each waiting thread; the first 14.
    pub fn waiters(&self) -> Vec<Participant> {
        report::waiters(self.segment(), &self.object.writer.waiters)
    }
}

fn told<G>(torn: Result<Torn, TimedOut>, guard: impl FnOnce() -> G) -> Result<G, LockTimeoutError<G>> {
    match torn {
        Ok(false) => Ok(guard()),
        Ok(true) => Err(LockTimeoutError::OwnerDied(OwnerDied::new(guard()))),
        Err(TimedOut) => Err(LockTimeoutError::Timeout),
    }
}

fn at_once<G>(error: LockTimeoutError<G>) -> TryLockError<G> {
    match error {
        LockTimeoutError::OwnerDied(died) => TryLockError::OwnerDied(died),
        LockTimeoutError::Timeout => TryLockError::WouldBlock,
    }
}

impl<T: Shareable> Drop for RwLockReadGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.object.identity().1 == self.me {
            self.lock.object.leave(self.me);
        }
    }
}

impl<T: Shareable> Drop for RwLockWriteGuard<'_, T> {
    fn drop(&mut self) {
        if self.lock.object.identity().1 == self.me {
            self.lock.object.unlock_writer();
        }
    }
}

impl<T: Shareable> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: while it is held for reading nobody who keeps to the lock writes; whatever bytes one who does not may
        // write are a value of a Shareable. Mapped and aligned: see Object.
        unsafe { &*self.lock.object.data() }
    }
}

impl<T: Shareable> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held for writing, so that nobody else who keeps to it has access; as for reading.
        unsafe { &*self.lock.object.data() }
    }
}

impl<T: Shareable> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`, and `self` is borrowed exclusively.
        unsafe { &mut *self.lock.object.data() }
    }
}

impl<T: Shareable> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (writer, readers) = (self.writer(), self.readers());
        f.debug_struct("RwLock").field("writer", &writer).field("readers", &readers).finish_non_exhaustive()
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(all(test, loom))]
#[path = "models/rwlock.rs"]
mod loom_models;
