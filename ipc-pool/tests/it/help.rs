//! What the tests share.

use std::fs;
use std::io::{PipeReader, Read};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipc_core::{Fd, Place, Segment, Spec, futex};
use ipc_crash_test::alone::until;
use ipc_pool::{AsyncResult, Pool, TaskError};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// Nothing here takes that long, unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// The result, which must come.
pub(crate) fn get<R: Send + 'static>(result: &AsyncResult<R>) -> Result<R, TaskError> {
    result.get_timeout(LONG).transpose().expect("no result comes")
}

/// Ends the pool in order, which must come to an end.
pub(crate) fn end(pool: &Pool) {
    pool.close();
    assert!(pool.join_timeout(LONG).unwrap(), "the pool does not end");
}

/// Words that tasks and tests share: to tell that something has happened, and to wait for it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Words(Segment);

impl Words {
    pub(crate) fn new() -> Words {
        Words(Segment::anonymous(&Spec::new("words", 1).len(64).participants(100)).unwrap())
    }

    fn word(&self, index: u64) -> Place<AtomicU32> {
        Place::new(&self.0, index * 4).unwrap()
    }

    pub(crate) fn get(&self, index: u64) -> u32 {
        self.word(index).load(Ordering::SeqCst)
    }

    /// Adds 1; what it was before.
    pub(crate) fn add(&self, index: u64) -> u32 {
        let word = self.word(index);
        let before = word.fetch_add(1, Ordering::SeqCst);
        futex::wake_all(&word);
        before
    }

    /// Sets it, and wakes who waits.
    pub(crate) fn set(&self, index: u64, value: u32) {
        let word = self.word(index);
        word.store(value, Ordering::SeqCst);
        futex::wake_all(&word);
    }

    /// Waits until it is at least that.
    pub(crate) fn wait(&self, index: u64, least: u32) {
        let word = self.word(index);
        let deadline = ipc_core::deadline(LONG);
        loop {
            let now = word.load(Ordering::SeqCst);
            if now >= least {
                return;
            }
            assert_eq!(futex::wait(&word, now, deadline), futex::Wake::Woken, "nothing happens");
        }
    }
}

/// Waits until all who had the other end are gone.
pub(crate) fn at_end(mut pipe: Fd<PipeReader>) {
    let mut poll = [PollFd::new(&pipe.0, PollFlags::IN)];
    let timeout = Timespec::try_from(LONG).unwrap();
    assert_eq!(rustix::event::poll(&mut poll, Some(&timeout)).unwrap(), 1, "somebody lives on");
    assert_eq!(pipe.0.read(&mut [0]).unwrap(), 0);
}

/// Stops the process, and waits until it is.
pub(crate) fn stop(pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), Signal::STOP).unwrap();
    until("it does not stop", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(')').next().is_some_and(|fields| fields.starts_with(" T"))
    });
}
