//! Why no child was started.

use std::fmt;

use ipc_core::Error;

/// An error returned from [`spawn`](crate::spawn): why no child was started, and the arguments that it was to have.
pub struct SpawnError<Args> {
    args: Args,
    name: String,
    reason: Reason,
}

/// Why no child was started.
#[derive(Debug)]
#[non_exhaustive]
pub enum Reason {
    /// The arguments could not be serialised; the text says why.
    Arguments(String),
    /// This process is a daemon, which cannot have children: they would outlive it.
    Daemon,
    /// The function does not lie in the program's own file but in a shared library, whose code the child may have
    /// elsewhere or not at all.
    NotInProgram,
    /// This process was started as a child itself, but its `main` did not call [`init`](crate::init) first.
    NotInitialised,
    /// This process has begun to exit, and waits for its children or has done so.
    Exiting,
    /// This program has more rights than who started it: setuid, or capabilities of its file. What is in the environment
    /// of such a program must not decide what runs in it, and that is how a child learns that it is one.
    Privileged,
    /// The system said no: no descriptors, processes or memory left, for instance.
    System(Error),
}

impl<Args> SpawnError<Args> {
    pub(crate) fn new(args: Args, name: String, reason: Reason) -> SpawnError<Args> {
        SpawnError { args, name, reason }
    }

    pub(crate) fn map<T>(self, f: impl FnOnce(Args) -> T) -> SpawnError<T> {
        SpawnError { args: f(self.args), name: self.name, reason: self.reason }
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The arguments, to try again.
    pub fn into_args(self) -> Args {
        self.args
    }
}

impl From<Error> for Reason {
    fn from(error: Error) -> Reason {
        Reason::System(error)
    }
}

impl<Args> fmt::Display for SpawnError<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start process `{}`: ", self.name)?;
        match &self.reason {
            Reason::Arguments(why) => write!(f, "its arguments cannot be serialised: {why}"),
            Reason::Daemon => f.write_str("this process is a daemon, which cannot have children"),
            Reason::NotInProgram => f.write_str("its function lies in a shared library, not in the program"),
            Reason::NotInitialised => f.write_str(
                "this process is a child itself, and its main did not call ipc_process::init() first",
            ),
            Reason::Exiting => f.write_str("this process is about to exit"),
            Reason::Privileged => f.write_str("this program has more rights than who started it"),
            Reason::System(error) => error.fmt(f),
        }
    }
}

impl<Args> fmt::Debug for SpawnError<Args> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpawnError")
            .field("name", &self.name)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

impl<Args> std::error::Error for SpawnError<Args> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.reason {
            Reason::System(error) => Some(error),
            _ => None,
        }
    }
}
