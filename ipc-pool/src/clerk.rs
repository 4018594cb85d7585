//! Taking the workers' reports: one at a time does it, a thread of the pool or somebody who waits for a result anyway and
//! is spared being woken by another.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use ipc_core::codec;
use ipc_queue::Bytes;

use crate::desk::Desk;
use crate::error::PoolError;
use crate::result::AsyncResult;
use crate::wire::{self, Report};

/// So many reports are taken at once.
const BATCH: usize = 64;

/// Who takes reports.
#[derive(Default)]
pub(crate) struct Clerk {
    duty: Mutex<Duty>,
    called: Condvar,
}

#[derive(Default)]
struct Duty {
    is_taken: bool,
    /// The thread was called, and has not come yet.
    is_called: bool,
    inbox: Inbox,
}

/// Reports, one behind the other.
#[derive(Default)]
struct Inbox {
    bytes: Vec<u8>,
    parts: Vec<Range<usize>>,
}

impl Clerk {
    fn lock(&self) -> MutexGuard<'_, Duty> {
        self.duty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There are reports to come, or something else has changed: the thread has to see, if nobody else does.
    pub(crate) fn call(&self) {
        let mut duty = self.lock();
        if !duty.is_taken && !duty.is_called {
            duty.is_called = true;
            self.called.notify_one();
        }
    }
}

/// Takes reports until the pool is over, whenever there may be some and nobody else does.
pub(crate) fn serve(desk: &Arc<Desk>) {
    loop {
        let mut duty = desk.clerk.lock();
        while duty.is_taken || desk.is_idle() {
            duty.is_called = false;
            duty = desk.clerk.called.wait(duty).unwrap_or_else(PoisonError::into_inner);
        }
        if desk.lock().is_finished {
            return;
        }
        let mut on_duty = OnDuty::new(desk, duty);
        while on_duty.has_to_go_on() {
            on_duty.take();
        }
    }
}

/// The one who takes reports, until it is dropped.
pub(crate) struct OnDuty<'a> {
    desk: &'a Arc<Desk>,
    inbox: Inbox,
}

impl<'a> OnDuty<'a> {
    /// Takes reports from now on; `None` if somebody else does.
    pub(crate) fn begin(desk: &'a Arc<Desk>) -> Option<OnDuty<'a>> {
        let duty = desk.clerk.lock();
        (!duty.is_taken).then(|| OnDuty::new(desk, duty))
    }

    fn new(desk: &'a Arc<Desk>, mut duty: MutexGuard<'_, Duty>) -> OnDuty<'a> {
        duty.is_taken = true;
        OnDuty { desk, inbox: mem::take(&mut duty.inbox) }
    }

    /// Takes reports until the result is there.
    pub(crate) fn take_until_ready<R: Send + 'static>(&mut self, result: &AsyncResult<R>) {
        while !result.is_ready() {
            self.take();
        }
    }

    fn has_to_go_on(&self) -> bool {
        !self.desk.is_idle() && !self.desk.lock().is_finished
    }

    /// Takes reports, waiting for one.
    fn take(&mut self) {
        let inbox = &mut self.inbox;
        inbox.clear();
        wire::look_for(&self.desk.reports);
        let got = self.desk.reports.get_many_bytes(BATCH, |bytes| inbox.push(bytes));
        let Inbox { bytes, parts } = inbox;
        let mut state = self.desk.lock();
        if let Err(error) = got {
            // Somebody has spoilt the queue. Nothing can be known of the workers any more.
            state.fail(PoolError::Start(error.to_string()));
            state.forget_all();
        }
        for part in parts {
            // What cannot be read is of nobody.
            if let Ok((report, results)) = codec::decode::<Report>(&bytes[part.clone()]) {
                let start = part.end - results.len();
                state.hear(report.place, report.generation, report.what, start..part.end);
            }
        }
        state.go_on();
        let is_over = state.is_over();
        let is_news = mem::take(&mut state.is_news);
        self.desk.let_go(state, bytes);
        if is_over {
            self.desk.lock().is_finished = true;
        }
        if is_news || is_over {
            self.desk.notify();
        }
    }
}

impl Drop for OnDuty<'_> {
    fn drop(&mut self) {
        let mut duty = self.desk.clerk.lock();
        duty.is_taken = false;
        duty.inbox = mem::take(&mut self.inbox);
        drop(duty);
        if !self.desk.is_idle() {
            self.desk.clerk.call();
        }
    }
}

impl Inbox {
    fn clear(&mut self) {
        self.bytes.clear();
        self.parts.clear();
    }

    fn push(&mut self, report: Bytes<'_>) {
        let start = self.bytes.len();
        self.bytes.resize(start + report.len(), 0);
        report.read_at(0, &mut self.bytes[start..]);
        self.parts.push(start..self.bytes.len());
    }
}
