//! The parent's handle to a child and its result.

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic;
use std::time::{Duration, Instant};

use ipc_core::codec::{self, CodecError};
use ipc_core::transfer::Parcel;
use serde::de::DeserializeOwned;

use crate::entry;
use crate::join::{Failure, JoinError};
use crate::process::Process;
use crate::sys::Exit;
use crate::wire::Report;

/// A child process that returns an `R`.
///
/// Everything but the result is on [`Process`], which it derefs to: [`pid`](Process::pid),
/// [`name`](Process::name), [`is_alive`](Process::is_alive), [`exit_code`](Process::exit_code),
/// [`terminate`](Process::terminate), [`kill`](Process::kill), and the pidfd as `AsFd`.
///
/// Dropping it gives the result up and lets the child run on: it is reaped when it has ended, and at the exit of this
/// process it is waited for, or terminated if it is a daemon.
#[doc(alias = "Process")]
#[must_use = "dropping it gives up the child's result"]
pub struct Child<R> {
    process: Process,
    /// `None` once the result was taken.
    channel: Option<OwnedFd>,
    result: PhantomData<fn() -> R>,
}

impl<R> Child<R> {
    pub(crate) fn new(process: Process, channel: OwnedFd) -> Child<R> {
        Child { process, channel: Some(channel), result: PhantomData }
    }

    /// The process without its result.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Lets it run without waiting for its result, which is what dropping this does, too, but says so.
    pub fn detach(self) -> Process {
        self.process.clone()
    }
}

impl<R: DeserializeOwned> Child<R> {
    /// Waits until the process has ended, and gives what its function returned.
    ///
    /// Never hangs because of a dead child, wherever it was killed. A child that was killed after it returned
    /// has a result all the same; so has one that panicked when it dropped its copy of the result, with the exit code
    /// 101.
    ///
    /// # Errors
    /// [`JoinError`] says what became of it: panicked, killed, exited, or a value that could not be passed on.
    pub fn join(&mut self) -> Result<R, JoinError> {
        let exit = self.process.wait_until(None).expect("without a deadline it waits for the end");
        self.take(exit)
    }

    /// The result, if the process has ended; `None` while it runs.
    ///
    /// # Errors
    /// As [`join`](Child::join).
    pub fn try_join(&mut self) -> Result<Option<R>, JoinError> {
        self.join_until(Some(Instant::now()))
    }

    /// Waits at most that long; `None` if the process still runs then.
    ///
    /// # Errors
    /// As [`join`](Child::join).
    #[doc(alias = "TimeoutError")]
    pub fn join_timeout(&mut self, timeout: Duration) -> Result<Option<R>, JoinError> {
        self.join_until(ipc_core::deadline(timeout))
    }

    /// Waits at most until then; `None` if the process still runs then.
    ///
    /// # Errors
    /// As [`join`](Child::join).
    pub fn join_deadline(&mut self, deadline: Instant) -> Result<Option<R>, JoinError> {
        self.join_until(Some(deadline))
    }

    fn join_until(&mut self, deadline: Option<Instant>) -> Result<Option<R>, JoinError> {
        self.process.wait_until(deadline).map(|exit| self.take(exit)).transpose()
    }

    fn take(&mut self, exit: Exit) -> Result<R, JoinError> {
        let result = match self.channel.take() {
            Some(channel) => result(&channel, exit),
            None => Err(Failure::AlreadyJoined),
        };
        result.map_err(|failure| JoinError::new(self.name(), self.pid(), failure))
    }
}

/// What a child that has ended left in the channel.
fn result<R: DeserializeOwned>(channel: &OwnedFd, exit: Exit) -> Result<R, Failure> {
    let parcel = Parcel::receive(channel).map_err(|error| Failure::Result(error.to_string()))?;
    let Some(parcel) = parcel else {
        return Err(match exit {
            Exit::Signal(signal) => Failure::Killed { signal },
            Exit::Code(code) => Failure::Exited { code },
            Exit::Unknown => Failure::Vanished,
        });
    };
    let bad = |error: CodecError| Failure::Result(error.into());
    parcel.unpack(|bytes| {
        let (report, rest) = codec::decode(bytes).map_err(bad)?;
        match report {
            Report::Returned => decode(rest).map_err(Failure::Result),
            Report::Panicked(panic) => Err(Failure::Panicked(panic)),
            Report::NotStarted(why) => Err(Failure::NotStarted(why)),
            Report::BadArguments(why) => Err(Failure::Arguments(why)),
            Report::BadResult(why) => Err(Failure::Result(why)),
        }
    })
}

fn decode<R: DeserializeOwned>(bytes: &[u8]) -> Result<R, String> {
    panic::catch_unwind(|| codec::decode_all(bytes).map_err(String::from)).unwrap_or_else(|payload| {
        let why = format!("a panic while it was decoded: {}", entry::message_of(&*payload));
        // Dropping it may panic once more.
        mem::forget(payload);
        Err(why)
    })
}

impl<R> Drop for Child<R> {
    /// Takes the zombie away, if there is one already.
    fn drop(&mut self) {
        self.process.reap();
    }
}

impl<R> Deref for Child<R> {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl<R> AsFd for Child<R> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }
}

impl<R> fmt::Debug for Child<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("process", &self.process).finish_non_exhaustive()
    }
}
