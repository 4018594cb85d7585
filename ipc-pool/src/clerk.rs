//! Taking the workers' reports: one at a time does it, a thread of the pool or somebody who waits for a result anyway and
//! is spared being woken by another.

use std::mem;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ipc_core::codec;
use ipc_queue::{Bytes, GetTimeoutError};

use crate::desk::Desk;
use crate::error::PoolError;
use crate::result::AsyncResult;
use crate::state::Ended;
use crate::wire::{self, Report};

/// So many reports are taken at once.
const BATCH: usize = 64;
/// Who takes reports looks up so often even if none comes: workers can spoil the queue through which it would be woken.
pub(crate) const LOOK: Duration = Duration::from_millis(70);
/// So often in a row nothing comes, not even what was put by the parent itself: then a worker may be stopped within the
/// lock of the queue. It takes about a second.
const SUSPECT: u32 = 8;
/// So often: then the queue is spoilt. It takes four seconds and more, so that a machine that is merely busy is not taken
/// for that.
const MISSES: u32 = 60;

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
    /// So often nothing came, one time after the other.
    misses: u32,
}

impl<'a> OnDuty<'a> {
    /// Takes reports from now on; `None` if somebody else does, or if it is in the middle of that.
    pub(crate) fn begin(desk: &'a Arc<Desk>) -> Option<OnDuty<'a>> {
        if desk.is_delivering_here() {
            return None;
        }
        let duty = desk.clerk.lock();
        (!duty.is_taken).then(|| OnDuty::new(desk, duty))
    }

    fn new(desk: &'a Arc<Desk>, mut duty: MutexGuard<'_, Duty>) -> OnDuty<'a> {
        duty.is_taken = true;
        OnDuty { desk, inbox: mem::take(&mut duty.inbox), misses: 0 }
    }

    /// Takes reports until the result is there, or its callback has it: then there may be no report any more to wait for.
    pub(crate) fn take_until_delivered<R: Send + 'static>(mut self, result: &AsyncResult<R>) {
        while !result.is_delivered() {
            self.take();
        }
    }

    fn has_to_go_on(&self) -> bool {
        !self.desk.is_idle() && !self.desk.lock().is_finished
    }

    /// Takes reports, waiting a while for one.
    fn take(&mut self) {
        // Before the reports: what these workers had to say is among them.
        let ended = mem::take(&mut self.desk.lock().ended);
        let damage = self.collect(ended.is_empty());
        let Inbox { bytes, parts } = &mut self.inbox;
        let mut state = self.desk.lock();
        if let Some(why) = damage {
            // Nothing can be known of the workers any more.
            state.fail(PoolError::Damaged(why));
            state.forget_all();
        }
        if self.misses >= SUSPECT {
            state.kill_stopped();
        }
        for part in &*parts {
            // What cannot be read is of nobody.
            if let Ok((report, results)) = codec::decode::<Report>(&bytes[part.clone()]) {
                let start = part.end - results.len();
                state.hear(report.place, report.generation, report.what, start..part.end);
            }
        }
        let is_all = parts.len() < BATCH;
        for Ended { place, generation, behind } in ended {
            if is_all || behind <= parts.len() {
                state.hear_end(place, generation);
            } else {
                state.ended.push(Ended { place, generation, behind: behind - parts.len() });
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

    /// Gets reports, waiting a while for one if that is wanted; what is wrong with their queue.
    fn collect(&mut self, waits: bool) -> Option<String> {
        let OnDuty { desk, inbox, misses } = self;
        inbox.clear();
        let timeout = if waits {
            wire::look_for(&desk.reports);
            LOOK
        } else {
            Duration::ZERO
        };
        match desk.reports.get_many_bytes_timeout(BATCH, timeout, |bytes| inbox.push(bytes)) {
            Ok(_) => *misses = 0,
            Err(GetTimeoutError::Timeout) if waits => {
                // The next time there is something, unless the queue is spoilt.
                desk.put_news();
                *misses += 1;
            }
            Err(GetTimeoutError::Timeout) => {}
            Err(error) => return Some(error.to_string()),
        }
        (*misses > MISSES).then(|| "nothing that is put to the queue comes out of it".to_owned())
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
