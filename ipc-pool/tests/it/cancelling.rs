//! Tasks that nobody wants any more.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use ipc_pool::{Pool, TaskError};

use crate::help::{Words, end, get};

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
