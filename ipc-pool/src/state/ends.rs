//! What comes to its end: workers and what they had been given, tasks that take too long, the pool.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_process::Process;

use super::{Phase, State};
use crate::error::{Death, PoolError, TaskError};
use crate::member::Member;
use crate::task::Task;

/// After so many workers in a row that died before they were ready, there is no pool any more.
const CRASHES: u32 = 8;
/// After so many that died without having done anything, later ones are started ever more slowly.
const BARREN: u32 = 16;

impl State {
    /// Hears that a worker has ended, after all it reported was heard.
    pub(crate) fn hear_end(&mut self, place: u32, generation: u64) {
        if self.seats.get(place as usize).is_some_and(|seat| seat.generation == generation) {
            self.bury(place as usize);
        }
    }

    /// A worker has ended, and all it reported was heard.
    fn bury(&mut self, place: usize) {
        let seat = &mut self.seats[place];
        let Some(mut member) = seat.member.take() else { return };
        let begun = seat.note.begun().number();
        let death = member.death();
        let mut again = Vec::new();
        let mut had_begun = false;
        for task in mem::take(&mut member.given) {
            let last = begun.and_then(|number| task.position(number));
            let begun = last.map_or(task.done, |last| last + 1);
            let (victims, rest) = task.split(begun);
            had_begun |= !victims.is_empty();
            again.extend(victims.into_iter().filter_map(|victim| self.mourn(victim, &member, death)));
            again.extend(rest);
        }
        again.into_iter().rev().for_each(|task| self.pending.push_front(task));
        self.restarts += u64::from(self.wants_workers());
        if !(had_begun || member.is_stopping && death == Death::Code(0)) {
            self.count_death(place, &mut member, death);
        }
        self.calls_warden = true;
    }

    /// What becomes of an item that was begun by a worker which died: it is to be begun again, or has failed.
    fn mourn(&mut self, mut task: Task, member: &Member, death: Death) -> Option<Task> {
        let error = match &member.verdict {
            Some((number, error)) if *number == task.number => error.clone(),
            _ => {
                task.attempts += 1;
                if task.attempts <= task.call.terms.retries {
                    return Some(task);
                }
                TaskError::WorkerDied { death, pid: member.pid(), attempts: task.attempts }
            }
        };
        self.settle(&task, error);
        None
    }

    /// A worker has died that was not at anything. If that happens again and again, something is wrong with all of them.
    fn count_death(&mut self, place: usize, member: &mut Member, death: Death) {
        let pause = if member.ready_after.is_none() {
            self.crashes += 1;
            if self.crashes >= CRASHES {
                let last = member.last_words().unwrap_or_else(|| death.to_string());
                return self.fail(PoolError::CrashLoop { workers: self.crashes, last });
            }
            self.crashes - 1
        } else if member.tasks == 0 && member.started.elapsed() < Duration::from_secs(1) {
            self.barren += 1;
            self.barren.saturating_sub(BARREN)
        } else {
            0
        };
        if pause > 0 {
            self.seats[place].not_before = Instant::now() + Duration::from_millis(1 << pause.min(10));
        }
    }

    /// A worker could not be started: it is tried again, ever more slowly, unless there is no other.
    pub(crate) fn not_started(&mut self, place: usize, error: PoolError) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals >= CRASHES && self.members().next().is_none() {
            return self.fail(error);
        }
        self.seats[place].not_before = Instant::now() + Duration::from_millis(1 << self.refusals.min(10));
    }

    /// There will be no more workers: nothing that waits is done any more.
    pub(crate) fn fail(&mut self, error: PoolError) {
        if matches!(self.phase, Phase::Terminated | Phase::Failed(_)) {
            return;
        }
        let error = Arc::new(error);
        self.phase = Phase::Failed(Arc::clone(&error));
        self.end_all(&TaskError::Pool(error));
    }

    /// Ends all work.
    pub(crate) fn terminate(&mut self) {
        if !matches!(self.phase, Phase::Failed(_)) {
            self.phase = Phase::Terminated;
        }
        self.end_all(&TaskError::Terminated);
    }

    fn end_all(&mut self, error: &TaskError) {
        let mut tasks: Vec<_> = self.pending.drain(..).collect();
        for member in self.members_mut() {
            member.kill();
            tasks.extend(member.given.drain(..));
        }
        tasks.iter().for_each(|task| self.settle(task, error.clone()));
        self.calls_warden = true;
        self.is_news = true;
    }

    /// The workers cannot be heard any more, and were killed.
    pub(crate) fn forget_all(&mut self) {
        for seat in &mut self.seats {
            if let Some(member) = seat.member.take() {
                member.process().into_iter().for_each(Process::wait);
            }
        }
    }

    /// Kills the workers whose item runs longer than it may, and tries again what could not be done before.
    pub(crate) fn kill_overdue(&mut self) {
        self.timer = None;
        let mut next: Option<Instant> = None;
        for seat in &mut self.seats {
            if let Some(member) = seat.member.as_mut().filter(|member| !member.is_condemned) {
                let left = member.look_at_clock(&seat.note);
                next = next.into_iter().chain(left.and_then(ipc_core::deadline)).min();
            }
        }
        if let Some(next) = next {
            self.set_timer(next);
        }
        self.go_on();
    }

    /// Kills the workers that are stopped: one of them keeps all others from reporting.
    pub(crate) fn kill_stopped(&mut self) {
        for member in self.members_mut().filter(|member| !member.is_condemned) {
            if member.look_whether_stopped() {
                member.condemn(None);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ipc_core::transfer;
    use ipc_queue::Queue;

    use super::*;
    use crate::board::{self, Note};

    #[test]
    fn a_pool_whose_workers_cannot_be_replaced_fails_only_if_none_is_left() {
        let board = board::create(2).unwrap();
        let notes = (0..2).map(|place| Note::new(&board, place).unwrap());
        let mut state = State::new(notes.collect(), Vec::new());
        let (socket, _theirs) = transfer::channel().unwrap();
        state.seats[0].member = Some(Member::new(Queue::unbounded().unwrap(), socket, None));
        for _ in 0..100 {
            let now = Instant::now();
            state.not_started(1, PoolError::Start("not now".to_owned()));
            assert!(matches!(state.phase, Phase::Open));
            assert!(state.seats[1].not_before > now, "it is tried again at once");
        }
        state.seats[0].member = None;
        state.not_started(1, PoolError::Start("not now".to_owned()));
        assert!(matches!(state.phase, Phase::Failed(_)));
    }
}
