//! A flag that can be waited for.

use std::fmt;
use std::time::{Duration, Instant};

use ipc_core::{Participant, Result};

use crate::error::Timeout;
use crate::layout;
use crate::object::{Home, Object, handle};
use crate::party::Party;
use crate::report;
use crate::sync::{self, Ordering};
use crate::wait::{Patience, Slept};

/// A flag between processes: some wait until another sets it.
///
/// [`set`](Event::set) never waits, and may be called from a signal handler. A wait sees every `set` that comes during
/// it, also if the flag is cleared again before the waiter runs.
///
/// **If a process dies** nothing happens to the others: a waiter holds nothing, and a `set` is there or is not. One that
/// was killed between setting the flag and waking the others leaves them asleep for 100 ms at most.
///
/// ```
/// use std::time::Duration;
/// let event = ipc_lock::Event::new()?;
/// assert!(event.wait_timeout(Duration::from_millis(1)).is_err());
/// event.set();
/// event.wait();
/// assert!(event.is_set());
/// # Ok::<(), ipc_core::Error>(())
/// ```
pub struct Event {
    object: Object<layout::Event>,
}

handle!(Event, layout::Event, "event");

const SET: u32 = 1;

impl layout::Event {
    /// Sets the flag; whether it was clear.
    fn set(&self) -> bool {
        // A set flag is written, too: whoever clears it afterwards sees what was done before this.
        let raise = |state: u32| Some(if state & SET == 0 { state.wrapping_add(2) | SET } else { state });
        self.state.fetch_update(Ordering::Release, Ordering::Relaxed, raise).is_ok_and(|old| old & SET == 0)
    }

    fn clear(&self) {
        let lower = |state: u32| (state & SET != 0).then(|| state.wrapping_add(2) & !SET);
        let _ = self.state.fetch_update(Ordering::Acquire, Ordering::Relaxed, lower);
    }

    fn wait<P: Party>(&self, party: &P, me: u32, deadline: Option<Instant>) -> Result<(), Timeout> {
        let before = self.state.load(Ordering::Acquire);
        if before & SET != 0 {
            return Ok(());
        }
        let mut patience = Patience::for_signal(deadline);
        let _waiting = self.waiters.enter(party, me);
        loop {
            let slept = patience.sleep(&self.state, before);
            // Any change means that it was set, whatever it is now.
            if self.state.load(Ordering::Acquire) != before {
                return Ok(());
            }
            if slept == Slept::TimedOut {
                return Err(Timeout);
            }
        }
    }
}

impl Event {
    /// A clear event without a name, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn new() -> Result<Event> {
        Object::make(Home::Own(None), (), |_| ()).map(Event::from_object)
    }

    /// A clear event that other programs of the same user can [`open`](Event::open). See
    /// [`ipc_core::Segment::create`].
    ///
    /// # Errors
    /// The name is taken by a living process, or no name; no memory left.
    pub fn create(name: &str) -> Result<Event> {
        Object::make(Home::Own(Some(name)), (), |_| ()).map(Event::from_object)
    }

    /// An event in another's segment, from that offset on: see [`raw`](crate::raw).
    ///
    /// # Errors
    /// As [`open_in`](Event::open_in).
    pub fn new_in(segment: &ipc_core::Segment, offset: u64) -> Result<Event> {
        Object::make(Home::In(segment, offset), (), |_| ()).map(Event::from_object)
    }

    fn from_object(object: Object<layout::Event>) -> Event {
        Event { object }
    }

    /// Sets the flag and wakes all who wait. Never waits; async-signal-safe.
    pub fn set(&self) {
        if self.object.set() {
            sync::wake_all(&self.object.state);
        }
    }

    /// Clears the flag.
    pub fn clear(&self) {
        self.object.clear();
    }

    /// Whether the flag is set: one load.
    #[inline]
    pub fn is_set(&self) -> bool {
        self.object.state.load(Ordering::Acquire) & SET != 0
    }

    /// Waits until the flag is set.
    pub fn wait(&self) {
        // Without a deadline it never times out.
        while self.wait_until(None).is_err() {}
    }

    /// Waits until the flag is set, at most that long.
    ///
    /// # Errors
    /// [`Timeout`].
    #[doc(alias = "wait")]
    pub fn wait_timeout(&self, timeout: Duration) -> Result<(), Timeout> {
        self.wait_until(ipc_core::deadline(timeout))
    }

    /// Waits until the flag is set, at most until then.
    ///
    /// # Errors
    /// [`Timeout`].
    #[doc(alias = "wait")]
    pub fn wait_deadline(&self, deadline: Instant) -> Result<(), Timeout> {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> Result<(), Timeout> {
        let (segment, me) = self.object.identity();
        self.object.wait(segment, me, deadline)
    }

    /// The processes that wait, one entry for each waiting thread; the first 14.
    pub fn waiters(&self) -> Vec<Participant> {
        report::waiters(self.segment(), &self.object.waiters)
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event").field("is_set", &self.is_set()).finish_non_exhaustive()
    }
}

#[cfg(all(test, loom))]
#[path = "models/event.rs"]
mod loom_models;
