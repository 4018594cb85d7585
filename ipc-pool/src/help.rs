//! What tests of the parent's side and the worker's share: both in one process, without threads.

use std::iter;
use std::sync::Arc;

use ipc_core::{codec, transfer};
use ipc_process::Function;
use ipc_queue::Queue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::desk::Desk;
use crate::entry;
use crate::error::TaskError;
use crate::member::Member;
use crate::outcomes::Outcomes;
use crate::pack::{Packed, pack};
use crate::state::{Results, State};
use crate::task::{CallInfo, Sink, Task, Terms};
use crate::wire::{self, Report};
use crate::worker::Worker;

/// Nobody: what is delivered is looked at on its way.
pub(crate) struct Nobody;

impl Sink for Nobody {
    fn deliver(self: Arc<Self>, _: &Arc<Desk>, _: usize, _: Outcomes<'_>) {}

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Calls of that function, with arguments of that type.
pub(crate) fn call<F, Args>(_: F, retries: u32) -> Arc<CallInfo>
where
    F: Function<Args, Output: Serialize>,
    Args: DeserializeOwned,
{
    let function = entry::offset::<F, Args>().unwrap();
    CallInfo::new(function, "", Terms { timeout: None, retries }, Arc::new(Nobody))
}

/// Tasks with these arguments, of which the first has that index.
pub(crate) fn tasks<Args: Serialize>(
    desk: &Desk,
    call: &Arc<CallInfo>,
    index: usize,
    all: &[Args],
) -> impl Iterator<Item = Task> {
    pack(desk, call, index, all).into_iter().map(|packed| match packed {
        Packed::Task(task) => task,
        Packed::Failed(_, why) => panic!("{why}"),
    })
}

/// Gives that seat to a worker that is ready.
pub(crate) fn seat(desk: &Arc<Desk>, place: u32) -> Worker {
    let (socket, theirs) = transfer::channel().unwrap();
    let mut member = Member::new(Queue::unbounded().unwrap(), socket, None);
    member.known(None);
    member.ready();
    Worker::new(desk.take_seat(place, member, theirs).unwrap()).unwrap()
}

/// Hears what is in the queue of reports.
pub(crate) fn hear_all(desk: &Desk, fates: &mut [Vec<bool>]) {
    while hear(desk, fates).is_some() {}
}

/// Hears the next report, if there is one; whose it is.
pub(crate) fn hear(desk: &Desk, fates: &mut [Vec<bool>]) -> Option<usize> {
    let bytes = desk.reports.try_get_bytes().ok()?;
    let (report, results) = codec::decode::<Report>(&bytes).expect("a report is whole");
    let mut state = desk.lock();
    let part = bytes.len() - results.len()..bytes.len();
    state.hear(report.place, report.generation, report.what, part);
    note_fates(&mut state, fates, &bytes);
    Some(report.place as usize)
}

/// Whether each item that is settled has a result.
pub(crate) fn note_fates(state: &mut State, fates: &mut [Vec<bool>], buffer: &[u8]) {
    for delivery in std::mem::take(&mut state.out) {
        let bytes = match &delivery.results {
            Results::Buffer(part) => &buffer[part.clone()],
            Results::Parcel(parcel) => parcel.bytes(),
            Results::Error(error) => {
                assert!(matches!(error, TaskError::WorkerDied { .. }), "{error}");
                (0..delivery.items).for_each(|at| fates[delivery.index + at as usize].push(false));
                continue;
            }
        };
        let mut rest = bytes;
        let results = iter::from_fn(|| {
            let (item, behind) = wire::pop(rest)?;
            rest = behind;
            Some(item)
        });
        let results: Vec<_> = results.collect();
        assert_eq!(results.len(), delivery.items as usize, "torn");
        for (at, item) in results.iter().enumerate() {
            assert!(!item.failed);
            let index: u32 = codec::decode(item.bytes).unwrap().0;
            assert_eq!(index as usize, delivery.index + at, "torn");
            fates[index as usize].push(true);
        }
    }
}
