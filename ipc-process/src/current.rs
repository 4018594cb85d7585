//! Who this process is, and who its parent.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::sys;
use crate::wire::Start;

/// This process. See [`current`].
#[derive(Debug)]
#[doc(alias = "current_process")]
pub struct Current {
    name: String,
    path: String,
    daemon: bool,
    nested: bool,
    children: AtomicU32,
    parent: Option<Parent>,
}

/// The process that started this one. See [`parent`].
#[doc(alias = "parent_process")]
pub struct Parent {
    pid: u32,
    name: String,
    pidfd: OwnedFd,
}

static CURRENT: OnceLock<Current> = OnceLock::new();

/// This process: the name and the flags that its parent gave it, or those of the main process.
#[doc(alias = "current_process")]
pub fn current() -> &'static Current {
    CURRENT.get_or_init(|| Current {
        name: "MainProcess".to_owned(),
        path: String::new(),
        daemon: false,
        nested: false,
        children: AtomicU32::new(0),
        parent: None,
    })
}

/// The process that started this one; `None` in the main process.
#[doc(alias = "parent_process")]
pub fn parent() -> Option<&'static Parent> {
    current().parent.as_ref()
}

impl Current {
    /// Makes this process the child that `start` describes; `None` if somebody asked before who it is, and was told
    /// that it is the main process.
    pub(crate) fn become_child(start: Start) -> Option<&'static Current> {
        let Start { name, path, daemon, nested, parent_pid: pid, parent_name, parent, .. } = start;
        let parent = Some(Parent { pid, name: parent_name, pidfd: parent.0 });
        CURRENT.set(Current { name, path, daemon, nested, children: AtomicU32::new(0), parent }).ok()?;
        CURRENT.get()
    }

    /// The name: given, or made from the order of starts. `MainProcess` in the main process.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        sys::pid()
    }

    /// Whether it ends with its parent. Then it cannot start children, other than daemons if it is
    /// [nested](crate::Builder::nested).
    #[doc(alias = "daemon")]
    pub fn is_daemon(&self) -> bool {
        self.daemon
    }

    /// Whether it may start children that are daemons, or are not.
    pub(crate) fn may_start(&self, daemon: bool) -> bool {
        !self.daemon || self.nested && daemon
    }

    /// The path for the next child: `2` for the second child of the main process, `2:1` for its first.
    pub(crate) fn next_path(&self) -> String {
        let number = self.children.fetch_add(1, Ordering::Relaxed) + 1;
        if self.path.is_empty() { number.to_string() } else { format!("{}:{number}", self.path) }
    }
}

impl Parent {
    /// Its process id, which the system may have given to another process after its end.
    #[doc(alias = "ident")]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it has not ended yet.
    pub fn is_alive(&self) -> bool {
        !sys::parent_has_ended(self.as_fd(), self.pid)
    }

    /// Waits for its end, however it comes.
    #[doc(alias = "join")]
    pub fn wait(&self) {
        self.wait_until(None);
    }

    /// Waits for its end; false if it still lives after `timeout`.
    #[doc(alias = "join")]
    pub fn wait_timeout(&self, timeout: Duration) -> bool {
        self.wait_until(ipc_core::deadline(timeout))
    }

    /// Waits for its end; false if it still lives at `deadline`.
    #[doc(alias = "join")]
    pub fn wait_deadline(&self, deadline: Instant) -> bool {
        self.wait_until(Some(deadline))
    }

    fn wait_until(&self, deadline: Option<Instant>) -> bool {
        let ended = || (!self.is_alive()).then_some(());
        sys::poll_until(self.as_fd(), deadline, ended).is_some()
    }
}

impl AsFd for Parent {
    /// The pidfd: readable from the end of the process on.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl fmt::Debug for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parent").field("name", &self.name).field("pid", &self.pid).finish()
    }
}

/// How long a daemon whose parent has ended has for its own handler of SIGTERM; and how often it asks for its parent.
const GRACE: Duration = Duration::from_millis(500);

/// Ends this process when its parent ends, also by SIGKILL. The kernel's own signal at the parent's death would
/// come already when the thread that started this process ends.
pub(crate) fn end_with(parent: &'static Parent) -> std::io::Result<()> {
    let watch = move || {
        sys::block_signals();
        // The program may have closed the descriptor, and another may have its number by now: the kernel's own word for
        // the parent counts, and the descriptor says when to ask.
        while sys::parent_pid() == parent.pid {
            if parent.wait_timeout(GRACE) && sys::parent_pid() == parent.pid {
                thread::sleep(GRACE);
            }
        }
        sys::signal_self(Signal::TERM);
        thread::sleep(GRACE);
        sys::signal_self(Signal::KILL);
    };
    thread::Builder::new().name("ipc-parent".to_owned()).stack_size(128 * 1024).spawn(watch).map(drop)
}
