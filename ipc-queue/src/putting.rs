//! Records on their way in.

use std::sync::atomic::Ordering;

use ipc_core::{Identity, Segment};
use ipc_lock::raw::Slept;

use crate::core::{Core, Gone, Patient};
use crate::layout::CLOSED;
use crate::refused::PutRefused;
use crate::ring::{Refused, Writer};
use crate::wait::{Waiter, has_passed};

/// Records on their way in, within the tail's lock. Dropped without [`commit`](Putting::commit), there are none.
///
/// It is made before it is used, and stays where it is: to move it would cost more than all else, since the memory is
/// still busy with the record before.
pub(crate) struct Putting<'a> {
    core: &'a Core,
    writer: Writer<'a>,
    /// Where the bytes of the first record go.
    pub(crate) at: u64,
    /// Of this process, while it is within the lock. A forked child has a copy of this, but not of the lock.
    inside: Option<Identity<'a>>,
}

impl<'a> Putting<'a> {
    #[inline]
    pub(crate) fn new(core: &'a Core) -> Putting<'a> {
        Putting { core, writer: core.ring().writer(), at: 0, inside: None }
    }

    /// Finds room for a record of `len` bytes, waiting for it.
    #[inline]
    pub(crate) fn begin(&mut self, len: usize, patient: Patient, gone: Gone) -> Result<(), PutRefused> {
        let me = self.core.identity();
        match self.try_begin(me, len, patient, gone) {
            Err(PutRefused::Full) => self.wait(me, len, patient, gone),
            result => result,
        }
    }

    /// As [`begin`](Putting::begin), if there is room; `patient` is about the lock alone.
    #[inline]
    pub(crate) fn begin_now(&mut self, len: usize, patient: Patient) -> Result<(), PutRefused> {
        self.try_begin(self.core.identity(), len, patient, None)
    }

    #[inline]
    pub(crate) fn segment(&self) -> &'a Segment {
        self.core.segment()
    }

    #[inline]
    fn try_begin(
        &mut self,
        me: Identity<'a>,
        len: usize,
        patient: Patient,
        gone: Gone,
    ) -> Result<(), PutRefused> {
        let queue = self.core.queue();
        self.core.enter(&queue.tail, me.id().word(), patient).map_err(|_| PutRefused::late(patient))?;
        self.inside = Some(me);
        let closed = queue.closed.load(Ordering::Relaxed);
        if closed != 0 && (closed & CLOSED != 0 || gone.is_some()) {
            return self.refuse(PutRefused::Closed);
        }
        self.writer.begin();
        let mut pushed = self.writer.push(len);
        if matches!(pushed, Err(Refused::Fault(_))) && self.core.rewind() {
            self.writer.begin();
            pushed = self.writer.push(len);
        }
        match pushed {
            Ok(at) => {
                self.at = at;
                Ok(())
            }
            Err(Refused::Full) => self.refuse(PutRefused::Full),
            Err(Refused::Fault(error)) => self.refuse(PutRefused::Fault(error)),
        }
    }

    #[cold]
    fn refuse(&mut self, refused: PutRefused) -> Result<(), PutRefused> {
        self.leave();
        Err(refused)
    }

    #[cold]
    fn wait(&mut self, me: Identity<'a>, len: usize, patient: Patient, gone: Gone) -> Result<(), PutRefused> {
        let (core, Patient::Until(deadline)) = (self.core, patient) else { return Err(PutRefused::Full) };
        let mut waiter =
            Waiter::new(core.segment(), me.id().word(), &core.queue().head, deadline, gone.is_some());
        loop {
            let slept = waiter.wait(&core.put_pace, || core.has_room() || core.is_closed(), |_| core.room());
            if slept != Slept::Woken && gone.is_some_and(|gone| gone(core)) {
                return Err(PutRefused::Closed);
            }
            if slept == Slept::TimedOut && !core.has_room() {
                return Err(PutRefused::TimedOut);
            }
            match self.try_begin(me, len, patient, gone) {
                // There was room, but somebody else was faster.
                Err(PutRefused::Full) if has_passed(deadline) => return Err(PutRefused::TimedOut),
                Err(PutRefused::Full) => {}
                result => return result,
            }
        }
    }

    /// Finds room for another record; where its bytes go.
    #[inline]
    pub(crate) fn push(&mut self, len: usize) -> Result<u64, Refused> {
        self.writer.push(len)
    }

    /// How many records there were with the last of these.
    #[inline]
    pub(crate) fn passed(&self) -> u64 {
        self.writer.passed()
    }

    #[inline]
    fn is_inside(&self) -> bool {
        self.inside.is_some_and(Identity::is_current)
    }

    /// Lets the others see the records, and wakes as many as there are.
    #[inline]
    pub(crate) fn commit(&mut self, count: u32) {
        if self.show() {
            self.core.queue().tail.moved(count);
        }
    }

    /// The same, but wakes nobody; whether it did.
    #[inline]
    pub(crate) fn show(&mut self) -> bool {
        if !self.is_inside() {
            return false;
        }
        self.writer.commit();
        self.leave();
        true
    }

    #[inline]
    fn leave(&mut self) {
        self.inside = None;
        self.core.leave(&self.core.queue().tail);
    }
}

impl Drop for Putting<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_inside() {
            self.leave();
        }
    }
}
