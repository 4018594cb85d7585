//! The children of this process: known until they are reaped, whoever holds a handle.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use ipc_core::{Error, Result};
use rustix::process::Signal;

use crate::sys::{self, Exit};

/// A child process: everything but its result.
///
/// A clone is another handle to the same process. Dropping handles does nothing to the process.
#[derive(Clone)]
#[doc(alias = "BaseProcess")]
pub struct Process(Arc<Inner>);

struct Inner {
    pidfd: OwnedFd,
    pid: u32,
    name: Box<str>,
    daemon: bool,
    exit: Mutex<Option<Exit>>,
}

/// Every child that has not been reaped.
static CHILDREN: Mutex<Children> = Mutex::new(Children { pid: 0, processes: Vec::new() });

struct Children {
    /// Whose children they are: a forked process has a copy of the list, but not the children.
    pid: u32,
    processes: Vec<Process>,
}

fn children() -> MutexGuard<'static, Children> {
    let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    if children.pid != sys::pid() {
        children.pid = sys::pid();
        children.processes.clear();
    }
    children
}

/// All children of this process that are alive. Reaps those that have ended.
pub fn active_children() -> Vec<Process> {
    reap_ended();
    children().processes.clone()
}

/// Removes the zombies: every start does this, so there are never many.
pub(crate) fn reap_ended() {
    let mut children = children();
    let fds: Vec<_> = children.processes.iter().map(AsFd::as_fd).collect();
    let mut ended = sys::readable_now(&fds).into_iter();
    // The list is as long as what was asked about, as it is locked.
    children.processes.retain(|child| !(ended.next().unwrap_or(false) && child.reap().is_some()));
}

/// How long daemons have to end at the exit of their parent, from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(1);

/// At the exit of the parent, daemons are terminated and the others waited for.
extern "C" fn end_children() {
    let processes = std::mem::take(&mut children().processes);
    let (daemons, others): (Vec<_>, Vec<_>) = processes.into_iter().partition(Process::is_daemon);
    for daemon in &daemons {
        let _ = daemon.terminate();
    }
    for child in &others {
        child.wait(None);
    }
    let deadline = ipc_core::deadline(GRACE);
    for daemon in &daemons {
        if daemon.wait(deadline).is_none() {
            let _ = daemon.kill();
            daemon.wait(None);
        }
    }
}

impl Process {
    /// Takes note of a child that was just started.
    pub(crate) fn adopt(pidfd: OwnedFd, pid: u32, name: &str, daemon: bool) -> Process {
        static AT_EXIT: Once = Once::new();
        AT_EXIT.call_once(|| sys::at_exit(end_children));
        let process = Process(Arc::new(Inner { pidfd, pid, name: name.into(), daemon, exit: Mutex::new(None) }));
        children().processes.push(process.clone());
        process
    }

    /// The process id. It stays readable after the end, when the system may have given it to another process.
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        self.0.pid
    }

    /// The name, given or made from the order of starts: `Process-1`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Whether it ends with this process.
    #[doc(alias = "daemon")]
    pub fn is_daemon(&self) -> bool {
        self.0.daemon
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        self.reap().is_none()
    }

    /// `None` while it runs; then the code it exited with, or -N if signal N killed it. A panic is 101. -256
    /// if somebody else took the status (the program ignores SIGCHLD, or waits for children on its own).
    #[doc(alias = "exitcode")]
    pub fn exit_code(&self) -> Option<i32> {
        self.reap().map(|exit| match exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => -signal,
            Exit::Unknown => -256,
        })
    }

    /// Asks it to end, with SIGTERM. Nothing happens if it has ended; another process is never hit.
    ///
    /// # Errors
    /// The system's, if it may not be signalled.
    pub fn terminate(&self) -> Result<()> {
        self.signal("terminate", Signal::TERM)
    }

    /// Ends it with SIGKILL. Nothing happens if it has ended; another process is never hit.
    ///
    /// # Errors
    /// The system's, if it may not be signalled.
    pub fn kill(&self) -> Result<()> {
        self.signal("kill", Signal::KILL)
    }

    fn signal(&self, operation: &'static str, signal: Signal) -> Result<()> {
        let sent = sys::send_signal(self.as_fd(), signal);
        let object = || format!("process `{}` (pid {})", self.name(), self.pid());
        sent.map_err(|errno| Error::new(operation, object(), std::io::Error::from(errno)))
    }

    /// Waits for the end and takes the status; `None` after the deadline.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<Exit> {
        loop {
            if let Some(exit) = self.reap() {
                return Some(exit);
            }
            if !sys::wait_readable(self.as_fd(), deadline) {
                return None;
            }
        }
    }

    /// The status, if it has ended. Whoever asks first takes the zombie away.
    fn reap(&self) -> Option<Exit> {
        let mut exit = self.0.exit.lock().unwrap_or_else(PoisonError::into_inner);
        if exit.is_none() {
            *exit = sys::reap(self.as_fd());
        }
        *exit
    }
}

impl AsFd for Process {
    /// The pidfd: readable from the end of the process on, for `poll`, `epoll` and the like.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.pidfd.as_fd()
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name())
            .field("pid", &self.pid())
            .field("daemon", &self.is_daemon())
            .field("exit_code", &self.exit_code())
            .finish()
    }
}
