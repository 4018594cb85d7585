//! Starting a child.

use std::ffi::OsStr;
use std::fmt;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Error, Fd};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::child::Child;
use crate::current::current;
use crate::entry::{self, Entry, MARK};
use crate::function::{self, Function, Runnable};
use crate::process::{self, Process};
use crate::sys;
use crate::wire::Start;

/// Runs a function in a new process.
///
/// `f` is a function, or a closure that captures nothing; its arguments stand in a tuple. They are serialised, with
/// the handles among them, and dropped here.
///
/// ```
/// fn area(width: f64, height: f64) -> f64 {
///     width * height
/// }
///
/// let mut child = ipc_process::spawn(area, (2.0, 3.5))?;
/// assert_eq!(child.join()?, 7.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SpawnError`] says why and has the arguments; nothing was started then.
#[doc(alias = "start")]
#[doc(alias = "Process")]
pub fn spawn<F, Args>(f: F, args: Args) -> Result<Child<F::Output>, SpawnError<Args>>
where
    F: Function<Args, Output: Serialize + DeserializeOwned>,
    Args: Serialize + DeserializeOwned + 'static,
{
    Builder::new().spawn(f, args)
}

/// Sends a value to a new process and runs it there. See [`Runnable`].
///
/// # Errors
/// [`SpawnError`] says why and has the value; nothing was started then.
pub fn spawn_runnable<T: Runnable>(value: T) -> Result<Child<T::Output>, SpawnError<T>> {
    Builder::new().spawn_runnable(value)
}

/// A child to be: its name, and how it runs.
///
/// ```
/// use ipc_process::{Builder, current};
/// let mut child = Builder::new().name("bun").daemon(true).spawn(|| current().name().to_owned(), ())?;
/// assert_eq!(child.join()?, "bun");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "a Builder starts nothing by itself"]
#[doc(alias = "Process")]
pub struct Builder {
    command: Command,
    name: Option<String>,
    daemon: bool,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// A child like this process: same arguments, environment, directory, output; its input is /dev/null.
    pub fn new() -> Builder {
        let mut arguments = std::env::args_os();
        let mut command = Command::new(sys::SELF);
        command.arg0(arguments.next().unwrap_or_else(|| sys::SELF.into())).args(arguments);
        Builder { command, name: None, daemon: false }
    }

    /// The name that it has in messages and in [`current`](crate::current). Without one it is called `Process-1`,
    /// `Process-2`, ..., and `Process-2:1` for the first child of the second.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Whether it ends with its parent: it is sent SIGTERM when the parent exits or is killed, and SIGKILL if it does
    /// not end within a second. A daemon cannot start children.
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = daemon;
        self
    }

    /// Sets a variable of its environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Builder {
        self.command.env(key, value);
        self
    }

    /// The directory that it starts in.
    pub fn current_dir(mut self, directory: impl AsRef<Path>) -> Builder {
        self.command.current_dir(directory);
        self
    }

    /// Where its standard output goes.
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Builder {
        self.command.stdout(stdout);
        self
    }

    /// Where its standard error goes.
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Builder {
        self.command.stderr(stderr);
        self
    }

    /// Starts it with a function. See [`spawn`].
    ///
    /// # Errors
    /// As [`spawn`].
    #[doc(alias = "start")]
    pub fn spawn<F, Args>(self, f: F, args: Args) -> Result<Child<F::Output>, SpawnError<Args>>
    where
        F: Function<Args, Output: Serialize + DeserializeOwned>,
        Args: Serialize + DeserializeOwned + 'static,
    {
        const { function::assert_captures_nothing::<F>() };
        // Its type is all there is to it.
        let _ = f;
        match self.start(entry::entry::<F, Args>, &args) {
            Ok((process, channel)) => Ok(Child::new(process, channel)),
            Err((name, reason)) => Err(SpawnError { args, name, reason }),
        }
    }

    /// Starts it with a value to run. See [`Runnable`].
    ///
    /// # Errors
    /// As [`spawn_runnable`].
    pub fn spawn_runnable<T: Runnable>(self, value: T) -> Result<Child<T::Output>, SpawnError<T>> {
        self.spawn(|value: T| value.run(), (value,)).map_err(|error| {
            let SpawnError { args: (args,), name, reason } = error;
            SpawnError { args, name, reason }
        })
    }

    fn start(mut self, entry: Entry, args: &impl Serialize) -> Result<(Process, OwnedFd), (String, Reason)> {
        process::reap_ended();
        let path = current().next_path();
        let name = self.name.take().unwrap_or_else(|| format!("Process-{path}"));
        match self.start_named(&name, path, entry, args) {
            Ok(started) => Ok(started),
            Err(reason) => Err((name, reason)),
        }
    }

    fn start_named(
        mut self,
        name: &str,
        path: String,
        entry: Entry,
        args: &impl Serialize,
    ) -> Result<(Process, OwnedFd), Reason> {
        entry::keep_start();
        if current().is_daemon() {
            return Err(Reason::Daemon);
        }
        if entry::is_unstarted_child() {
            return Err(Reason::NotInitialised);
        }
        let parcel = pack(name, path, self.daemon, entry, args)?;
        let (channel, childs_end) = transfer::channel()?;
        // Sent before the child exists: it is there when the child looks, and a child that dies early blocks nobody.
        parcel.send(&channel)?;
        self.command.env(MARK, "1").stdin(childs_end);
        let mut child = self.command.spawn().map_err(|error| system("start", error))?;
        match sys::pidfd(child.id()) {
            Ok(pidfd) => Ok((Process::adopt(pidfd, child.id(), name, self.daemon), channel)),
            Err(errno) => {
                // It has not been waited for, so this hits nobody else.
                let _ = child.kill();
                let _ = child.wait();
                Err(system("watch", errno.into()))
            }
        }
    }
}

fn system(operation: &'static str, error: std::io::Error) -> Reason {
    Reason::System(Error::new(operation, "a process", error))
}

/// Everything that the child has to know.
fn pack(
    name: &str,
    path: String,
    daemon: bool,
    entry: Entry,
    args: &impl Serialize,
) -> Result<Parcel, Reason> {
    let start = Start {
        executable: sys::executable().map_err(|error| system("look at the program of", error))?,
        entry: sys::code_offset(entry as usize).ok_or(Reason::NotInProgram)?,
        name: name.to_owned(),
        path,
        daemon,
        parent_pid: sys::pid(),
        parent_name: current().name().to_owned(),
        parent: Fd(sys::pidfd(sys::pid()).map_err(|errno| system("watch", errno.into()))?),
    };
    entry::pack(&start, args).map_err(|error| Reason::Arguments(error.to_string()))
}

/// An error returned from [`spawn`]: why no child was started, and the arguments that it was to have.
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
    /// The system said no: no descriptors, processes or memory left, for instance.
    System(Error),
}

impl<Args> SpawnError<Args> {
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
            Reason::NotInitialised => {
                f.write_str("this process is a child itself, and its main did not call ipc_process::init() first")
            }
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
