//! The result of a task, which may not be there yet.

use std::fmt;
use std::future::Future;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use ipc_core::codec;
use serde::de::DeserializeOwned;

use crate::desk::{Desk, when_delivered};
use crate::entry::caught;
use crate::error::TaskError;
use crate::outcomes::Outcomes;
use crate::task::{CallInfo, Sink};
use crate::wait::wait_until;

type Called<T> = Box<dyn FnOnce(&T) + Send>;

/// What is called with a result or an error when it is there.
pub(crate) struct Callback<R> {
    pub(crate) result: Option<Called<R>>,
    pub(crate) error: Option<Called<TaskError>>,
    /// Its map tells of progress, and all of that comes before.
    pub(crate) follows_progress: bool,
}

impl<R> Callback<R> {
    pub(crate) const NONE: Callback<R> = Callback { result: None, error: None, follows_progress: false };

    pub(crate) fn is_none(&self) -> bool {
        self.result.is_none() && self.error.is_none() && !self.follows_progress
    }

    /// Calls it; its panic is what becomes of the result.
    fn call(self, result: Result<R, TaskError>) -> Result<R, TaskError> {
        let called = caught(
            || {
                match (&result, self) {
                    (Ok(value), Callback { result: Some(callback), .. }) => callback(value),
                    (Err(error), Callback { error: Some(callback), .. }) => callback(error),
                    _ => {}
                }
                Ok::<_, String>(())
            },
            "called",
        );
        match called {
            Ok(()) => result,
            Err(why) => {
                // The value's drop is the program's code, too.
                let _ = catch_unwind(AssertUnwindSafe(|| drop(result)));
                Err(TaskError::Callback(why))
            }
        }
    }
}

/// Where a result is put, and found.
pub(crate) struct Slot<R> {
    inner: Mutex<Inner<R>>,
    ready: Condvar,
    cancelled: AtomicBool,
}

struct Inner<R> {
    stage: Stage<R>,
    callback: Callback<R>,
    waker: Option<Waker>,
    /// Threads that wait.
    waiting: u32,
}

enum Stage<R> {
    Pending,
    /// The callback has it.
    Called,
    Ready(Result<R, TaskError>),
    Taken {
        successful: bool,
    },
}

impl<R: Send + 'static> Slot<R> {
    pub(crate) fn new(callback: Callback<R>) -> Arc<Slot<R>> {
        let inner = Inner { stage: Stage::Pending, callback, waker: None, waiting: 0 };
        Arc::new(Slot { inner: Mutex::new(inner), ready: Condvar::new(), cancelled: AtomicBool::new(false) })
    }

    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// Here is the result, unless there is one already.
    pub(crate) fn complete(self: Arc<Self>, desk: &Desk, result: Result<R, TaskError>) {
        let mut inner = self.lock();
        if !matches!(inner.stage, Stage::Pending) {
            drop(inner);
            return;
        }
        if inner.callback.is_none() {
            return self.set(inner, result);
        }
        let callback = mem::replace(&mut inner.callback, Callback::NONE);
        inner.stage = Stage::Called;
        drop(inner);
        desk.callbacks.run(Box::new(move || {
            let result = callback.call(result);
            self.set(self.lock(), result);
        }));
    }

    fn set(self: &Arc<Self>, mut inner: MutexGuard<'_, Inner<R>>, result: Result<R, TaskError>) {
        inner.stage = Stage::Ready(result);
        let waker = inner.waker.take();
        let waiting = inner.waiting;
        drop(inner);
        if waiting > 0 {
            let slot = Arc::clone(self);
            when_delivered(move || slot.ready.notify_all());
        }
        if let Some(waker) = waker {
            // An executor's code.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
    }

    /// Waits until it is there; false at the deadline.
    fn wait_until(&self, deadline: Option<Instant>) -> (MutexGuard<'_, Inner<R>>, bool) {
        let mut inner = self.lock();
        inner.waiting += 1;
        let (mut inner, is_ready) = wait_until(&self.ready, inner, deadline, Inner::is_ready);
        inner.waiting -= 1;
        (inner, is_ready)
    }
}

impl<R> Inner<R> {
    fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready(_) | Stage::Taken { .. })
    }

    /// Whether it is the thread of callbacks that makes it ready.
    fn has_callback(&self) -> bool {
        matches!(self.stage, Stage::Called) || !self.callback.is_none()
    }

    /// The result, if it is there.
    fn take(&mut self) -> Option<Result<R, TaskError>> {
        match mem::replace(&mut self.stage, Stage::Taken { successful: false }) {
            Stage::Ready(result) => {
                self.stage = Stage::Taken { successful: result.is_ok() };
                Some(result)
            }
            Stage::Taken { successful } => {
                self.stage = Stage::Taken { successful };
                Some(Err(TaskError::AlreadyTaken))
            }
            pending => {
                self.stage = pending;
                None
            }
        }
    }
}

/// A result out of its bytes.
pub(crate) fn decode<R: DeserializeOwned>(bytes: Result<&[u8], TaskError>) -> Result<R, TaskError> {
    let bytes = bytes?;
    caught(|| codec::decode_all(bytes), "decoded").map_err(TaskError::Result)
}

impl<R: DeserializeOwned + Send + 'static> Sink for Slot<R> {
    fn deliver(self: Arc<Self>, desk: &Arc<Desk>, _: usize, mut results: Outcomes<'_>) {
        if let Some(result) = results.next() {
            self.complete(desk, decode(result));
        }
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled()
    }
}

/// The result of a task, or of all tasks of a map, when it is there. Also a future, for any executor.
///
/// The result is taken once; then there is [`TaskError::AlreadyTaken`]. Dropped, the task runs all the same. When the pool is
/// terminated or dropped, or its last worker cannot be replaced, there is an error: no wait hangs.
///
/// ```
/// let pool = ipc_pool::Pool::new(1)?;
/// let result = pool.apply_async(|x: u64| x * x, (7,))?;
/// assert_eq!(result.get()?, 49);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "the result of a task, or why there is none, is in it"]
pub struct AsyncResult<R> {
    slot: Arc<Slot<R>>,
    /// For cancelling.
    call: Arc<CallInfo>,
    /// Of one task, and not of many.
    is_single: bool,
    desk: Weak<Desk>,
}

impl<R: Send + 'static> AsyncResult<R> {
    pub(crate) fn new(slot: Arc<Slot<R>>, call: Arc<CallInfo>, is_single: bool, desk: &Arc<Desk>) -> Self {
        AsyncResult { slot, call, is_single, desk: Arc::downgrade(desk) }
    }

    /// Waits for the result.
    ///
    /// # Errors
    /// [`TaskError`] says why there is none.
    pub fn get(&self) -> Result<R, TaskError> {
        self.get_until(None).map(|result| result.expect("without a deadline it waits"))
    }

    /// The result, if it is there.
    ///
    /// # Errors
    /// As [`get`](AsyncResult::get).
    pub fn try_get(&self) -> Result<Option<R>, TaskError> {
        self.slot.lock().take().transpose()
    }

    /// Waits for the result at most that long; `None` if it is not there then.
    ///
    /// # Errors
    /// As [`get`](AsyncResult::get).
    #[doc(alias = "TimeoutError")]
    pub fn get_timeout(&self, timeout: Duration) -> Result<Option<R>, TaskError> {
        self.get_until(ipc_core::deadline(timeout))
    }

    /// Waits for the result at most until then; `None` if it is not there then.
    ///
    /// # Errors
    /// As [`get`](AsyncResult::get).
    pub fn get_deadline(&self, deadline: Instant) -> Result<Option<R>, TaskError> {
        self.get_until(Some(deadline))
    }

    fn get_until(&self, deadline: Option<Instant>) -> Result<Option<R>, TaskError> {
        self.wait_until(deadline)?.0.take().transpose()
    }

    /// Waits until it is there; false at the deadline. It is an error if this thread would have to bring it.
    fn wait_until(&self, deadline: Option<Instant>) -> Result<(MutexGuard<'_, Inner<R>>, bool), TaskError> {
        let waits_for_itself = self.desk.upgrade().is_some_and(|desk| {
            desk.is_delivering_here() || desk.callbacks.is_here() && self.slot.lock().has_callback()
        });
        let deadline = if waits_for_itself { Some(Instant::now()) } else { deadline };
        let (inner, is_ready) = self.slot.wait_until(deadline);
        if waits_for_itself && !is_ready { Err(TaskError::WaitsForItself) } else { Ok((inner, is_ready)) }
    }

    /// Waits until the result is there, and leaves it there. Where [`get`](AsyncResult::get) has
    /// [`TaskError::WaitsForItself`], it returns at once.
    pub fn wait(&self) {
        drop(self.wait_until(None));
    }

    /// Waits until the result is there, at most that long; whether it is.
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(ipc_core::deadline(timeout)).is_ok_and(|(_, is_ready)| is_ready)
    }

    /// Waits until the result is there, at most until then; whether it is.
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline)).is_ok_and(|(_, is_ready)| is_ready)
    }

    /// Whether the result, or an error, is there, or was taken.
    #[doc(alias = "ready")]
    pub fn is_ready(&self) -> bool {
        self.slot.lock().is_ready()
    }

    /// Whether the result, or an error, is there, or its callback has it.
    pub(crate) fn is_delivered(&self) -> bool {
        !matches!(self.slot.lock().stage, Stage::Pending)
    }

    /// Whether there is a result and no error; `None` if there is neither yet.
    #[doc(alias = "successful")]
    pub fn is_successful(&self) -> Option<bool> {
        match &self.slot.lock().stage {
            Stage::Pending | Stage::Called => None,
            Stage::Ready(result) => Some(result.is_ok()),
            Stage::Taken { successful } => Some(*successful),
        }
    }

    /// Gives the task up, if it has not been begun: it never runs, and the result is [`TaskError::Cancelled`]. Whether that
    /// is so. Of a map, those tasks never run that have not been begun; if some have, they go on, for nobody.
    pub fn cancel(&self) -> bool {
        self.cancel_by(false)
    }

    /// Gives the task up, also if it runs: then its worker is killed, and another one takes its place. False if there is
    /// a result already.
    pub fn kill(&self) -> bool {
        self.cancel_by(true)
    }

    fn cancel_by(&self, kill: bool) -> bool {
        let Some(desk) = self.desk.upgrade() else { return false };
        if !matches!(self.slot.lock().stage, Stage::Pending) {
            return false;
        }
        let cancelled = desk.with(|state| {
            // Its result may be on its way.
            let is_late = self.is_single && self.call.is_over();
            let goes_on = is_late || state.cancel(&self.call.sink, kill);
            let cancelled = !(goes_on && self.is_single);
            self.slot.cancelled.store(cancelled, Ordering::Relaxed);
            // Those of others go back to work, and these are dropped.
            state.hand_out();
            cancelled
        });
        if !cancelled {
            return false;
        }
        Arc::clone(&self.slot).complete(&desk, Err(TaskError::Cancelled));
        desk.look_up();
        // Unless the result of a map was faster.
        matches!(&self.slot.lock().stage, Stage::Called | Stage::Ready(Err(TaskError::Cancelled)))
    }
}

impl<R: Send + 'static> Future for AsyncResult<R> {
    type Output = Result<R, TaskError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut inner = self.slot.lock();
        match inner.take() {
            Some(result) => Poll::Ready(result),
            None => {
                inner.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<R> fmt::Debug for AsyncResult<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncResult").finish_non_exhaustive()
    }
}
