//! The thread that runs callbacks, so that one which takes long keeps no result from anybody else.

use std::cell::Cell;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::wait::wait_until;

thread_local! {
    /// Of whose callbacks this is the thread.
    static HERE: Cell<*const Left> = const { Cell::new(ptr::null()) };
}

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
        // Progress may panic here, and the drop of a value that nobody else has.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(job)) {
            mem::forget(payload);
        }
        let mut count = self.lock();
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }
}

impl Callbacks {
    /// Has the job run after those before it.
    pub(crate) fn run(&self, job: Job) {
        *self.left.lock() += 1;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.sender.is_none() {
            let (sender, jobs) = channel::<Job>();
            let left = Arc::clone(&self.left);
            let run = move || {
                HERE.set(Arc::as_ptr(&left));
                jobs.into_iter().for_each(|job| left.run(job));
            };
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

    /// Whether it is one of them that asks.
    pub(crate) fn is_here(&self) -> bool {
        HERE.get() == Arc::as_ptr(&self.left)
    }

    /// Waits until all have run, unless it is one of them that asks; false at the deadline. There are no more to come.
    pub(crate) fn finish(&self, deadline: Option<Instant>) -> bool {
        if self.is_here() {
            return true;
        }
        if !wait_until(&self.left.none, self.left.lock(), deadline, |count| *count == 0).1 {
            return false;
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let Running { sender, thread } = mem::take(&mut *running);
        drop(running);
        drop(sender);
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        true
    }
}

/// Who is told how many items were done.
pub(crate) struct Progress {
    callback: Box<dyn Fn(u64) + Send + Sync>,
    /// Items that were done, and are told with the next call.
    untold: AtomicU64,
}

impl Progress {
    pub(crate) fn new(callback: impl Fn(u64) + Send + Sync + 'static) -> Arc<Progress> {
        Arc::new(Progress { callback: Box::new(callback), untold: AtomicU64::new(0) })
    }

    /// Tells of so many more, behind the callbacks before it. However slow it is, there is one call to come at most.
    pub(crate) fn tell(self: &Arc<Self>, callbacks: &Callbacks, items: u64) {
        if items > 0 && self.untold.fetch_add(items, Ordering::AcqRel) == 0 {
            let progress = Arc::clone(self);
            callbacks.run(Box::new(move || (progress.callback)(progress.untold.swap(0, Ordering::AcqRel))));
        }
    }
}
