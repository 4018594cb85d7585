//! What the parent knows: which tasks wait, which worker has which, and what becomes of them. No threads and no processes
//! here, but in the [`Member`]s.
//!
//! A task is written down as given to a worker before the worker can see it, and struck off when all of its results have
//! come. When a worker has died, and all it had to say was heard, its note tells which item it was at: that one, and those
//! before it whose results have not come, were begun. All others it had been given were not, and go to other workers.

mod ends;

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_core::transfer::Parcel;

use crate::board::Note;
use crate::error::{PoolError, Refusal, TaskError};
use crate::insights::SlowTask;
use crate::member::{Member, Sent};
use crate::task::{Sink, Task};
use crate::wire::What;

/// A worker is given as many tasks ahead as take that long, in nanoseconds, so that it need not wait for the next.
const AHEAD: u64 = 500_000;
/// But at least one, and at most so many.
const MOST_AHEAD: u64 = 256;

/// When nothing could be taken back from a worker that was getting something, it is tried again after that time.
const BALANCE_AGAIN: Duration = Duration::from_millis(20);
/// The slowest tasks that are remembered.
const SLOWEST: usize = 5;

/// Whether tasks are taken.
#[derive(Clone)]
pub(crate) enum Phase {
    Open,
    /// Those that were taken before are done.
    Closed,
    Terminated,
    Failed(Arc<PoolError>),
}

/// A place for a worker.
pub(crate) struct Seat {
    pub(crate) note: Note,
    pub(crate) member: Option<Member>,
    /// Workers that it had.
    pub(crate) generation: u64,
    /// The next one is not started before.
    pub(crate) not_before: Instant,
}

/// A worker that has ended.
pub(crate) struct Ended {
    pub(crate) place: u32,
    pub(crate) generation: u64,
    /// So many reports come before that.
    pub(crate) behind: usize,
}

/// Results for somebody, told when the state is not locked.
pub(crate) struct Delivery {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) index: usize,
    pub(crate) items: u32,
    pub(crate) results: Results,
}

pub(crate) enum Results {
    /// That part of the buffer of reports.
    Buffer(Range<usize>),
    Parcel(Parcel),
    Error(TaskError),
}

pub(crate) struct State {
    pub(crate) phase: Phase,
    pub(crate) seats: Vec<Seat>,
    pending: VecDeque<Task>,
    /// All that were ever asked for.
    functions: Vec<usize>,
    /// How long a task takes, in nanoseconds.
    pub(crate) typical: u64,
    /// Workers in a row that died before they were ready.
    crashes: u32,
    /// Workers in a row that could not be started.
    refusals: u32,
    /// Workers in a row that died without having done anything.
    barren: u32,
    /// Workers that have ended, which is to be heard yet.
    pub(crate) ended: Vec<Ended>,
    /// When the warden looks at the clock.
    pub(crate) timer: Option<Instant>,
    /// The timer was set to an earlier time, or there is something else to see for the warden.
    pub(crate) calls_warden: bool,
    /// There is something that somebody may wait for.
    pub(crate) is_news: bool,
    /// Threads that are about to deliver something, besides the one that takes reports.
    pub(crate) delivering: usize,
    /// All was delivered, and there will be nothing more.
    pub(crate) is_finished: bool,
    pub(crate) restarts: u64,
    /// That were done, and how long it took, in nanoseconds.
    pub(crate) tasks: u64,
    pub(crate) busy: u64,
    pub(crate) slowest: Vec<SlowTask>,
    /// Results, and tasks that are dropped, for when the state is not locked.
    pub(crate) out: Vec<Delivery>,
}

impl State {
    pub(crate) fn new(notes: Vec<Note>, functions: Vec<usize>) -> State {
        let now = Instant::now();
        let seat = |note| Seat { note, member: None, generation: 0, not_before: now };
        State {
            phase: Phase::Open,
            seats: notes.into_iter().map(seat).collect(),
            pending: VecDeque::new(),
            functions,
            typical: AHEAD,
            crashes: 0,
            refusals: 0,
            barren: 0,
            ended: Vec::new(),
            timer: None,
            calls_warden: false,
            is_news: false,
            delivering: 0,
            is_finished: false,
            restarts: 0,
            tasks: 0,
            busy: 0,
            slowest: Vec::new(),
            out: Vec::new(),
        }
    }

    fn members(&self) -> impl Iterator<Item = &Member> {
        self.seats.iter().filter_map(|seat| seat.member.as_ref())
    }

    fn members_mut(&mut self) -> impl Iterator<Item = &mut Member> {
        self.seats.iter_mut().filter_map(|seat| seat.member.as_mut())
    }

    /// Whether tasks are taken.
    pub(crate) fn check_open(&self) -> Result<(), Refusal> {
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Failed(error) => Err(Refusal::Pool(Arc::clone(error))),
            Phase::Closed | Phase::Terminated => Err(Refusal::Closed),
        }
    }

    /// Tasks that are not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.pending.len() + self.members().map(|member| member.given.len()).sum::<usize>()
    }

    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Whether there is nothing left to do, and nobody.
    pub(crate) fn is_over(&self) -> bool {
        let is_ended = !matches!(self.phase, Phase::Open) && !self.wants_workers();
        is_ended && self.members().next().is_none() && self.delivering == 0
    }

    pub(crate) fn has_ready_member(&self) -> bool {
        self.members().any(|member| member.ready_after.is_some())
    }

    /// Whether no reports are to be expected.
    pub(crate) fn is_idle(&self) -> bool {
        let is_ready = |seat: &Seat| seat.member.as_ref().is_some_and(|member| member.ready_after.is_some());
        let is_quiet = self.unsettled() == 0 && self.ended.is_empty();
        matches!(self.phase, Phase::Open) && is_quiet && self.seats.iter().all(is_ready)
    }

    /// Whether empty seats are to be filled.
    pub(crate) fn wants_workers(&self) -> bool {
        match self.phase {
            Phase::Open => true,
            Phase::Closed => self.unsettled() > 0,
            Phase::Terminated | Phase::Failed(_) => false,
        }
    }

    /// Takes a task, and gives it to a worker if one has room.
    pub(crate) fn take(&mut self, task: Task) {
        if !self.functions.contains(&task.call.function) {
            self.functions.push(task.call.function);
        }
        // Behind others it waits for the same room as they.
        let is_first = self.pending.is_empty();
        self.pending.push_back(task);
        if is_first {
            self.hand_out();
        }
    }

    /// Gives what waits to those who have room.
    pub(crate) fn hand_out(&mut self) {
        let depth = (AHEAD / self.typical.max(1)).clamp(2, MOST_AHEAD) as usize;
        while let Some(task) = self.pending.front() {
            let is_cancelled = task.call.sink.is_cancelled();
            let free = self.seats.iter_mut().filter_map(|seat| seat.member.as_mut());
            // Who is stopped may never go on.
            let free = free
                .filter(|member| member.has_room(depth))
                .min_by_key(|member| (member.is_stopped, member.given.len()));
            if free.is_none() && !is_cancelled {
                return;
            }
            let Some(task) = self.pending.pop_front() else { return };
            let Some(member) = free.filter(|_| !is_cancelled) else {
                self.settle(&task, TaskError::Cancelled);
                continue;
            };
            let timeout = task.call.terms.timeout;
            match member.give(task, &self.functions) {
                Sent::Yes => {}
                // Its socket is full: it gets more when it has reported. Or it is dead.
                Sent::Later(task) => {
                    member.is_full = true;
                    self.pending.push_front(task);
                    continue;
                }
                // What others have passes by.
                Sent::TooMuch(task, _) if self.members().any(|member| !member.given.is_empty()) => {
                    return self.pending.push_front(task);
                }
                Sent::TooMuch(task, why) | Sent::Never(task, why) => {
                    self.settle(&task, TaskError::Arguments(why));
                }
            }
            if let Some(deadline) = timeout.and_then(ipc_core::deadline) {
                self.set_timer(deadline);
            }
        }
    }

    fn set_timer(&mut self, at: Instant) {
        if self.timer.is_none_or(|timer| at < timer) {
            self.timer = Some(at);
            self.calls_warden = true;
        }
    }

    /// The rest of the task has come to that end.
    fn settle(&mut self, task: &Task, error: TaskError) {
        task.call.set_over();
        self.out.push(Delivery {
            sink: Arc::clone(&task.call.sink),
            index: task.index + task.done as usize,
            items: task.items - task.done,
            results: Results::Error(error),
        });
    }

    /// Hears what a worker reports. What follows the report stands in `results`, or is in the worker's socket.
    pub(crate) fn hear(&mut self, place: u32, generation: u64, what: What, results: Range<usize>) {
        let Some(seat) = self.seats.get_mut(place as usize).filter(|seat| seat.generation == generation)
        else {
            return;
        };
        let Some(member) = seat.member.as_mut() else { return };
        match what {
            What::Ready => {
                member.ready();
                (self.crashes, self.refusals) = (0, 0);
                self.is_news = true;
            }
            What::Skipped => {
                member.skips = member.skips.saturating_sub(1);
                member.is_full = false;
            }
            What::NotReady(failure) => self.fail(failure.into()),
            What::Done { number, items, busy, fetch } => {
                self.done(place as usize, number, items, busy, fetch, results);
            }
        }
    }

    fn done(&mut self, place: usize, number: u64, items: u32, busy: u64, fetch: bool, part: Range<usize>) {
        let Some(member) = self.seats[place].member.as_mut() else { return };
        (member.is_full, member.is_stopped) = (false, false);
        member.moved = ipc_core::monotonic_coarse();
        // Also if nobody wants it any more: the next ones lie behind.
        let results = if fetch { member.fetch() } else { Results::Buffer(part) };
        let found = member.given.iter().position(|task| task.position(number) == Some(task.done));
        let pid = member.pid();
        let Some(task) = found.map(|at| &mut member.given[at]) else { return };
        let items = items.min(task.items - task.done);
        let sink = Arc::clone(&task.call.sink);
        self.out.push(Delivery { sink, index: task.index + task.done as usize, items, results });
        task.done += items;
        member.busy = member.busy.saturating_add(busy);
        let task_is_over = task.done == task.items;
        let slow =
            SlowTask { function: task.call.name, index: task.index, took: Duration::from_nanos(busy), pid };
        if task_is_over {
            task.call.set_over();
            member.given.remove(found.unwrap_or_default());
            member.tasks += 1;
            self.tasks += 1;
        }
        self.busy = self.busy.saturating_add(busy);
        self.typical = self.typical.saturating_mul(7).saturating_add(busy) / 8;
        self.barren = 0;
        if self.slowest.len() < SLOWEST || self.slowest.last().is_some_and(|last| last.took < slow.took) {
            let at = self.slowest.partition_point(|other| other.took >= slow.took);
            self.slowest.insert(at, slow);
            self.slowest.truncate(SLOWEST);
        }
    }

    /// After reports: gives out more, and ends the workers of a closed pool.
    pub(crate) fn go_on(&mut self) {
        self.hand_out();
        if self.pending.is_empty() {
            self.balance();
        }
        if matches!(self.phase, Phase::Closed) && self.unsettled() == 0 {
            self.members_mut().for_each(Member::stop);
        }
    }

    /// Who has nothing to do gets of what another has not begun.
    fn balance(&mut self) {
        for member in self.members_mut().filter(|member| member.is_stopped) {
            member.look_whether_stopped();
        }
        while self.members().any(|member| member.has_room(1) && !member.is_stopped) {
            let mut spare: Vec<_> = self.members_mut().map(|member| (member.spare(), member)).collect();
            spare.sort_by_key(|(count, _)| Reverse(*count));
            let (mut taken, mut is_getting) = (Vec::new(), false);
            for (count, member) in spare.into_iter().filter(|(count, _)| *count > 0) {
                taken = member.take_back(count);
                if !taken.is_empty() {
                    break;
                }
                is_getting |= member.is_getting;
            }
            if is_getting {
                // No report may ever come that would be the occasion.
                self.set_timer(Instant::now() + BALANCE_AGAIN);
            }
            if taken.is_empty() {
                return;
            }
            self.pending.extend(taken);
            self.hand_out();
            if !self.pending.is_empty() {
                return;
            }
        }
    }

    /// Sees to it that tasks of the call are not begun, and kills workers that run one if `kill` says so. Whether one
    /// was begun, and goes on or is done.
    pub(crate) fn cancel(&mut self, sink: &Arc<dyn Sink>, kill: bool) -> bool {
        let is_mine = |task: &Task| Arc::ptr_eq(&task.call.sink, sink);
        let mut goes_on = false;
        let mut back = Vec::new();
        for seat in &mut self.seats {
            let Some(member) = seat.member.as_mut() else { continue };
            if !member.given.iter().any(is_mine) {
                continue;
            }
            // What it has not begun comes back, so that what is left is what it is at, and what it has done.
            back.extend(member.take_back(usize::MAX));
            match member.is_at(&seat.note, is_mine) {
                Some(_) if kill && member.is_condemned => {}
                Some(number) if kill => member.condemn(Some((number, TaskError::Cancelled))),
                _ => goes_on |= member.given.iter().any(is_mine),
            }
        }
        back.into_iter().rev().for_each(|task| self.pending.push_front(task));
        goes_on
    }
}
