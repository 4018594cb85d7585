//! A worker that is killed at an instruction of its work: each task has its result or fails, or is done by another; and
//! one that was not begun is never lost, nor one begun twice.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, LazyLock, Mutex};

use ipc_core::Blob;
use ipc_crash_test::alone::{LONG, alone, leave};
use ipc_crash_test::{KillTest, Outcome, SharedBox};
use ipc_process::Function;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::builder::Settings;
use crate::desk::Desk;
use crate::help::{call, hear_all, note_fates, seat, tasks};
use crate::worker::Worker;

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

/// A parent without threads, and one worker's side.
struct Scene {
    desk: Arc<Desk>,
    worker: Mutex<Worker>,
    orders: u32,
    items: u32,
}

impl Scene {
    /// With so many tasks of so many items for the worker.
    fn new<F, Args>(function: F, retries: u32, orders: u32, items: u32, args: fn(u32) -> Args) -> Scene
    where
        F: Function<Args, Output: Serialize>,
        Args: Serialize + DeserializeOwned,
    {
        RUNS.iter().for_each(|runs| runs.store(0, SeqCst));
        let desk = Desk::new(Settings { workers: 1, ..Settings::default() }).unwrap();
        let call = call(function, retries);
        let worker = seat(&desk, 0);
        // So short that it gets all ahead.
        desk.lock().typical = 1;
        for first in (0..orders).map(|order| order * items) {
            let all: Vec<Args> = (first..first + items).map(args).collect();
            tasks(&desk, &call, first as usize, &all).for_each(|task| desk.lock().take(task));
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
        let mut next = seat(&self.desk, 0);
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
