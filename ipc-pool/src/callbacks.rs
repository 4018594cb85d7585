//! The thread that runs callbacks, so that one which takes long keeps no result from anybody else.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// A callback with what it is called with, and what comes after it.
pub(crate) type Job = Box<dyn FnOnce() + Send>;

/// There is a thread from the first callback on.
#[derive(Default)]
pub(crate) struct Callbacks(Mutex<Running>);

#[derive(Default)]
struct Running {
    sender: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Callbacks {
    /// Has the job run after those before it. It catches its own panics.
    pub(crate) fn run(&self, job: Job) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.sender.is_none() {
            let (sender, jobs) = channel::<Job>();
            let run = move || jobs.into_iter().for_each(|job| job());
            match thread::Builder::new().name("ipc-pool-calls".to_owned()).spawn(run) {
                Ok(thread) => *running = Running { sender: Some(sender), thread: Some(thread) },
                // There can be no thread: here, then.
                Err(_) => {
                    drop(running);
                    return job();
                }
            }
        }
        if let Some(sender) = &running.sender {
            // It receives for as long as there is a sender.
            let _ = sender.send(job);
        }
    }

    /// Waits until all have run, unless it is one of them that asks. There are no more to come.
    pub(crate) fn finish(&self) {
        let running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(running.sender);
        if let Some(thread) = running.thread.filter(|thread| thread.thread().id() != thread::current().id()) {
            let _ = thread.join();
        }
    }
}
