//! What the threads of a pool share: who gives tasks, the clerk who takes reports, and the warden who looks after workers.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ipc_core::{Fd, Segment};
use ipc_queue::Queue;

use crate::board::{self, Note};
use crate::builder::Settings;
use crate::callbacks::Callbacks;
use crate::clerk::{self, Clerk};
use crate::error::{PoolError, Refusal};
use crate::member::Member;
use crate::outcomes::Outcomes;
use crate::state::{Delivery, Ended, Results, State};
use crate::sys;
use crate::task::{Task, Terms};
use crate::wait::wait_until;
use crate::wire::{self, Report};
use crate::worker::Start;

thread_local! {
    /// For whose pool this thread is delivering results.
    static DELIVERING: Cell<*const Desk> = const { Cell::new(ptr::null()) };
    /// What is to be done when it has delivered them.
    static AFTERWARDS: RefCell<Vec<Box<dyn FnOnce()>>> = const { RefCell::new(Vec::new()) };
}

/// Does it when this thread has delivered all results that it has at hand, at once if it has none. So who waits for one of
/// them is woken when the next, which he may want as well, are there, too.
pub(crate) fn when_delivered(f: impl FnOnce() + 'static) {
    if DELIVERING.get().is_null() { f() } else { AFTERWARDS.with_borrow_mut(|all| all.push(Box::new(f))) }
}

pub(crate) struct Desk {
    state: Mutex<State>,
    /// The state has changed in a way that somebody may wait for: workers are ready, or all is over.
    changed: Condvar,
    pub(crate) reports: Queue<[u8]>,
    pub(crate) board: Segment,
    /// Readable when there is something for the warden to see.
    pub(crate) warden: OwnedFd,
    /// Of the next item.
    numbers: AtomicU64,
    pub(crate) clerk: Clerk,
    pub(crate) callbacks: Callbacks,
    pub(crate) settings: Settings,
}

impl Desk {
    pub(crate) fn new(settings: Settings) -> Result<Arc<Desk>, PoolError> {
        let places = u32::try_from(settings.workers).unwrap_or(u32::MAX);
        let board = board::create(places)?;
        let notes: Result<Vec<Note>, _> = (0..places).map(|place| Note::new(&board, place)).collect();
        Ok(Arc::new(Desk {
            state: Mutex::new(State::new(notes?, settings.introduced())),
            changed: Condvar::new(),
            reports: Queue::unbounded()?,
            board,
            warden: sys::event()?,
            numbers: AtomicU64::new(0),
            clerk: Clerk::default(),
            callbacks: Callbacks::default(),
            settings,
        }))
    }

    /// How tasks are treated of which nothing else was said.
    pub(crate) fn terms(&self) -> Terms {
        Terms { timeout: self.settings.timeout, retries: self.settings.retries }
    }

    /// Numbers for so many items: the first.
    pub(crate) fn numbers(&self, items: u64) -> u64 {
        self.numbers.fetch_add(items, Ordering::Relaxed)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are no reports, and none to be expected.
    pub(crate) fn is_idle(&self) -> bool {
        self.lock().is_idle() && self.reports.is_empty()
    }

    /// Gives that seat to a worker, who has that end of the socket: what it is told when it starts. `None` if no workers are
    /// wanted any more.
    pub(crate) fn take_seat(self: &Arc<Self>, place: u32, member: Member, theirs: OwnedFd) -> Option<Start> {
        let orders = member.orders.clone();
        let generation = self.with(|state| {
            let is_wanted = state.wants_workers();
            let seat = state.seats.get_mut(place as usize).filter(|_| is_wanted)?;
            seat.generation += 1;
            seat.note.clear();
            seat.member = Some(member);
            Some(seat.generation)
        })?;
        Some(Start {
            place,
            generation,
            orders,
            reports: self.reports.clone(),
            board: self.board.clone(),
            socket: Fd(theirs),
            has_initializer: self.settings.initializer.is_some(),
            exit: self.settings.exit.map(|exit| exit as u64),
            memory: self.settings.memory,
        })
    }

    /// Does something with the state, and what follows from it when it is not locked any more.
    pub(crate) fn with<R>(self: &Arc<Self>, f: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.lock();
        let result = f(&mut state);
        if state.out.is_empty() {
            self.let_go(state, &[]);
            return result;
        }
        state.delivering += 1;
        self.let_go(state, &[]);
        self.lock().delivering -= 1;
        self.look_up();
        result
    }

    /// Something is settled of which no worker reports: whoever takes reports may be waiting for just that, and the
    /// warden for the end.
    pub(crate) fn look_up(&self) {
        sys::signal(self.warden.as_fd());
        self.wake_clerk();
    }

    /// Whether this thread is just delivering results of the pool, and can neither be waited for nor wait for others.
    pub(crate) fn is_delivering_here(&self) -> bool {
        DELIVERING.get() == ptr::from_ref(self)
    }

    /// Unlocks the state and delivers what there is; some of it in that buffer.
    pub(crate) fn let_go(self: &Arc<Self>, mut state: MutexGuard<'_, State>, buffer: &[u8]) {
        let out = std::mem::take(&mut state.out);
        let calls = std::mem::take(&mut state.calls_warden);
        drop(state);
        if calls {
            sys::signal(self.warden.as_fd());
        }
        for delivery in out {
            self.deliver(delivery, buffer);
        }
        self.do_afterwards();
    }

    /// Does now what was to be done when all is delivered.
    fn do_afterwards(&self) {
        while let Some(f) = AFTERWARDS.with_borrow_mut(Vec::pop) {
            self.run_foreign(f);
        }
    }

    /// Runs what decodes, drops and wakes, which is the program's own code.
    fn run_foreign(&self, f: impl FnOnce()) {
        let before = DELIVERING.replace(self);
        if let Err(payload) = catch_unwind(AssertUnwindSafe(f)) {
            std::mem::forget(payload);
        }
        DELIVERING.set(before);
    }

    fn deliver(self: &Arc<Self>, delivery: Delivery, buffer: &[u8]) {
        let Delivery { sink, index, items, results } = delivery;
        self.run_foreign(|| match results {
            Results::Buffer(part) => {
                sink.deliver(self, index, Outcomes::read(buffer.get(part).unwrap_or_default(), items));
            }
            Results::Parcel(parcel) => {
                parcel.unpack(|bytes| sink.deliver(self, index, Outcomes::read(bytes, items)));
            }
            Results::Error(error) => sink.deliver(self, index, Outcomes::failed(items, error)),
        });
    }

    /// Gives a task to the pool.
    pub(crate) fn submit(self: &Arc<Self>, task: Task) -> Result<(), Refusal> {
        self.with(|state| {
            state.check_open()?;
            state.take(task);
            Ok(())
        })?;
        self.clerk.call();
        Ok(())
    }

    /// A worker has ended: that is heard behind all that it has reported. It does not go through the queue, where
    /// workers could take it away or say so of others.
    pub(crate) fn report_end(&self, place: u32, generation: u64) {
        let behind = self.reports.len();
        self.lock().ended.push(Ended { place, generation, behind });
        self.wake_clerk();
    }

    /// Has whoever takes reports look up.
    pub(crate) fn wake_clerk(&self) {
        self.put_news();
        self.clerk.call();
    }

    /// Puts a report of nobody. Who takes reports looks up by itself now and then, so that it may fail, or be lost.
    pub(crate) fn put_news(&self) {
        let _ = wire::put_report(&Report::NEWS, &[], |len| self.reports.reserve_timeout(len, clerk::LOOK));
    }

    /// Tells those who wait.
    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Waits until the state is so; false at the deadline.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>, is_so: impl FnMut(&State) -> bool) -> bool {
        wait_until(&self.changed, self.lock(), deadline, is_so).1
    }
}
