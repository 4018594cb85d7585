//! What can go wrong, and with what.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ipc_process::{Panic, raw};

use crate::wire::Failure;

/// Why a task has no result.
#[derive(Debug, Clone)]
#[non_exhaustive]
#[doc(alias = "RemoteTraceback")]
pub enum TaskError {
    /// Its function panicked. The worker goes on.
    Panicked(Panic),
    /// Its worker ended while the task ran: killed, out of memory, `exit` or `abort` in the task.
    WorkerDied {
        /// How the worker ended.
        death: Death,
        /// The process id that it had.
        pid: u32,
        /// How often the task was begun.
        attempts: u32,
    },
    /// It ran longer than it may, and its worker was killed for it.
    #[doc(alias = "TimeoutError")]
    TimedOut {
        /// As long as it may run.
        limit: Duration,
        /// The process id that the worker had.
        pid: u32,
    },
    /// It was cancelled.
    Cancelled,
    /// The arguments could not be encoded, sent or decoded; the text says why.
    Arguments(String),
    /// The result could not be encoded, sent or decoded; the text says why.
    #[doc(alias = "MaybeEncodingError")]
    Result(String),
    /// The task has a result, but the callback panicked that was given it; the text says how.
    Callback(String),
    /// The pool was terminated or dropped before the task was done, or takes no more tasks.
    Terminated,
    /// The pool cannot have workers any more.
    Pool(Arc<PoolError>),
    /// The result was taken before.
    AlreadyTaken,
    /// Who waits is the one that would have to bring the result: a callback that waits for what comes behind it, or the code
    /// that decodes or drops a result, for the same pool. The task runs all the same. A lazy map ends with it.
    WaitsForItself,
    /// An item of a map has failed, so that the map has no results.
    Item {
        /// The index of the item, from 0 on.
        index: usize,
        /// Why it has no result.
        error: Box<TaskError>,
    },
}

impl TaskError {
    /// As the error of a map: of that item, unless it befell the whole map or pool.
    pub(crate) fn of_item(self, index: usize) -> TaskError {
        match self {
            TaskError::Cancelled | TaskError::Terminated | TaskError::Pool(_) => self,
            error => TaskError::Item { index, error: Box::new(error) },
        }
    }
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Death {
    /// That signal killed it: 9 for one that the system had no memory for, 6 for `abort`, 11 for a wild pointer.
    Signal(i32),
    /// It exited with that code.
    Code(i32),
    /// Somebody else took its status: the program ignores SIGCHLD, or waits for children on its own.
    Unknown,
}

impl Death {
    /// From what [`exit_code`](ipc_process::Process::exit_code) says.
    pub(crate) fn from_exit_code(code: Option<i32>) -> Death {
        match code {
            Some(code @ 0..) => Death::Code(code),
            Some(signal @ -255..0) => Death::Signal(-signal),
            Some(_) | None => Death::Unknown,
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Death::Signal(signal) => write!(f, "was killed by {}", raw::signal_name(*signal)),
            Death::Code(code) => write!(f, "exited with code {code}"),
            Death::Unknown => f.write_str("ended, and its status was taken by another"),
        }
    }
}

impl From<Failure> for TaskError {
    fn from(failure: Failure) -> TaskError {
        match failure {
            Failure::Panicked(panic) => TaskError::Panicked(panic),
            Failure::Arguments(why) => TaskError::Arguments(why),
            Failure::Result(why) | Failure::Refused(why) => TaskError::Result(why),
        }
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TaskError::Panicked(panic) => write!(f, "the task {panic}"),
            TaskError::WorkerDied { death, pid, attempts } => {
                write!(f, "the worker (pid {pid}) {death} while it ran the task")?;
                if *attempts > 1 { write!(f, ", as at {} attempts before", attempts - 1) } else { Ok(()) }
            }
            TaskError::TimedOut { limit, pid } => {
                write!(f, "the task ran longer than {limit:?}, so its worker (pid {pid}) was killed")
            }
            TaskError::Cancelled => f.write_str("the task was cancelled"),
            TaskError::Arguments(why) => write!(f, "the arguments cannot be passed on: {why}"),
            TaskError::Result(why) => write!(f, "the result cannot be passed on: {why}"),
            TaskError::Callback(why) => write!(f, "the callback failed: {why}"),
            TaskError::Terminated => f.write_str("the pool was closed or terminated"),
            TaskError::Pool(error) => error.fmt(f),
            TaskError::AlreadyTaken => f.write_str("the result was taken before"),
            TaskError::WaitsForItself => f.write_str("who waits for the result is the one to bring it"),
            TaskError::Item { index, error } => write!(f, "item {index}: {error}"),
        }
    }
}

impl Error for TaskError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            TaskError::Pool(error) => error.source(),
            TaskError::Item { error, .. } => error.source(),
            _ => None,
        }
    }
}

/// Why there is no pool, or it cannot go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// A pool of 0 workers was asked for.
    NoWorkers,
    /// No worker can be started; the text says why.
    Start(String),
    /// The initializer panicked.
    InitializerPanicked(Panic),
    /// The initializer returned an error, or its arguments cannot be passed on; the text says which.
    InitializerFailed(String),
    /// So many workers in a row ended before they were ready for a task.
    #[doc(alias = "BrokenProcessPool")]
    CrashLoop {
        /// How many.
        workers: u32,
        /// What became of the last one.
        last: String,
    },
    /// Somebody has spoilt the memory in which the workers report, so that nothing can be known of them; the text says
    /// what is wrong with it. They were killed.
    Damaged(String),
    /// The system said no.
    System(ipc_core::Error),
}

impl From<ipc_core::Error> for PoolError {
    fn from(error: ipc_core::Error) -> PoolError {
        PoolError::System(error)
    }
}

impl From<Failure> for PoolError {
    fn from(failure: Failure) -> PoolError {
        match failure {
            Failure::Panicked(panic) => PoolError::InitializerPanicked(panic),
            Failure::Arguments(why) | Failure::Result(why) | Failure::Refused(why) => {
                PoolError::InitializerFailed(why)
            }
        }
    }
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PoolError::NoWorkers => f.write_str("a pool needs a worker"),
            PoolError::Start(why) => write!(f, "no worker can be started: {why}"),
            PoolError::InitializerPanicked(panic) => write!(f, "the initializer {panic}"),
            PoolError::InitializerFailed(why) => write!(f, "the initializer failed: {why}"),
            PoolError::CrashLoop { workers, last } => {
                write!(f, "{workers} workers in a row ended before they were ready; the last one {last}")
            }
            PoolError::Damaged(why) => write!(f, "the memory in which the workers report is damaged: {why}"),
            PoolError::System(error) => error.fmt(f),
        }
    }
}

impl Error for PoolError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            PoolError::System(error) => Some(error),
            _ => None,
        }
    }
}

/// A task was not taken: why, and its arguments.
pub struct Refused<Args> {
    pub(crate) args: Args,
    pub(crate) refusal: Refusal,
}

/// Why a task was not taken.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Refusal {
    /// The pool is closed.
    Closed,
    /// The arguments cannot be encoded; the text says why. Also of a panic on the way.
    Arguments(String),
    /// The function lies in a shared library, whose code the workers may have elsewhere.
    NotInProgram,
    /// The pool cannot have workers any more.
    Pool(Arc<PoolError>),
}

impl<Args> Refused<Args> {
    /// Why.
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// The arguments, to try again.
    pub fn into_args(self) -> Args {
        self.args
    }
}

impl From<Refusal> for TaskError {
    fn from(refusal: Refusal) -> TaskError {
        match refusal {
            Refusal::Closed => TaskError::Terminated,
            Refusal::Arguments(why) => TaskError::Arguments(why),
            Refusal::NotInProgram => TaskError::Arguments(Refusal::NotInProgram.to_string()),
            Refusal::Pool(error) => TaskError::Pool(error),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Closed => f.write_str("the pool is closed"),
            Refusal::Arguments(why) => write!(f, "its arguments cannot be encoded: {why}"),
            Refusal::NotInProgram => f.write_str("its function lies in a shared library, not in the program"),
            Refusal::Pool(error) => error.fmt(f),
        }
    }
}

impl<Args> fmt::Display for Refused<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the task was not taken: {}", self.refusal)
    }
}

impl<Args> fmt::Debug for Refused<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Refused").field(&self.refusal).finish()
    }
}

impl<Args> Error for Refused<Args> {}

/// A pool can only be joined when it takes no more tasks: after `close` or `terminate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StillOpen;

impl fmt::Display for StillOpen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the pool is still open: close or terminate it first")
    }
}

impl Error for StillOpen {}
