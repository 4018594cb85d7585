//! Tasks that nobody wants any more.

use std::future::Future;
use std::io::PipeWriter;
use std::pin::pin;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use ipc_core::{Blob, Fd};
use ipc_pool::{AsyncResult, Pool, TaskError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::help::{Words, at_end, end, get};

fn count_and_wait(words: Words) {
    words.add(0);
    words.wait(1, 1);
}

#[test]
fn a_cancelled_task_that_was_not_begun_never_runs() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let first = pool.apply_async(count_and_wait, (words.clone(),)).unwrap();
    let others: Vec<_> =
        (0..10).map(|_| pool.apply_async(count_and_wait, (words.clone(),)).unwrap()).collect();
    words.wait(0, 1);
    for result in &others[..9] {
        assert!(result.cancel());
        assert!(matches!(result.get(), Err(TaskError::Cancelled)));
    }
    assert!(!first.cancel(), "it runs");
    words.set(1, 1);
    get(&first).unwrap();
    get(&others[9]).unwrap();
    assert!(!others[9].cancel(), "it is done");
    end(&pool);
    assert_eq!(words.get(0), 2);
}

#[test]
fn a_running_task_is_killed_if_that_is_asked_for_and_no_other() {
    let pool = Pool::new(2).unwrap();
    let words = Words::new();
    let results: Vec<_> =
        (0..4).map(|_| pool.apply_async(count_and_wait, (words.clone(),)).unwrap()).collect();
    words.wait(0, 2);
    assert!(results[0].kill());
    assert!(matches!(get(&results[0]), Err(TaskError::Cancelled)));
    words.set(1, 1);
    results[1..].iter().for_each(|result| get(result).unwrap());
    assert_eq!(words.get(0), 4);
    end(&pool);
}

#[test]
fn a_cancelled_map_begins_no_more_items() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let items = (0..100).map(|_| words.clone());
    let map = pool.map_async(count_and_wait, items).unwrap();
    words.wait(0, 1);
    assert!(map.cancel());
    assert!(matches!(get(&map), Err(TaskError::Cancelled)));
    words.set(1, 1);
    end(&pool);
    assert!(words.get(0) <= 3, "{} items were begun", words.get(0));
}

#[test]
fn a_lazy_map_that_is_dropped_begins_no_more_items() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    words.set(1, 1);
    let endless = std::iter::repeat_with(|| words.clone());
    let mut map = pool.imap_unordered(count_and_wait, endless).unwrap();
    map.next().unwrap().unwrap();
    drop(map);
    end(&pool);
    assert!(words.get(0) < 100);
}

/// With a worker that has been so fast that it is given many tasks ahead.
fn eager_pool() -> Pool {
    let pool = Pool::new(1).unwrap();
    pool.each(|x: u32| x, 0..3000).chunk_size(1).map().unwrap();
    pool
}

/// A result that is decoded only when it may be: that says who decodes it, and waits.
#[derive(Debug)]
struct Gated(usize);

/// Who is told, and what is waited for.
type Gate = (Sender<()>, Receiver<()>);

static GATES: Mutex<Vec<Option<Gate>>> = Mutex::new(Vec::new());

impl Serialize for Gated {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Gated {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Gated, D::Error> {
        let number = usize::deserialize(deserializer)?;
        let (there, gate) = GATES.lock().unwrap()[number].take().unwrap();
        there.send(()).unwrap();
        let _ = gate.recv();
        Ok(Gated(number))
    }
}

/// A task; what it reports waits until it is let on, and nobody takes other reports meanwhile.
fn block_reports(pool: &Pool) -> (AsyncResult<Gated>, Receiver<()>, Sender<()>) {
    let (there, arrived) = channel();
    let (go, gate) = channel();
    let mut gates = GATES.lock().unwrap();
    gates.push(Some((there, gate)));
    (pool.apply_async(Gated, (gates.len() - 1,)).unwrap(), arrived, go)
}

#[test]
fn a_kill_does_not_touch_the_task_that_runs_when_its_own_is_done() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let (first, arrived, go) = block_reports(&pool);
    arrived.recv().unwrap();
    let done = pool.apply_async(|words: Words| words.add(2), (words.clone(),)).unwrap();
    let runs = pool.apply_async(count_and_wait, (words.clone(),)).unwrap();
    words.wait(0, 1);
    // The first one is done, and nobody knows.
    assert!(!done.kill());
    words.set(1, 1);
    go.send(()).unwrap();
    get(&done).unwrap();
    get(&runs).unwrap();
    assert_eq!(words.get(0), 1, "it was begun once");
    get(&first).unwrap();
    end(&pool);
}

#[test]
fn a_task_whose_result_is_on_its_way_is_not_cancelled() {
    let pool = eager_pool();
    let words = Words::new();
    let (first, arrived, go) = block_reports(&pool);
    arrived.recv().unwrap();
    let (second, second_arrived, second_go) = block_reports(&pool);
    let done = pool.apply_async(|words: Words| words.add(0), (words.clone(),)).unwrap();
    let behind = pool.apply_async(|words: Words| words.add(0), (words.clone(),)).unwrap();
    words.wait(0, 2);
    // Two results come at once, and the second one is decoded behind the first.
    go.send(()).unwrap();
    second_arrived.recv().unwrap();
    assert!(!done.cancel(), "it has run");
    second_go.send(()).unwrap();
    assert_eq!((get(&done).unwrap(), get(&behind).unwrap()), (0, 1));
    assert!(get(&first).is_ok() && get(&second).is_ok());
    end(&pool);
}

/// Waits for 1 in word 1, having counted in word 0.
fn occupy(pool: &Pool, words: &Words) -> AsyncResult<()> {
    let task = pool.apply_async(count_and_wait, (words.clone(),)).unwrap();
    words.wait(0, 1);
    task
}

#[test]
fn a_cancelled_task_keeps_no_handles_open() {
    let pool = Pool::new(1).unwrap();
    let words = Words::new();
    let busy = occupy(&pool, &words);
    let (reader, writer) = std::io::pipe().unwrap();
    let task = pool.apply_async(|_: Fd<PipeWriter>| (), (Fd(writer),)).unwrap();
    assert!(task.cancel());
    words.set(1, 1);
    get(&busy).unwrap();
    at_end(Fd(reader));
    end(&pool);
}

#[test]
fn cancelled_tasks_leave_room_for_others() {
    let pool = eager_pool();
    let words = Words::new();
    let busy = occupy(&pool, &words);
    let blob = Blob::new(b"shared").unwrap();
    let task = |_: Blob, text: String| text.len();
    let args = || (blob.clone(), "x".repeat(15_000));
    let results: Vec<_> = (0..100).map(|_| pool.apply_async(task, args()).unwrap()).collect();
    assert!(results.iter().all(AsyncResult::cancel));
    let other = pool.apply_async(task, args()).unwrap();
    words.set(1, 1);
    get(&busy).unwrap();
    assert_eq!(get(&other).unwrap(), 15_000);
    assert_eq!(pool.apply(task, args()).unwrap(), 15_000);
    end(&pool);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The smallest executor.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(value) => return value,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn a_result_is_a_future() {
    let pool = Pool::new(2).unwrap();
    let sum = block_on(async {
        let first = pool.apply_async(|x: u32| x + 1, (1,)).unwrap();
        let second = pool.map_async(|x: u32| x * x, 0..4).unwrap();
        first.await.unwrap() + second.await.unwrap().iter().sum::<u32>()
    });
    assert_eq!(sum, 2 + 14);
    let words = Words::new();
    let killed = pool.apply_async(count_and_wait, (words.clone(),)).unwrap();
    words.wait(0, 1);
    pool.workers().iter().for_each(|worker| worker.kill().unwrap());
    assert!(matches!(block_on(killed), Err(TaskError::WorkerDied { .. })));
    end(&pool);
}
