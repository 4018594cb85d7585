//! What a worker does: takes orders, one after the other, runs them, and reports.

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::process;
use std::time::Instant;

use ipc_core::transfer::Parcel;
use ipc_core::{Fd, Segment, codec};
use ipc_process::Parent;
use ipc_queue::Queue;
use serde::{Deserialize, Serialize};

use crate::board::Note;
use crate::entry::{self, Entry, Input};
use crate::sys;
use crate::wire::{self, FETCH, FUNCTIONS, Failure, Item, LARGE, ORDER, Order, Report, SKIP, TIMED, What};

/// The exit code of a worker that cannot report, or that nobody would listen to.
const UNHEARD: i32 = 125;

/// What a worker gets from its parent.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) place: u32,
    pub(crate) generation: u64,
    pub(crate) orders: Queue<[u8]>,
    pub(crate) reports: Queue<[u8]>,
    pub(crate) board: Segment,
    pub(crate) socket: Fd<OwnedFd>,
    /// The first parcel is an initializer's.
    pub(crate) has_initializer: bool,
    /// The number of a function to be run at the end.
    pub(crate) exit: Option<u64>,
    /// In bytes.
    pub(crate) memory: Option<u64>,
}

/// A worker's side.
pub(crate) struct Worker {
    place: u32,
    generation: u64,
    orders: Queue<[u8]>,
    reports: Queue<[u8]>,
    note: Note,
    socket: OwnedFd,
    functions: HashMap<u64, Entry>,
    /// Taken out of the socket in search of a function.
    parcels: VecDeque<Parcel>,
    /// So many tasks came out of the socket, without those parcels.
    fetched: u64,
    /// Kept for the next results.
    results: Vec<u8>,
}

/// The function of a worker's process.
pub(crate) fn work(start: Start) {
    sys::ignore_interrupts();
    sys::go_on_at_parents_end();
    // It may have ended before that.
    if !ipc_process::parent().is_some_and(Parent::is_alive) {
        return;
    }
    if let Some(bytes) = start.memory {
        sys::limit_memory(bytes);
    }
    let (has_initializer, exit) = (start.has_initializer, start.exit);
    // If there is none, the parent says what it can: that the worker ended.
    let Ok(mut worker) = Worker::new(start) else { return };
    if has_initializer && !worker.initialize() {
        return;
    }
    worker.report(What::Ready, &[]);
    while worker.serve() {}
    if let Some(exit) = exit.and_then(|exit| worker.function(exit)) {
        // Its panic is printed as every panic of the process. Nobody waits for its result.
        drop(exit(Input::Bytes(&[]), &mut Vec::new()));
    }
}

impl Worker {
    pub(crate) fn new(start: Start) -> ipc_core::Result<Worker> {
        Ok(Worker {
            place: start.place,
            generation: start.generation,
            orders: start.orders,
            reports: start.reports,
            note: Note::new(&start.board, start.place)?,
            socket: start.socket.0,
            functions: HashMap::new(),
            parcels: VecDeque::new(),
            fetched: 0,
            results: Vec::new(),
        })
    }

    /// Runs the initializer; false if it failed, which is reported.
    fn initialize(&mut self) -> bool {
        let failure = match self.next() {
            Ok(Some(parcel)) => {
                let order = Order::parse(parcel.bytes()).map(|(order, _)| order);
                let Some(entry) = order.and_then(|order| self.function(order.function)) else { return false };
                let mut results = Vec::new();
                // It returns words at most.
                drop(entry(whole(parcel), &mut results));
                wire::pop(&results).and_then(|(item, _)| refusal(&item))
            }
            Ok(None) => return false,
            Err(error) => Some(Failure::Arguments(error.to_string())),
        };
        let Some(failure) = failure else { return true };
        self.report(What::NotReady(failure), &[]);
        false
    }

    /// Carries out the next order; false if it was the last.
    pub(crate) fn serve(&mut self) -> bool {
        // What is wrong with the queue cannot be repaired here. The parent will start another worker.
        wire::look_for(&self.orders);
        let Ok(bytes) = self.orders.get_bytes() else { return false };
        let begun = Instant::now();
        let Some((order, arguments)) = Order::parse(&bytes) else { return false };
        if order.items == 0 {
            return false;
        }
        if order.flags & SKIP != 0 {
            // Whatever comes of it: it is out of the socket.
            let _ = self.fetch(order.function);
            self.report(What::Skipped, &[]);
            return true;
        }
        if order.flags & FETCH == 0 {
            return self.run(order, arguments, None, begun);
        }
        let parcel = match self.fetch(order.function) {
            Ok(Some(parcel)) => parcel,
            Ok(None) => return false,
            Err(error) => {
                self.give_up(order.number, order.items, &Failure::Arguments(error.to_string()));
                return true;
            }
        };
        let found = Order::parse(parcel.bytes()).filter(|(found, _)| found.number == order.number);
        let Some((order, arguments)) = found else { return false };
        if parcel.handles() > 0 {
            return self.run(order, &[], Some(Box::new(parcel)), begun);
        }
        self.run(order, arguments, None, begun)
    }

    /// Runs the items of an order, and reports their results: at once if they take long, so that they are not lost with
    /// a worker that dies in a later one.
    fn run(
        &mut self,
        order: Order,
        mut arguments: &[u8],
        mut parcel: Option<Box<Parcel>>,
        mut since: Instant,
    ) -> bool {
        let Some(entry) = self.function(order.function) else { return false };
        let (mut first, end) = (order.number, order.number.saturating_add(u64::from(order.items)));
        let timed = order.flags & TIMED != 0;
        let mut tick = ipc_core::monotonic_coarse();
        let mut results = mem::take(&mut self.results);
        for number in order.number..end {
            if !self.note.begin(number, timed) {
                process::exit(UNHEARD);
            }
            let parcel = match parcel.take() {
                Some(parcel) => entry(whole(*parcel), &mut results),
                None => {
                    let Some((item, rest)) = wire::pop(arguments) else { return false };
                    arguments = rest;
                    entry(Input::Bytes(item.bytes), &mut results)
                }
            };
            if !self.note.end(number, timed) {
                process::exit(UNHEARD);
            }
            let is_last = number + 1 == end;
            let now = if is_last { tick } else { ipc_core::monotonic_coarse() };
            // What is timed is reported at once: the next one may be killed for the time it takes.
            if is_last || timed || now != tick || parcel.is_some() || results.len() > LARGE {
                since = self.done(first, (number + 1 - first) as u32, parcel, &mut results, since);
                (first, tick) = (number + 1, now);
            }
        }
        self.results = results;
        true
    }

    /// Reports results, which are gone then; the time.
    fn done(
        &mut self,
        number: u64,
        items: u32,
        parcel: Option<Box<Parcel>>,
        results: &mut Vec<u8>,
        since: Instant,
    ) -> Instant {
        let now = Instant::now();
        let busy = now.duration_since(since).as_nanos() as u64;
        let large = || (results.len() > LARGE).then(|| Box::new(Parcel::of_bytes(mem::take(results))));
        let parcel = parcel.or_else(large);
        match parcel.map(|parcel| self.send(&parcel)) {
            None => self.report(What::Done { number, items, busy, fetch: false }, results),
            Some(Ok(())) => self.report(What::Done { number, items, busy, fetch: true }, &[]),
            Some(Err(error)) => self.give_up(number, items, &Failure::Result(error.to_string())),
        }
        results.clear();
        now
    }

    /// Reports items that have no results.
    fn give_up(&self, number: u64, items: u32, failure: &Failure) {
        let mut results = Vec::new();
        (0..items).for_each(|_| wire::push_failure(&mut results, failure));
        self.report(What::Done { number, items, busy: 0, fetch: false }, &results);
    }

    pub(crate) fn report(&self, what: What, results: &[u8]) {
        let report = Report { place: self.place, generation: self.generation, what };
        if wire::put_report(&report, results, |len| self.reports.reserve(len)).is_err() {
            // There is no memory for it. The parent will see that this worker has ended.
            process::exit(UNHEARD);
        }
    }

    /// Sends results through the socket, waiting for room.
    fn send(&self, results: &Parcel) -> ipc_core::Result<()> {
        loop {
            match results.send(&self.socket) {
                Err(error) if error.os().is_some_and(|error| error.kind() == ErrorKind::WouldBlock) => {
                    sys::wait_writable(self.socket.as_fd());
                }
                sent => return sent,
            }
        }
    }

    /// The task that came into the socket as that one, if it is still there. Those before it were taken back.
    fn fetch(&mut self, sent: u64) -> ipc_core::Result<Option<Parcel>> {
        while self.fetched < sent {
            let Some(next) = self.next()? else { break };
            self.fetched += 1;
            if self.fetched == sent {
                return Ok(Some(next));
            }
        }
        Ok(None)
    }

    /// The next that is to be run.
    fn next(&mut self) -> ipc_core::Result<Option<Parcel>> {
        if let Some(parcel) = self.parcels.pop_front() {
            return Ok(Some(parcel));
        }
        while let Some(parcel) = Parcel::receive(&self.socket)? {
            if !self.learn(&parcel) {
                return Ok(Some(parcel));
            }
        }
        Ok(None)
    }

    /// Takes note of functions, if the parcel introduces some; whether it does.
    fn learn(&mut self, parcel: &Parcel) -> bool {
        let order = Order::parse(parcel.bytes()).filter(|(order, _)| order.flags & FUNCTIONS != 0);
        let Some((_, functions)) = order else { return false };
        for number in functions.as_chunks().0.iter().copied().map(u64::from_le_bytes) {
            if let Some(entry) = usize::try_from(number).ok().and_then(entry::introduced) {
                self.functions.insert(number, entry);
            }
        }
        true
    }

    /// The function of that number, which the parent has introduced before it asked for it; maybe behind arguments whose
    /// orders were taken back, and which will be skipped.
    fn function(&mut self, number: u64) -> Option<Entry> {
        while !self.functions.contains_key(&number) {
            let parcel = Parcel::receive(&self.socket).ok()??;
            if !self.learn(&parcel) {
                self.parcels.push_back(parcel);
            }
        }
        self.functions.get(&number).copied()
    }
}

/// The arguments of a parcel with one item.
fn whole(parcel: Parcel) -> Input<'static> {
    let bytes = parcel.bytes();
    let item = bytes.get(ORDER..).and_then(wire::pop).map_or(0, |(item, _)| item.bytes.len());
    let start = bytes.len().min(ORDER + wire::LENGTH);
    Input::Parcel(Box::new((parcel, start..start + item)))
}

/// What an initializer refused with.
fn refusal(item: &Item<'_>) -> Option<Failure> {
    if item.failed {
        return Some(item.failure().unwrap_or_else(|error| Failure::Result(error.into())));
    }
    let returned: Result<(), String> =
        codec::decode_all(item.bytes).unwrap_or_else(|error| Err(error.into()));
    returned.err().map(Failure::Refused)
}

#[cfg(test)]
mod tests {
    use ipc_core::Blob;

    use super::*;
    use crate::builder::Settings;
    use crate::desk::Desk;
    use crate::help::{call, seat, tasks};
    use crate::member::Sent;

    #[test]
    fn a_task_that_comes_to_a_worker_again_and_again_leaves_nothing_in_its_socket() {
        let desk = Desk::new(Settings { workers: 1, ..Settings::default() }).unwrap();
        let call = call(|index: u32, _blob: Blob| (index,), 0);
        let mut worker = seat(&desk, 0);
        let mut state = desk.lock();
        let member = state.seats[0].member.as_mut().unwrap();
        let args = [(0_u32, Blob::new(b"shared").unwrap())];
        let mut task = tasks(&desk, &call, 0, &args).next().unwrap();
        for _ in 0..3 {
            assert!(matches!(member.give(task, &[call.function]), Sent::Yes));
            task = member.take_back(1).pop().unwrap();
        }
        assert!(matches!(member.give(task, &[call.function]), Sent::Yes));
        // To skip, and the task.
        assert!(worker.serve() && worker.serve());
        assert!(worker.parcels.is_empty() && worker.orders.is_empty());
        assert!(Parcel::receive(&worker.socket).unwrap().is_none(), "its handles stay open");
    }
}
