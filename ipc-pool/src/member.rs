//! One worker, as its parent sees it.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::Cause;
use ipc_core::transfer::Parcel;
use ipc_process::{Child, Process};
use ipc_queue::{PutTimeoutError, Queue};

use crate::board::Note;
use crate::error::{Death, TaskError};
use crate::state::Results;
use crate::sys;
use crate::task::Task;
use crate::wire::{FUNCTIONS, ORDER, Order, SKIP};

/// A worker that does not come to begin a task for so long is stopped, if the task may not even run so long.
const STALLED: Duration = Duration::from_secs(1);
/// Tasks that it could have begun for so long are done by others, if there are some who have nothing to do.
const STILL: Duration = Duration::from_millis(50);
/// So often it is tried to take something back from one who is just getting something.
const TRIES: u32 = 1000;

pub(crate) struct Member {
    /// `None` until it is known to be there, and in tests.
    child: Option<Child<()>>,
    /// It is known, so that it can be killed. It may have been ready before.
    is_known: bool,
    pub(crate) orders: Queue<[u8]>,
    pub(crate) socket: OwnedFd,
    /// What it has to do, in the order in which it was given.
    pub(crate) given: VecDeque<Task>,
    /// So many functions were introduced to it.
    told: usize,
    /// It may be given so many more tasks; `None` without a limit.
    left: Option<u32>,
    /// It was told to end.
    pub(crate) is_stopping: bool,
    /// Its socket has no room.
    pub(crate) is_full: bool,
    /// When something was to be taken back from it last, it was just getting something itself, for long.
    pub(crate) is_getting: bool,
    /// So many tasks it was given through its socket.
    sent: u64,
    /// So many orders to skip it has not carried out.
    pub(crate) skips: u32,
    /// It was found to be stopped, and has done nothing since.
    pub(crate) is_stopped: bool,
    /// It is being killed.
    pub(crate) is_condemned: bool,
    /// On account of that item, which gets that error.
    pub(crate) verdict: Option<(u64, TaskError)>,
    /// When it has done something, or could begin to, on the coarse clock.
    pub(crate) moved: Duration,
    pub(crate) started: Instant,
    /// How long it took until it was ready.
    pub(crate) ready_after: Option<Duration>,
    /// What it has done.
    pub(crate) tasks: u64,
    /// How long it took, in nanoseconds.
    pub(crate) busy: u64,
}

/// What became of a task that was to be sent.
pub(crate) enum Sent {
    Yes,
    /// There is no room now.
    Later(Task),
    /// There is none, and it is not this worker who has taken it.
    TooMuch(Task, String),
    Never(Task, String),
}

impl Member {
    pub(crate) fn new(orders: Queue<[u8]>, socket: OwnedFd, limit: Option<u32>) -> Member {
        Member {
            child: None,
            is_known: false,
            orders,
            socket,
            given: VecDeque::new(),
            told: 0,
            left: limit,
            is_stopping: false,
            is_full: false,
            is_getting: false,
            sent: 0,
            skips: 0,
            is_stopped: false,
            is_condemned: false,
            verdict: None,
            moved: Duration::ZERO,
            started: Instant::now(),
            ready_after: None,
            tasks: 0,
            busy: 0,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process().map_or(0, Process::pid)
    }

    pub(crate) fn process(&self) -> Option<&Process> {
        self.child.as_ref().map(Child::process)
    }

    /// It is there. Only from now on it is given anything.
    pub(crate) fn known(&mut self, child: Option<Child<()>>) {
        (self.child, self.is_known) = (child, true);
    }

    pub(crate) fn ready(&mut self) {
        self.ready_after = Some(self.started.elapsed());
    }

    /// Whether it can be given a task, if it may have that many.
    pub(crate) fn has_room(&self, depth: usize) -> bool {
        let is_able = !self.is_stopping && !self.is_condemned;
        self.is_known && self.ready_after.is_some() && is_able && !self.is_full && self.given.len() < depth
    }

    /// Sends the task, and writes it down.
    pub(crate) fn give(&mut self, task: Task, functions: &[usize]) -> Sent {
        if let Err(error) = self.introduce(functions) {
            return self.refused(task, &error);
        }
        let order = if task.is_large() {
            if let Err(error) = task.parcel.send(&self.socket) {
                return self.refused(task, &error);
            }
            self.sent += 1;
            &task.token(self.sent)[..]
        } else {
            task.parcel.bytes()
        };
        match self.orders.put_bytes_timeout(order, STALLED) {
            Ok(()) => {}
            Err(PutTimeoutError::Fault(_, error)) if !matches!(error.cause(), Cause::Damaged { .. }) => {
                return Sent::Never(task, error.to_string());
            }
            // It has spoilt its own queue.
            Err(_) => {
                self.condemn(None);
                return Sent::Later(task);
            }
        }
        if self.given.is_empty() {
            self.moved = ipc_core::monotonic_coarse();
        }
        self.given.push_back(task);
        if let Some(left) = &mut self.left {
            *left -= 1;
            if *left == 0 {
                self.stop();
            }
        }
        Sent::Yes
    }

    /// What could not be sent now can be later, unless there is nothing in the way.
    fn refused(&self, task: Task, error: &ipc_core::Error) -> Sent {
        let is_busy = !self.given.is_empty() || self.skips > 0;
        match error.os().map(io::Error::kind) {
            // A dead worker's, which will be noticed.
            Some(ErrorKind::BrokenPipe) => Sent::Later(task),
            Some(ErrorKind::WouldBlock) if is_busy => Sent::Later(task),
            _ if matches!(error.cause(), Cause::TooManyHandles { .. }) => {
                if is_busy {
                    Sent::Later(task)
                } else {
                    Sent::TooMuch(task, error.to_string())
                }
            }
            _ => Sent::Never(task, error.to_string()),
        }
    }

    /// Tells it of the functions that it does not know.
    pub(crate) fn introduce(&mut self, functions: &[usize]) -> ipc_core::Result<()> {
        let new = &functions[self.told.min(functions.len())..];
        if new.is_empty() {
            return Ok(());
        }
        let mut bytes = Order { flags: FUNCTIONS, ..Order::STOP }.to_bytes().to_vec();
        new.iter().for_each(|&function| bytes.extend_from_slice(&(function as u64).to_le_bytes()));
        Parcel::of_bytes(bytes).send(&self.socket)?;
        self.told = functions.len();
        Ok(())
    }

    /// There will be nothing more for it to do.
    pub(crate) fn stop(&mut self) {
        if !self.is_stopping {
            self.is_stopping = true;
            self.put_stop();
        }
    }

    fn put_stop(&self) {
        if self.orders.put_bytes_timeout(&Order::STOP.to_bytes(), STALLED).is_err() {
            // There is no memory for it, or the queue is spoilt. It has nothing that is not given to another.
            self.kill();
        }
    }

    /// So many tasks others may take over: half of them at most, but all that it does not come to begin.
    pub(crate) fn spare(&mut self) -> usize {
        if self.given.is_empty() {
            return 0;
        }
        let is_still = ipc_core::monotonic_coarse().saturating_sub(self.moved) >= STILL;
        if !is_still {
            return self.given.len() / 2;
        }
        let others = self.skips as usize + usize::from(self.is_stopping);
        let waiting = self.orders.len().saturating_sub(others).min(self.given.len());
        if waiting > 0 {
            self.look_whether_stopped();
        }
        waiting
    }

    /// Takes back what it has not begun, at most `count` tasks.
    pub(crate) fn take_back(&mut self, count: usize) -> Vec<Task> {
        let mut back = Vec::new();
        let mut skip = None;
        let mut stops = false;
        let mut tries = 0;
        self.is_getting = false;
        while back.len() < count && tries <= TRIES {
            let mut head = [0; ORDER];
            if self.orders.try_get_bytes_with(|bytes| bytes.read_at(0, &mut head)).is_err() {
                // It may be getting something itself just now; or be stopped within that.
                tries += 1;
                self.is_getting = tries > TRIES;
                if self.orders.is_empty() || self.is_getting {
                    break;
                }
                thread::yield_now();
                continue;
            }
            let Some((order, _)) = Order::parse(&head) else {
                tries += 1;
                continue;
            };
            if order.flags & SKIP != 0 {
                tries += 1;
                self.skips = self.skips.saturating_sub(1);
                // On the way to what came into the socket after that, it is skipped anyway.
                skip = (order.function == self.sent).then_some(head);
                continue;
            }
            if order.items == 0 {
                stops = true;
                break;
            }
            let at = self.given.iter().position(|task| task.number == order.number);
            if let Some((at, task)) = at.and_then(|at| Some((at, self.given.remove(at)?))) {
                self.left = self.left.map(|left| left + 1);
                if task.is_large() {
                    let is_last = !self.given.range(at..).any(Task::is_large);
                    skip = is_last.then(|| task.skip(self.sent));
                }
                back.push(task);
            } else {
                tries += 1;
            }
        }
        if let Some(skip) = skip
            && !self.is_stopping
            && self.orders.put_bytes_timeout(&skip, STALLED).is_ok()
        {
            self.skips += 1;
        }
        if self.given.is_empty() {
            // There may be no report any more that tells of room.
            self.is_full = false;
        }
        if stops {
            self.put_stop();
        }
        back
    }

    /// The next results that it has sent through the socket.
    pub(crate) fn fetch(&self) -> Results {
        match Parcel::receive(&self.socket) {
            Ok(Some(parcel)) => Results::Parcel(parcel),
            Ok(None) => Results::Error(TaskError::Result("it did not arrive".to_owned())),
            Err(error) => Results::Error(TaskError::Result(error.to_string())),
        }
    }

    /// Kills it if its item runs longer than it may, or it does not come to begin one for so long: then it is stopped, or
    /// worse. When to look again.
    pub(crate) fn look_at_clock(&mut self, note: &Note) -> Option<Duration> {
        let limits = || self.given.iter().map(|task| task.call.terms.timeout);
        let soonest = limits().flatten().min()?;
        let begun = note.begun();
        let running = begun.number().filter(|_| begun.is_running());
        let is_at = |task: &&Task| running.is_some_and(|number| task.position(number).is_some());
        let (left, verdict) = match (running, self.given.iter().find(is_at)) {
            (Some(number), Some(task)) => {
                let Some(limit) = task.call.terms.timeout else { return Some(soonest) };
                let left = limit.saturating_sub(Duration::from_nanos(note.elapsed()));
                (left, Some((number, TaskError::TimedOut { limit, pid: self.pid() })))
            }
            // What is not timed does not look whether there is a sentence.
            _ if limits().any(|limit| limit.is_none()) => return Some(soonest),
            _ => {
                let waited = ipc_core::monotonic_coarse().saturating_sub(self.moved);
                (soonest.max(STALLED).saturating_sub(waited), None)
            }
        };
        if left.is_zero() && note.sentence(begun) {
            self.condemn(verdict);
            return None;
        }
        Some(if left.is_zero() { soonest } else { left.min(soonest) })
    }

    /// The number of the item that it is at or comes to next, if that is of such a task. To be asked when all that could
    /// be taken back was.
    pub(crate) fn is_at(&self, note: &Note, is_mine: impl Fn(&Task) -> bool) -> Option<u64> {
        let begun = note.begun();
        let running = begun.number().filter(|_| begun.is_running());
        let at = |number: u64| self.given.iter().find(|task| task.position(number).is_some());
        let task = match (running, self.is_getting) {
            (Some(number), _) => at(number)?,
            // It may begin any of them.
            (None, true) => return None,
            // It has ended that one, or will begin it.
            (None, false) => self.given.back().filter(|task| {
                let last = task.number + u64::from(task.items) - 1;
                begun.number() != Some(last)
            })?,
        };
        is_mine(task).then(|| task.number + u64::from(task.done))
    }

    /// Kills it, on account of an item or of itself.
    pub(crate) fn condemn(&mut self, verdict: Option<(u64, TaskError)>) {
        (self.is_condemned, self.verdict) = (true, verdict);
        self.kill();
    }

    pub(crate) fn kill(&self) {
        if let Some(process) = self.process() {
            // If that is refused it has ended, or belongs to another user by now, and nothing can be done.
            let _ = process.kill();
        }
    }

    /// Finds out whether it is stopped, as by SIGSTOP.
    pub(crate) fn look_whether_stopped(&mut self) -> bool {
        self.is_stopped = self.process().is_some_and(|process| sys::is_stopped(process.as_fd()));
        self.is_stopped
    }

    pub(crate) fn death(&self) -> Death {
        Death::from_exit_code(self.process().and_then(Process::exit_code))
    }

    /// What it said in its end, if it did not come so far as to have a task.
    pub(crate) fn last_words(&mut self) -> Option<String> {
        self.child.as_mut()?.try_join().err().map(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ipc_core::transfer;

    use super::*;
    use crate::result::{Callback, Slot};
    use crate::task::{CallInfo, Terms};
    use crate::wire::LARGE;

    /// A worker that is ready, with two tasks of so many bytes; and its end of the socket.
    fn busy(len: usize, limit: Option<u32>) -> (Member, OwnedFd) {
        let (socket, theirs) = transfer::channel().unwrap();
        let mut member = Member::new(Queue::unbounded().unwrap(), socket, limit);
        member.known(None);
        member.ready();
        let slot: Arc<Slot<()>> = Slot::new(Callback::NONE);
        let call = CallInfo::new(0, "f", Terms { timeout: None, retries: 0 }, slot);
        for number in 1..=2 {
            let mut bytes = call.order(number, 1).to_vec();
            bytes.resize(len, 0);
            let task = Task::new(&call, number, 1, 0, Parcel::of_bytes(bytes));
            assert!(matches!(member.give(task, &[]), Sent::Yes));
        }
        (member, theirs)
    }

    #[test]
    fn an_order_that_is_no_task_is_not_for_others() {
        for (len, limit) in [(LARGE + 1, None), (ORDER, Some(2))] {
            let (mut member, _theirs) = busy(len, limit);
            member.moved = Duration::ZERO;
            assert_eq!(member.spare(), 2);
            // It begins the first, and the other one is taken back.
            member.orders.try_get_bytes().unwrap();
            assert_eq!(member.take_back(1).len(), 1);
            assert!(!member.orders.is_empty(), "it is told of that, or to stop");
            assert_eq!(member.spare(), 0);
        }
    }

    #[test]
    fn who_has_nothing_left_to_do_is_not_full() {
        let (mut member, _theirs) = busy(ORDER, None);
        // As when another one had too many handles for the moment.
        member.is_full = true;
        assert_eq!(member.take_back(1).len(), 1);
        assert!(!member.has_room(2), "it reports when it has done the other one");
        assert_eq!(member.take_back(1).len(), 1);
        assert!(member.has_room(2), "nobody will ever hear of it");
    }
}
