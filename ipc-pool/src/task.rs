//! Tasks as the parent keeps them until they are settled.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipc_core::transfer::Parcel;

use crate::desk::Desk;
use crate::outcomes::Outcomes;
use crate::wire::{self, FETCH, LARGE, ORDER, Order, SKIP, TIMED};

/// Who waits for results.
pub(crate) trait Sink: Send + Sync {
    /// Takes the results of items of the call, from that one on.
    fn deliver(self: Arc<Self>, desk: &Arc<Desk>, index: usize, results: Outcomes<'_>);

    /// Nobody wants them any more.
    fn is_cancelled(&self) -> bool;
}

/// How the tasks of a call are treated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// An item may run that long.
    pub(crate) timeout: Option<Duration>,
    /// An item is begun again so often if its worker dies.
    pub(crate) retries: u32,
}

/// What is given to a worker at once: items of one call.
pub(crate) struct Task {
    /// Of the first item.
    pub(crate) number: u64,
    pub(crate) items: u32,
    /// So many items have come back.
    pub(crate) done: u32,
    /// The index of the first item in its call.
    pub(crate) index: usize,
    /// How often its first item was begun by workers that died.
    pub(crate) attempts: u32,
    pub(crate) call: Arc<CallInfo>,
    /// The order, and the arguments with their handles.
    pub(crate) parcel: Parcel,
}

/// What the tasks of a call have in common.
pub(crate) struct CallInfo {
    /// Where in the program the function lies.
    pub(crate) function: usize,
    pub(crate) name: &'static str,
    pub(crate) terms: Terms,
    pub(crate) sink: Arc<dyn Sink>,
    /// A task of it is over, and its result on its way.
    over: AtomicBool,
}

impl CallInfo {
    pub(crate) fn new(
        function: usize,
        name: &'static str,
        terms: Terms,
        sink: Arc<dyn Sink>,
    ) -> Arc<CallInfo> {
        Arc::new(CallInfo { function, name, terms, sink, over: AtomicBool::new(false) })
    }

    pub(crate) fn set_over(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// The order for items of the call.
    pub(crate) fn order(&self, number: u64, items: u32) -> [u8; ORDER] {
        let flags = if self.terms.timeout.is_some() { TIMED } else { 0 };
        Order { number, function: self.function as u64, items, flags }.to_bytes()
    }
}

impl Task {
    /// Of items whose arguments stand in the parcel behind their order.
    pub(crate) fn new(call: &Arc<CallInfo>, number: u64, items: u32, index: usize, parcel: Parcel) -> Task {
        Task { number, items, done: 0, index, attempts: 0, call: Arc::clone(call), parcel }
    }

    /// Whether it goes through the socket.
    pub(crate) fn is_large(&self) -> bool {
        self.parcel.handles() > 0 || self.parcel.bytes().len() > LARGE
    }

    /// What stands in the queue if the rest is in the socket, as so many came there before it, and it.
    pub(crate) fn token(&self, sent: u64) -> [u8; ORDER] {
        Order { number: self.number, function: sent, items: self.items, flags: FETCH }.to_bytes()
    }

    /// What says that the rest, which is in the socket, is of no use any more. It was the last of so many.
    pub(crate) fn skip(&self, sent: u64) -> [u8; ORDER] {
        Order { number: self.number, function: sent, items: self.items, flags: SKIP }.to_bytes()
    }

    /// Whether it has an item of that number which has not come back; which one, from the first on.
    pub(crate) fn position(&self, number: u64) -> Option<u32> {
        let item = u32::try_from(number.checked_sub(self.number)?).ok()?;
        (self.done..self.items).contains(&item).then_some(item)
    }

    /// After the death of its worker: the items up to `begun`, each by itself, and the rest.
    pub(crate) fn split(self, begun: u32) -> (Vec<Task>, Option<Task>) {
        let (first, items) = (self.done, self.items);
        if first == 0 && begun == 0 {
            return (Vec::new(), Some(self));
        }
        if items == 1 {
            return (vec![self], None);
        }
        // More than one item: there are no handles among them.
        let starts = self.starts();
        let part = |from: u32, to: u32| {
            let number = self.number + u64::from(from);
            let order = self.call.order(number, to - from);
            let bytes = &self.parcel.bytes()[starts[from as usize]..starts[to as usize]];
            let parcel = Parcel::of_bytes([&order, bytes].concat());
            Task::new(&self.call, number, to - from, self.index + from as usize, parcel)
        };
        let singles = (first..begun).map(|item| part(item, item + 1)).collect();
        (singles, (begun < items).then(|| part(begun.max(first), items)))
    }

    /// Where each item begins in the parcel, and the last one ends.
    fn starts(&self) -> Vec<usize> {
        let bytes = self.parcel.bytes();
        let mut rest = &bytes[ORDER..];
        let mut starts = vec![ORDER];
        while let Some((_, behind)) = wire::pop(rest) {
            rest = behind;
            starts.push(bytes.len() - rest.len());
        }
        starts
    }
}
