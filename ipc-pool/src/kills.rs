//! A worker that is killed at an instruction of its work: each task has its result or fails, or is done by another; and
//! one that was not begun is never lost, nor one begun twice.

use std::iter;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};

use ipc_core::{Blob, Fd, codec, transfer};
use ipc_crash_test::alone::{LONG, alone, leave};
use ipc_crash_test::{KillTest, Outcome, SharedBox};
use ipc_process::Function;
use ipc_queue::Queue;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::builder::Settings;
use crate::desk::Desk;
use crate::entry;
use crate::error::TaskError;
use crate::member::Member;
use crate::pack::{Packed, pack};
use crate::state::{Results, State};
use crate::task::{CallInfo, Sink, Terms};
use crate::wire::{self, Report};
use crate::worker::{Start, Worker};

/// Kills at every so many instructions, or at as many as this variable of the environment says. Without optimisation
/// everything is ten times as long.
const STRIDE: u64 = if cfg!(debug_assertions) { 2003 } else { 211 };
const VARIABLE: &str = "IPC_KILL_STRIDE";

const MOST: usize = 8;
/// How often each item was begun, and carried through.
static RUNS: LazyLock<SharedBox<[AtomicU32; MOST]>> =
    LazyLock::new(|| SharedBox::new([const { AtomicU32::new(0) }; MOST]));

fn count(index: u32) -> u32 {
    RUNS[index as usize].fetch_add(1, SeqCst);
    index
}

fn count_blob(index: u32, blob: Blob) -> (u32, Blob) {
    (count(index), blob)
}

/// Nobody: what is delivered is looked at on its way.
struct Nobody;

impl Sink for Nobody {
    fn deliver(
        self: Arc<Self>,
        _: &Arc<Desk>,
        _: usize,
        _: &mut dyn Iterator<Item = Result<&[u8], TaskError>>,
    ) {
    }

    fn is_cancelled(&self) -> bool {
        false
    }
}

/// A parent without threads, and one worker's side.
struct Scene {
    desk: Arc<Desk>,
    worker: Mutex<Worker>,
    orders: u32,
    items: u32,
}

impl Scene {
    /// With so many tasks of so many items for the worker.
    fn new<F, Args>(_: F, retries: u32, orders: u32, items: u32, args: fn(u32) -> Args) -> Scene
    where
        F: Function<Args, Output: Serialize>,
        Args: Serialize + DeserializeOwned,
    {
        RUNS.iter().for_each(|runs| runs.store(0, SeqCst));
        let desk = Desk::new(Settings { workers: 1, ..Settings::default() }).unwrap();
        let terms = Terms { timeout: None, retries };
        let function = entry::offset::<F, Args>().unwrap();
        let call = CallInfo::new(function, "", terms, Arc::new(Nobody));
        let worker = seat(&desk);
        // So short that it gets all ahead.
        desk.lock().typical = 1;
        for order in 0..orders {
            let first = order * items;
            let all: Vec<Args> = (first..first + items).map(args).collect();
            for packed in pack(&desk, &call, first as usize, &all) {
                let Packed::Task(task) = packed else { panic!("it can be encoded") };
                desk.lock().take(task);
            }
        }
        Scene { desk, worker: Mutex::new(worker), orders, items }
    }

    /// The worker carries orders out.
    fn serve(&self, orders: u32) {
        let mut worker = self.worker.lock().unwrap();
        (0..orders).for_each(|_| assert!(worker.serve()));
    }

    /// After its death: what becomes of each item.
    fn check(&self, outcome: Outcome, retries: u32) {
        let mut fates: [Vec<bool>; MOST] = Default::default();
        hear_all(&self.desk, &mut fates);
        let mut state = self.desk.lock();
        state.hear_end(0, 1);
        note_fates(&mut state, &mut fates, &[]);
        let left = state.unsettled();
        drop(state);
        let failed = fates.iter().flatten().filter(|is_good| !**is_good).count();
        if outcome == Outcome::Completed {
            assert_eq!((failed, left), (0, 0), "lost: it was reported");
        }
        // The others are for the next worker.
        let mut next = seat(&self.desk);
        self.desk.lock().go_on();
        while self.desk.lock().unsettled() > 0 {
            assert!(next.serve());
            hear_all(&self.desk, &mut fates);
        }
        for (index, (fate, runs)) in fates.iter().zip(&**RUNS).enumerate() {
            let runs = runs.load(SeqCst);
            if index < (self.orders * self.items) as usize {
                assert_eq!(fate.len(), 1, "lost or duplicated: item {index} has {fate:?}");
                assert!(runs <= 1 + retries, "duplicated: item {index} ran {runs} times");
                assert!(!fate[0] || runs > 0, "lost: item {index} has a result, but did not run");
            } else {
                assert!(fate.is_empty() && runs == 0);
            }
        }
        // One by itself, or those of a chunk that have not been reported.
        assert!(failed <= if retries > 0 { 0 } else { self.items as usize }, "{failed} items failed");
    }
}

/// Gives the seat to a worker that is ready.
fn seat(desk: &Arc<Desk>) -> Worker {
    let (socket, theirs) = transfer::channel().unwrap();
    let orders = Queue::unbounded().unwrap();
    let mut member = Member::new(orders.clone(), socket, None);
    member.known(None);
    member.ready();
    let generation = desk.with(|state| {
        let seat = &mut state.seats[0];
        seat.generation += 1;
        seat.note.clear();
        seat.member = Some(member);
        seat.generation
    });
    Worker::new(Start {
        place: 0,
        generation,
        orders,
        reports: desk.reports.clone(),
        board: desk.board.clone(),
        socket: Fd(theirs),
        has_initializer: false,
        exit: None,
        memory: None,
    })
    .unwrap()
}

/// Hears what is in the queue of reports.
fn hear_all(desk: &Arc<Desk>, fates: &mut [Vec<bool>; MOST]) {
    while let Ok(bytes) = desk.reports.try_get_bytes() {
        let (report, results) = codec::decode::<Report>(&bytes).expect("a report is whole");
        let mut state = desk.lock();
        let part = bytes.len() - results.len()..bytes.len();
        state.hear(report.place, report.generation, report.what, part);
        note_fates(&mut state, fates, &bytes);
    }
}

/// Whether each item that is settled has a result.
fn note_fates(state: &mut State, fates: &mut [Vec<bool>; MOST], buffer: &[u8]) {
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

fn walk(name: &str, retries: u32, scene: impl Fn() -> Scene) {
    let stride = std::env::var(VARIABLE).map_or(STRIDE, |text| text.parse().expect("it is a number"));
    alone(|| {
        let report = KillTest::new(name, scene)
            .victim(|scene, step| {
                // What every process does once.
                scene.serve(1);
                step.run(|| scene.serve(scene.orders - 1));
            })
            .check(|scene, outcome| scene.check(outcome, retries))
            .stride(stride)
            .deadline(LONG)
            .run();
        println!("{}", ipc_crash_test::markdown_table([&report]));
        report.assert_complete();
        leave();
    });
}

#[test]
fn a_worker_killed_anywhere_in_its_tasks_costs_one_at_most() {
    walk("two tasks", 0, || Scene::new(count, 0, 3, 1, |index| (index,)));
}

#[test]
fn a_worker_killed_anywhere_in_a_chunk_costs_what_it_had_begun() {
    walk("a chunk of four", 0, || Scene::new(count, 0, 2, 4, |index| (index,)));
}

#[test]
fn a_worker_killed_anywhere_in_tasks_with_handles_costs_one_at_most() {
    let blob = |index| (index, Blob::new(b"shared").unwrap());
    walk("a task with handles", 0, || Scene::new(count_blob, 0, 2, 1, blob));
}

#[test]
fn what_a_killed_worker_had_begun_is_begun_anew_if_that_was_asked_for() {
    walk("two tasks, again", 1, || Scene::new(count, 1, 3, 1, |index| (index,)));
}

#[test]
fn what_a_killed_worker_had_begun_of_a_chunk_is_begun_anew_if_that_was_asked_for() {
    walk("a chunk of four, again", 1, || Scene::new(count, 1, 2, 4, |index| (index,)));
}
