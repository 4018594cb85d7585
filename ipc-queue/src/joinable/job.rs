//! An item in the hands of somebody who is to do something with it.

use std::fmt;
use std::ops::{Deref, DerefMut};

use ipc_core::{Cause, Error, Result};

use crate::joinable::core::Core;
use crate::joinable::records::{Fate, Lease};

/// An item that somebody got from a [`JoinableQueue`](crate::JoinableQueue), to be marked [done](Job::done).
///
/// Dropped undone, by a panic for one, or with its process, it is handed out again. It can go to another thread, but not
/// to another process: what a forked child has is a copy that means nothing.
///
/// ```compile_fail,E0277
/// fn send(job: ipc_queue::Job<u64>) -> impl serde::Serialize {
///     job
/// }
/// ```
#[must_use = "dropped undone, it is handed out again"]
pub struct Job<T> {
    value: T,
    receipt: Receipt,
}

impl<T> Job<T> {
    pub(crate) fn new(value: T, receipt: Receipt) -> Job<T> {
        Job { value, receipt }
    }

    /// Marks it done: it is never handed out again.
    ///
    /// ```
    /// let queue = ipc_queue::JoinableQueue::unbounded()?;
    /// queue.put(7)?;
    /// let job = queue.get()?;
    /// job.done()?;
    /// assert_eq!(queue.unfinished(), 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// That can be said once only:
    ///
    /// ```compile_fail,E0382
    /// let queue = ipc_queue::JoinableQueue::<u64>::unbounded().unwrap();
    /// let job = queue.get().unwrap();
    /// job.done();
    /// job.done();
    /// ```
    ///
    /// # Errors
    /// It is not done: this process is a forked child of the one that got it, or the queue's memory is damaged.
    #[doc(alias = "task_done")]
    pub fn done(self) -> Result<()> {
        self.receipt.done()
    }

    /// How often it was handed out, this time included.
    pub fn deliveries(&self) -> u32 {
        self.receipt.deliveries()
    }

    /// The value, and what is needed to mark it done later.
    pub fn into_parts(self) -> (T, Receipt) {
        (self.value, self.receipt)
    }

    /// The value.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for Job<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Job<T> {
    /// What is changed here is changed for this process only: handed out again, it is what was put.
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Job<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("value", &self.value).field("deliveries", &self.deliveries()).finish()
    }
}

/// A [`Job`] whose value was taken out. As for that, it is handed out again if this is dropped before it is
/// [done](Receipt::done).
///
/// ```
/// let queue = ipc_queue::JoinableQueue::unbounded()?;
/// queue.put("bun".to_string())?;
/// let (dish, receipt) = queue.get()?.into_parts();
/// let eaten: String = dish;
/// receipt.done()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropped, the job is handed out again"]
pub struct Receipt {
    core: Core,
    lease: Lease,
    has_ended: bool,
}

impl Receipt {
    pub(crate) fn new(core: Core, lease: Lease) -> Receipt {
        Receipt { core, lease, has_ended: false }
    }

    /// Marks the job done.
    ///
    /// # Errors
    /// As [`Job::done`].
    #[doc(alias = "task_done")]
    pub fn done(self) -> Result<()> {
        self.end(Fate::Done)
    }

    /// How often the job was handed out, this time included.
    pub fn deliveries(&self) -> u32 {
        self.lease.deliveries
    }

    pub(crate) fn end(mut self, fate: Fate) -> Result<()> {
        if !self.is_own() {
            let (found, expected) = ("a forked child".to_owned(), "the one that got the job".to_owned());
            let cause = Cause::Mismatch { property: "process", found, expected };
            return Err(Error::new("finish a job of", self.core.segment().label(), cause));
        }
        self.has_ended = true;
        self.core.finish(&self.lease, fate)
    }

    /// Whether this is the process that got it.
    fn is_own(&self) -> bool {
        self.core.me() == self.lease.holder
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        if !self.has_ended && self.is_own() {
            // If that fails, the memory is damaged, and nobody can have the job.
            let _ = self.core.finish(&self.lease, Fate::Returned);
        }
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt").field("deliveries", &self.deliveries()).finish_non_exhaustive()
    }
}
