//! The thread that runs callbacks, so that one which takes long keeps no result from anybody else.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::wait::wait_until;

/// A callback with what it is called with, and what comes after it.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// There is a thread from the first callback on.
#[derive(Default)]
pub(crate) struct Callbacks {
    running: Mutex<Running>,
    left: Arc<Left>,
}

#[derive(Default)]
struct Running {
    sender: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// How many have not returned.
#[derive(Default)]
struct Left {
    count: Mutex<usize>,
    none: Condvar,
}

impl Left {
    fn lock(&self) -> MutexGuard<'_, usize> {
        self.count.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, job: Job) {
        job();
        let mut count = self.lock();
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }
}

impl Callbacks {
    /// Has the job run after those before it. It catches its own panics.
    pub(crate) fn run(&self, job: Job) {
        *self.left.lock() += 1;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.sender.is_none() {
            let (sender, jobs) = channel::<Job>();
            let left = Arc::clone(&self.left);
            let run = move || jobs.into_iter().for_each(|job| left.run(job));
            match thread::Builder::new().name("ipc-pool-calls".to_owned()).spawn(run) {
                Ok(thread) => *running = Running { sender: Some(sender), thread: Some(thread) },
                // There can be no thread: here, then.
                Err(_) => {
                    drop(running);
                    return self.left.run(job);
                }
            }
        }
        if let Some(sender) = &running.sender {
            // It receives for as long as there is a sender.
            let _ = sender.send(job);
        }
    }

    /// Waits until all have run, unless it is one of them that asks; false at the deadline. There are no more to come.
    pub(crate) fn finish(&self, deadline: Option<Instant>) -> bool {
        let is_one = |thread: &JoinHandle<()>| thread.thread().id() == thread::current().id();
        let lock = || self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().thread.as_ref().is_some_and(is_one) {
            return true;
        }
        if !wait_until(&self.left.none, self.left.lock(), deadline, |count| *count == 0).1 {
            return false;
        }
        let Running { sender, thread } = std::mem::take(&mut *lock());
        drop(sender);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        true
    }
}
