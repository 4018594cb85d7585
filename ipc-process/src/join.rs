//! Why a child has no result.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::sys;

/// An error returned from [`Child::join`](crate::Child::join) and its kin: which process, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinError {
    process: Box<str>,
    pid: u32,
    failure: Failure,
}

/// What became of a child that has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Its function panicked. The exit code is 101, or -6 if the program is built to abort on panics.
    Panicked(Panic),
    /// It was killed by that signal before it returned.
    Killed {
        /// The signal's number.
        signal: i32,
    },
    /// It ended with that code before it returned, by `exit` for instance.
    Exited {
        /// The exit code, 0 to 255.
        code: i32,
    },
    /// It ended without a result, and somebody else took its status: the program ignores SIGCHLD, or waits for
    /// children on its own. The exit code is -256.
    Vanished,
    /// It could not start as a child; the text says why. The exit code is 126.
    NotStarted(String),
    /// It could not decode its arguments; the text says why. The exit code is 126.
    Arguments(String),
    /// Its result could not be encoded, sent or decoded; the text says why. A panic while it is decoded is this, too.
    Result(String),
    /// Its result was taken before.
    AlreadyJoined,
}

/// A panic in another process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Panic {
    /// What it said.
    pub message: String,
    /// Where it happened, as `file:line:column`; `None` if a panic hook of the program hid it.
    pub location: Option<String>,
    /// The stack, if `RUST_BACKTRACE` asks for it.
    pub backtrace: Option<String>,
}

impl JoinError {
    pub(crate) fn new(process: &str, pid: u32, failure: Failure) -> JoinError {
        JoinError { process: process.into(), pid, failure }
    }

    /// What became of the child.
    pub fn failure(&self) -> &Failure {
        &self.failure
    }

    /// The child's name.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// The child's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The signal that killed it, if one did.
    pub fn signal(&self) -> Option<i32> {
        match self.failure {
            Failure::Killed { signal } => Some(signal),
            _ => None,
        }
    }

    /// The panic that ended it, if one did.
    pub fn panic(&self) -> Option<&Panic> {
        match &self.failure {
            Failure::Panicked(panic) => Some(panic),
            _ => None,
        }
    }
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process `{}` (pid {}) ", self.process, self.pid)?;
        match &self.failure {
            Failure::Panicked(panic) => panic.fmt(f),
            Failure::Killed { signal } => write!(f, "was killed by {}", sys::signal_name(*signal)),
            Failure::Exited { code } => write!(f, "exited with code {code} before it returned"),
            Failure::Vanished => f.write_str("ended without a result, and its status was taken by another"),
            Failure::NotStarted(why) => write!(f, "could not start: {why}"),
            Failure::Arguments(why) => write!(f, "could not decode its arguments: {why}"),
            Failure::Result(why) => write!(f, "has a result that cannot be passed on: {why}"),
            Failure::AlreadyJoined => f.write_str("was joined before"),
        }
    }
}

impl std::error::Error for JoinError {}

impl fmt::Display for Panic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("panicked")?;
        if let Some(location) = &self.location {
            write!(f, " at {location}")?;
        }
        write!(f, ": {}", self.message)
    }
}

impl fmt::Debug for Panic {
    /// Without the stack, which would fill a screen with one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Panic")
            .field("message", &self.message)
            .field("location", &self.location)
            .finish_non_exhaustive()
    }
}
