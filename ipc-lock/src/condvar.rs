//! Waiting for a change of what a mutex protects.

use std::fmt;
use std::time::{Duration, Instant};

use ipc_core::{Participant, Result};

use crate::error::{LockResult, OwnerDied};
use crate::layout;
use crate::lock::Acquired;
use crate::mutex::MutexGuard;
use crate::object::{Home, Object, handle};
use crate::party::Party;
use crate::report;
use crate::shareable::Shareable;
use crate::sync::{self, Ordering};
use crate::wait::{Patience, Slept};

/// A condition variable for any [`Mutex`](crate::Mutex), between processes.
///
/// The guard is released while waiting and held again afterwards. A wait may end without a notification, so that the
/// condition has to be looked at again: [`wait_while`](Condvar::wait_while) does. A notification made while the mutex
/// was held after the condition was changed is never missed; one that nobody waits for is forgotten.
///
/// **If a process dies**: notifying never waits for anybody, so a dead waiter holds nobody up. A wake-up that a dead
/// waiter swallowed, or that a dead notifier did not send, reaches the others within 100 ms. If another process died with
/// the mutex, the wait ends with [`OwnerDied`], and the guard is held.
///
/// ```
/// use ipc_lock::{Condvar, Mutex};
///
/// let (ready, changed) = (Mutex::new(0_u32)?, Condvar::new()?);
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         *ready.lock().unwrap() = 1;
///         changed.notify_one();
///     });
///     let mut guard = ready.lock().unwrap();
///     changed.wait_while(&mut guard, |ready| *ready == 0).unwrap();
///     assert_eq!(*guard, 1);
/// });
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[doc(alias = "Condition")]
pub struct Condvar {
    object: Object<layout::Condvar>,
}

handle!(Condvar, layout::Condvar, "condvar");

/// What is looked at again and again, since a wake-up may be lost with the process that owed it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Whether there was a notification.
    Sequence,
    /// The condition itself, under the mutex: whoever made it true may have died before it notified anybody.
    Condition,
}

impl layout::Condvar {
    /// Whoever calls this holds the mutex until `unlocked`.
    pub(crate) fn prepare(&self) -> u32 {
        self.sleepers.fetch_add(1, Ordering::Relaxed);
        self.sequence.load(Ordering::Relaxed)
    }

    /// Sleeps until the sequence is no longer what `prepare` saw, or it is time to look `again`. The mutex, not this,
    /// orders what the processes do: all that is needed here is that a change is seen.
    pub(crate) fn sleep<P: Party>(
        &self,
        party: &P,
        me: u32,
        before: u32,
        patience: &mut Patience,
        again: Again,
    ) -> Slept {
        let _waiting = self.waiters.enter(party, me);
        let slept = loop {
            let slept = patience.sleep(&self.sequence, before);
            match again {
                Again::Condition => break slept,
                Again::Sequence if self.sequence.load(Ordering::Relaxed) != before => break Slept::Woken,
                Again::Sequence if slept == Slept::TimedOut => break slept,
                Again::Sequence => {}
            }
        };
        let fewer = |sleepers: u32| Some(sleepers.saturating_sub(1));
        let _ = self.sleepers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer);
        slept
    }

    /// Whether somebody may have to be woken. If the condition was changed under the mutex, a waiter that saw the old
    /// state counted itself before it released the mutex.
    pub(crate) fn notify(&self) -> bool {
        self.sequence.fetch_add(1, Ordering::Relaxed);
        self.sleepers.load(Ordering::Relaxed) != 0
    }
}

impl Condvar {
    /// One without a name, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn new() -> Result<Condvar> {
        Object::make(Home::Own(None), (), |_| ()).map(Condvar::from_object)
    }

    /// One that other programs of the same user can [`open`](Condvar::open). See [`ipc_core::Segment::create`].
    ///
    /// # Errors
    /// The name is taken by a living process, or no name; no memory left.
    pub fn create(name: &str) -> Result<Condvar> {
        Object::make(Home::Own(Some(name)), (), |_| ()).map(Condvar::from_object)
    }

    /// A condition variable in another's segment, from that offset on: see [`raw`](crate::raw).
    ///
    /// # Errors
    /// As [`open_in`](Condvar::open_in).
    pub fn new_in(segment: &ipc_core::Segment, offset: u64) -> Result<Condvar> {
        Object::make(Home::In(segment, offset), (), |_| ()).map(Condvar::from_object)
    }

    fn from_object(object: Object<layout::Condvar>) -> Condvar {
        Condvar { object }
    }

    /// Wakes one who waits.
    #[doc(alias = "notify")]
    pub fn notify_one(&self) {
        if self.object.notify() {
            sync::wake(&self.object.sequence, 1);
        }
    }

    /// Wakes all who wait.
    pub fn notify_all(&self) {
        if self.object.notify() {
            sync::wake_all(&self.object.sequence);
        }
    }

    /// Waits for a notification.
    ///
    /// # Errors
    /// [`OwnerDied`]: another process died with the mutex meanwhile. The guard is held either way.
    pub fn wait<T: Shareable>(&self, guard: &mut MutexGuard<'_, T>) -> LockResult<()> {
        self.wait_until(guard, None).map(drop).map_err(|_| OwnerDied::new(()))
    }

    /// Waits for a notification, at most that long; false if none came.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    #[doc(alias = "wait")]
    pub fn wait_timeout<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> LockResult<bool> {
        self.wait_until(guard, ipc_core::deadline(timeout))
    }

    /// Waits for a notification, at most until then; false if none came.
    ///
    /// # Errors
    /// As [`wait`](Condvar::wait).
    #[doc(alias = "wait")]
    pub fn wait_deadline<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
    ) -> LockResult<bool> {
        self.wait_until(guard, Some(deadline))
    }

    fn wait_until<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
    ) -> LockResult<bool> {
        let slept = self.sleep(guard, &mut Patience::for_signal(deadline), Again::Sequence);
        let notified = |slept| slept != Slept::TimedOut;
        slept.map(notified).map_err(|died| OwnerDied::new(notified(died.into_inner())))
    }

    fn sleep<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        patience: &mut Patience,
        again: Again,
    ) -> LockResult<Slept> {
        let (segment, me) = self.object.identity();
        let before = self.object.prepare();
        match guard.unlocked(|| self.object.sleep(segment, me, before, patience, again)) {
            (slept, Acquired::Clean) => Ok(slept),
            (slept, Acquired::OwnerDied) => Err(OwnerDied::new(slept)),
        }
    }

    /// Waits while the condition holds.
    ///
    /// # Errors
    /// [`OwnerDied`]: another process died with the mutex; the data has to be judged before the condition can be. The
    /// guard is held.
    #[doc(alias = "wait_for")]
    pub fn wait_while<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<()> {
        self.wait_while_until(guard, None, condition).map(drop).map_err(|_| OwnerDied::new(()))
    }

    /// Waits while the condition holds, at most that long; false if it still holds then.
    ///
    /// # Errors
    /// As [`wait_while`](Condvar::wait_while).
    #[doc(alias = "wait_for")]
    pub fn wait_while_timeout<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<bool> {
        self.wait_while_until(guard, ipc_core::deadline(timeout), condition)
    }

    /// Waits while the condition holds, at most until then; false if it still holds then.
    ///
    /// # Errors
    /// As [`wait_while`](Condvar::wait_while).
    #[doc(alias = "wait_for")]
    pub fn wait_while_deadline<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Instant,
        condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<bool> {
        self.wait_while_until(guard, Some(deadline), condition)
    }

    fn wait_while_until<T: Shareable>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        deadline: Option<Instant>,
        mut condition: impl FnMut(&mut T) -> bool,
    ) -> LockResult<bool> {
        let mut patience = Patience::for_signal(deadline);
        while condition(guard) {
            let slept = self.sleep(guard, &mut patience, Again::Condition);
            if slept.map_err(|_| OwnerDied::new(false))? == Slept::TimedOut {
                return Ok(!condition(guard));
            }
        }
        Ok(true)
    }

    /// The processes that wait, one entry for each waiting thread; the first 14.
    pub fn waiters(&self) -> Vec<Participant> {
        report::waiters(self.segment(), &self.object.waiters)
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Condvar").finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
#[path = "models/condvar.rs"]
mod loom_models;
