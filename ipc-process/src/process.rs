//! The children of this process: known until they are reaped, whoever holds a handle.
//!
//! A child is only ever signalled and waited for through its pidfd, so that no other process is hit. Whoever finds
//! that it has ended takes the status and the zombie, once, and strikes it off the list of children.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ipc_core::{Error, Result};
use rustix::process::Signal;

use crate::sys::{self, Exit};

/// A child process: everything but its result.
///
/// A clone is another handle to the same process. Dropping handles does nothing to the process.
#[derive(Clone)]
#[doc(alias = "BaseProcess")]
#[doc(alias = "sentinel")]
pub struct Process(Arc<Inner>);

struct Inner {
    pidfd: OwnedFd,
    pid: u32,
    name: Box<str>,
    daemon: bool,
    exit: Mutex<Option<Exit>>,
}

/// Every child that has not been reaped, in the order of their starts.
struct Children {
    /// Whose children they are: a forked process has a copy of the list, but not the children.
    pid: u32,
    processes: Mutex<Vec<Process>>,
    /// The list of a process that was forked from that one. The older list is not touched there: another thread may
    /// have held its lock at the fork, and will never release it.
    forked: OnceLock<Box<Children>>,
}

static CHILDREN: OnceLock<Children> = OnceLock::new();

fn children() -> MutexGuard<'static, Vec<Process>> {
    let pid = sys::pid();
    let new = || Children { pid, processes: Mutex::new(Vec::new()), forked: OnceLock::new() };
    let mut children = CHILDREN.get_or_init(new);
    while children.pid != pid {
        children = children.forked.get_or_init(|| Box::new(new()));
    }
    children.processes.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All children of this process that are alive, in the order of their starts. Reaps those that have ended.
///
/// ```
/// let mut child = ipc_process::spawn(|| ipc_process::parent().unwrap().wait(), ())?;
/// assert!(ipc_process::active_children().iter().any(|process| process.pid() == child.pid()));
/// child.kill()?;
/// child.join().unwrap_err();
/// assert!(ipc_process::active_children().iter().all(|process| process.pid() != child.pid()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn active_children() -> Vec<Process> {
    reap_ended();
    children().clone()
}

/// Removes the zombies: every start does this, so there are never many.
pub(crate) fn reap_ended() {
    let mut children = children();
    let fds: Vec<_> = children.iter().map(AsFd::as_fd).collect();
    let mut ended = sys::readable_now(&fds).into_iter();
    // The list is as long as what was asked about, as it is locked.
    children.retain(|child| !(ended.next().unwrap_or(true) && child.0.reap().is_some()));
}

/// How long daemons have to end at the exit of their parent, from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(1);

/// Set when the exit has begun.
static EXITING: AtomicBool = AtomicBool::new(false);

/// Whether this process is about to exit, so that children would be left behind.
pub(crate) fn is_exiting() -> bool {
    EXITING.load(Ordering::Relaxed)
}

/// At the exit of the parent, daemons are terminated and the others waited for.
extern "C" fn end_children() {
    EXITING.store(true, Ordering::Relaxed);
    loop {
        let processes = std::mem::take(&mut *children());
        if processes.is_empty() {
            return;
        }
        let (daemons, others): (Vec<_>, Vec<_>) = processes.into_iter().partition(Process::is_daemon);
        for daemon in &daemons {
            let _ = daemon.terminate();
        }
        let deadline = ipc_core::deadline(GRACE);
        for daemon in &daemons {
            if daemon.wait_until(deadline).is_none() {
                let _ = daemon.kill();
                daemon.wait_until(None);
            }
        }
        // Last, since they may run for as long as they like.
        for child in &others {
            child.wait_until(None);
        }
        // Other threads run on meanwhile, and may have been about to start one.
    }
}

impl Process {
    /// Takes note of a child that was just started.
    pub(crate) fn adopt(pidfd: OwnedFd, pid: u32, name: &str, daemon: bool) -> Process {
        static AT_EXIT: AtomicBool = AtomicBool::new(false);
        if !AT_EXIT.swap(true, Ordering::Relaxed) {
            sys::at_exit(end_children);
        }
        let process =
            Process(Arc::new(Inner { pidfd, pid, name: name.into(), daemon, exit: Mutex::new(None) }));
        children().push(process.clone());
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

    /// Whether it has not ended yet. A process that is stopped is alive; one that has ended is not, and is reaped here.
    pub fn is_alive(&self) -> bool {
        self.reap().is_none()
    }

    /// `None` while it runs; then the code it exited with, or -N if signal N killed it.
    ///
    /// 0 after its function returned, 101 after a panic, 126 if the child could not start or decode its arguments.
    /// -256 if somebody else took the status: the program ignores SIGCHLD, or waits for children on its own.
    #[doc(alias = "exitcode")]
    pub fn exit_code(&self) -> Option<i32> {
        self.reap().map(|exit| match exit {
            Exit::Code(code) => code,
            Exit::Signal(signal) => -signal,
            Exit::Unknown => -256,
        })
    }

    /// Waits for its end, and takes the zombie away. The result stays for [`join`](crate::Child::join).
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Waits for its end; false if it still lives after `timeout`.
    #[doc(alias = "wait")]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(ipc_core::deadline(timeout)).is_some()
    }

    /// Waits for its end; false if it still lives at `deadline`.
    #[doc(alias = "wait")]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline)).is_some()
    }

    /// Asks it to end, with SIGTERM. Nothing happens if it has ended; another process is never hit.
    ///
    /// # Errors
    /// The system's, if it may not be signalled.
    #[doc(alias = "SIGTERM")]
    pub fn terminate(&self) -> Result<()> {
        self.signal("terminate", Signal::TERM)
    }

    /// Ends it with SIGKILL. Nothing happens if it has ended; another process is never hit.
    ///
    /// # Errors
    /// The system's, if it may not be signalled.
    #[doc(alias = "SIGKILL")]
    pub fn kill(&self) -> Result<()> {
        self.signal("kill", Signal::KILL)
    }

    fn signal(&self, operation: &'static str, signal: Signal) -> Result<()> {
        if self.reap().is_some() {
            return Ok(());
        }
        let sent = sys::send_signal(self.as_fd(), signal);
        let object = || format!("process `{}` (pid {})", self.name(), self.pid());
        sent.map_err(|errno| Error::new(operation, object(), std::io::Error::from(errno)))
    }

    /// Waits for the end and takes the status; `None` after the deadline.
    pub(crate) fn wait_until(&self, deadline: Option<Instant>) -> Option<Exit> {
        sys::poll_until(self.as_fd(), deadline, || self.reap())
    }

    /// The status, if it has ended. Whoever asks first takes the zombie away.
    pub(crate) fn reap(&self) -> Option<Exit> {
        let (exit, is_new) = self.0.reap()?;
        if is_new {
            children().retain(|child| !Arc::ptr_eq(&child.0, &self.0));
        }
        Some(exit)
    }
}

impl Inner {
    /// The status, if it has ended, and whether it was taken just now.
    fn reap(&self) -> Option<(Exit, bool)> {
        let mut exit = self.exit.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = exit.is_none();
        if is_new {
            *exit = sys::reap(self.pidfd.as_fd());
        }
        exit.map(|exit| (exit, is_new))
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
