//! Starting a child.

use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Error, Fd};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::child::Child;
use crate::current::current;
use crate::entry::{self, Entry, MARK, MARK_VALUE};
use crate::function::{Function, Runnable};
use crate::process::{self, Process};
use crate::refusal::{Reason, SpawnError};
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
/// Arguments and results are encoded with postcard, which writes values and not their types. So parameters own what
/// they have, `String` and not `&str` ("implementation of `Deserialize` is not general enough"); a path is text, so that one which is not UTF-8 is refused (pass an `OsString`);
/// and a type that is written otherwise than it is read cannot travel: `serde_json::Value`, and the attributes
/// `untagged`, `flatten`, `skip_serializing_if`. Most of these are errors, but what `skip_serializing_if` leaves out
/// may go unseen if the bytes behind it make sense, and then the child has another value.
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
    nested: bool,
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
        Builder { command, name: None, daemon: false, nested: false }
    }

    /// The name that it has in messages, in [`current`](crate::current) and, cut to 15 bytes, in `ps`. Without one it
    /// is called `Process-1`, `Process-2`, ..., and `Process-2:1` for the first child of the second.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = Some(name.into());
        self
    }

    /// Whether it ends with its parent: it is sent SIGTERM when the parent exits or is killed, and SIGKILL if it does
    /// not end within a second. A daemon cannot start children, unless it is [nested](Builder::nested).
    pub fn daemon(mut self, daemon: bool) -> Builder {
        self.daemon = daemon;
        self
    }

    /// Whether it may start daemons although it is one. They end with it, so that nothing is left behind.
    pub fn nested(mut self, nested: bool) -> Builder {
        self.nested = nested;
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

    /// The process group that it is in from the start, 0 for one of its own: see
    /// [`CommandExt::process_group`]. In a group of its own it gets no signals from the terminal.
    pub fn process_group(mut self, group: i32) -> Builder {
        self.command.process_group(group);
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
        // Its type is all there is to it, which is checked where the child makes it anew.
        let _ = f;
        match self.start(entry::entry::<F, Args>, &args) {
            Ok((process, channel)) => Ok(Child::new(process, channel)),
            Err((name, reason)) => Err(SpawnError::new(args, name, reason)),
        }
    }

    /// Starts it with a value to run. See [`Runnable`].
    ///
    /// # Errors
    /// As [`spawn_runnable`].
    pub fn spawn_runnable<T: Runnable>(self, value: T) -> Result<Child<T::Output>, SpawnError<T>> {
        self.spawn(|value: T| value.run(), (value,)).map_err(|error| error.map(|(value,)| value))
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
        if !current().may_start(self.daemon) {
            return Err(Reason::Daemon);
        }
        if process::is_exiting() {
            return Err(Reason::Exiting);
        }
        if sys::is_privileged() {
            return Err(Reason::Privileged);
        }
        if entry::is_unstarted_child() {
            return Err(Reason::NotInitialised);
        }
        let parcel = pack(name, path, [self.daemon, self.nested], entry, args)?;
        let (channel, childs_end) = transfer::channel()?;
        // Sent before the child exists: it is there when the child looks, and a child that dies early blocks nobody.
        parcel.send(&channel)?;
        self.command.env(MARK, MARK_VALUE).stdin(childs_end);
        let mut child = self.command.spawn().map_err(|error| system("start", error))?;
        // Only now, so that there is a free descriptor for what comes next.
        drop(parcel);
        let pidfd = match sys::pidfd_of_child(child.id()) {
            // This program does not leave its children alone: it ignores SIGCHLD, for one. The child ran and is gone.
            Err(Errno::SRCH) => sys::pidfd_of_nobody(),
            other => other,
        };
        match pidfd {
            Ok(pidfd) => Ok((Process::adopt(pidfd, child.id(), name, self.daemon), channel)),
            Err(errno) => {
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
    [daemon, nested]: [bool; 2],
    entry: Entry,
    args: &impl Serialize,
) -> Result<Parcel, Reason> {
    let start = Start {
        executable: sys::executable().map_err(|error| system("find the program of", error))?,
        entry: sys::code_offset(entry as usize).ok_or(Reason::NotInProgram)?,
        name: name.to_owned(),
        path,
        daemon,
        nested,
        parent_pid: sys::pid(),
        parent_name: current().name().to_owned(),
        parent: Fd(sys::pidfd(sys::pid()).map_err(|errno| system("introduce itself to", errno.into()))?),
    };
    entry::pack(&start, args).map_err(Reason::Arguments)
}
