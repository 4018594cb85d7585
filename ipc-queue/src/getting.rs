//! Records on their way out.

use ipc_core::{Identity, Segment};
use ipc_lock::raw::Slept;

use crate::core::{Core, Gone, Patient};
use crate::refused::GetRefused;
use crate::ring::{Reader, Record};
use crate::wait::{Waiter, has_passed};

/// Records on their way out, within the head's lock. Dropped without [`take`](Getting::take), they are still there.
/// Stays where it is, as [`Putting`].
pub(crate) struct Getting<'a> {
    core: &'a Core,
    reader: Reader<'a>,
    count: u32,
    /// Of this process, while it is within the lock. A forked child has a copy of this, but not of the lock.
    inside: Option<Identity<'a>>,
}

impl<'a> Getting<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Core) -> Getting<'a> {
        Getting { core, reader: core.ring().reader(), count: 0, inside: None }
    }

    /// Finds the next record, waiting for it.
    #[inline]
    pub(crate) fn begin(&mut self, patient: Patient, gone: Gone) -> Result<Record, GetRefused> {
        let me = self.core.identity();
        match self.try_begin(me, patient) {
            Err(GetRefused::Empty) => self.wait(me, patient, gone),
            result => result,
        }
    }

    /// As [`begin`](Getting::begin), if there is a record; `patient` is about the lock alone.
    #[inline]
    pub(crate) fn begin_now(&mut self, patient: Patient) -> Result<Record, GetRefused> {
        self.try_begin(self.core.identity(), patient)
    }

    #[inline]
    pub(crate) fn segment(&self) -> &'a Segment {
        self.core.segment()
    }

    #[inline]
    fn try_begin(&mut self, me: Identity<'a>, patient: Patient) -> Result<Record, GetRefused> {
        let word = me.id().word();
        self.core.enter(&self.core.queue().head, word, patient).map_err(|_| GetRefused::late(patient))?;
        self.inside = Some(me);
        self.reader.begin();
        match self.reader.next() {
            Ok(Some(record)) => Ok(record),
            Ok(None) => {
                self.core.trim(&mut self.reader);
                self.leave();
                Err(GetRefused::Empty)
            }
            Err(error) => {
                self.leave();
                Err(GetRefused::Fault(error))
            }
        }
    }

    #[cold]
    fn wait(&mut self, me: Identity<'a>, patient: Patient, gone: Gone) -> Result<Record, GetRefused> {
        let core = self.core;
        let is_over = || !core.has_items() && (core.is_closed() || gone.is_some_and(|gone| gone(core)));
        let Patient::Until(deadline) = patient else { return self.last_try(me, patient, is_over()) };
        let mut waiter =
            Waiter::new(core.segment(), me.id().word(), &core.queue().tail, deadline, gone.is_some());
        loop {
            let available = |most| core.ring().available(most);
            let slept = waiter.wait(&core.get_pace, || core.has_items() || core.is_closed(), available);
            if slept != Slept::TimedOut {
                match self.try_begin(me, patient) {
                    Err(GetRefused::Empty) => {}
                    result => return result,
                }
            }
            let is_over = is_over();
            if is_over || slept == Slept::TimedOut || has_passed(deadline) {
                return self.last_try(me, patient, is_over);
            }
        }
    }

    /// `is_over`: asked before this, whether there is an end. What was put before that is to be got.
    fn last_try(&mut self, me: Identity<'a>, patient: Patient, is_over: bool) -> Result<Record, GetRefused> {
        self.try_begin(me, patient).map_err(|refused| match refused {
            GetRefused::Empty if is_over => GetRefused::Closed,
            GetRefused::Empty => GetRefused::late(patient),
            refused => refused,
        })
    }

    #[inline]
    fn is_inside(&self) -> bool {
        self.inside.is_some_and(Identity::is_current)
    }

    /// Takes the record out of the queue.
    #[inline]
    pub(crate) fn take(&mut self) {
        if self.is_inside() {
            self.reader.commit();
            self.count += 1;
        }
    }

    /// Goes on to the next record, if there is one. What is wrong with it is told to whoever gets it.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Record> {
        if self.is_inside() { self.reader.next().unwrap_or(None) } else { None }
    }

    /// Tells those who wait for room.
    #[inline]
    pub(crate) fn finish(&mut self) {
        if self.end() {
            self.core.queue().head.moved(self.count);
        }
    }

    /// The same, but tells nobody; whether it did.
    #[inline]
    pub(crate) fn end(&mut self) -> bool {
        let inside = self.is_inside();
        if inside {
            self.leave();
        }
        inside
    }

    #[inline]
    fn leave(&mut self) {
        self.inside = None;
        self.core.leave(&self.core.queue().head);
    }
}

impl Drop for Getting<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_inside() {
            self.leave();
        }
    }
}
