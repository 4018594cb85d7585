//! The path of a listener: nobody else's from its first moment, recognised when its owner was killed, given back.
//!
//! The kernel itself says whether a socket's file has an owner: there is one to connect to, or not. A stale path is
//! removed under a kernel lock on its directory, so that what is removed is what was looked at.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ipc_core::{Cause, ForkMutex};
use rustix::fs::{FileType, FlockOperation, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

use crate::address::os;
use crate::sys;

/// Device and inode: the same file has the same.
type FileId = (u64, u64);

/// A path that a listener of this process has. Given back when dropped, and at exit.
#[derive(Debug)]
pub(crate) struct OwnPath(Bound);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    path: PathBuf,
    file: FileId,
    /// A forked child has a copy of this, but not the path.
    pid: u32,
}

struct Table {
    paths: Vec<Bound>,
    /// Set when the process has begun to exit.
    exits: bool,
}

static TABLE: ForkMutex<Table> = ForkMutex::new(Table { paths: Vec::new(), exits: false });

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock()
}

/// Binds the socket to the path, in place of one whose owner is dead.
pub(crate) fn bind(socket: BorrowedFd<'_>, path: &Path, address: &SocketAddrUnix) -> Result<OwnPath, Cause> {
    static AT_EXIT: AtomicBool = AtomicBool::new(false);
    if !AT_EXIT.swap(true, Ordering::Relaxed) {
        sys::at_exit(give_all_back);
    }
    let path = std::path::absolute(path)?;
    // The file gets the mode that the socket has when it is bound, less what the umask takes away.
    rustix::fs::fchmod(socket, Mode::RUSR | Mode::WUSR).map_err(os)?;
    let _lock = lock_directory(&path)?;
    // It is known before anybody else can look, so that an exit meanwhile removes it.
    let mut table = table();
    if table.exits {
        return Err(Cause::Exiting);
    }
    loop {
        match rustix::net::bind(socket, address) {
            Ok(()) => break,
            Err(Errno::ADDRINUSE) => remove_if_stale(&path, address)?,
            Err(errno) => return Err(os(errno)),
        }
    }
    let file = file_at(&path).ok_or_else(|| os(Errno::NOENT))?;
    let bound = Bound { path, file, pid: std::process::id() };
    table.paths.push(bound.clone());
    Ok(OwnPath(bound))
}

/// Locks the directory of the path. It is held for microseconds, unless its holder is stopped.
fn lock_directory(path: &Path) -> Result<OwnedFd, Cause> {
    let directory = path.parent().unwrap_or(path);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = retry_on_intr(|| rustix::fs::open(directory, flags, Mode::empty())).map_err(os)?;
    for _ in 0..100 {
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(directory),
            Err(Errno::WOULDBLOCK | Errno::INTR) => thread::sleep(Duration::from_millis(1)),
            Err(errno) => return Err(os(errno)),
        }
    }
    Err(Cause::NameBusy)
}

fn remove_if_stale(path: &Path, address: &SocketAddrUnix) -> Result<(), Cause> {
    match rustix::fs::lstat(path) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Socket => {}
        // It is gone already.
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(os(errno)),
        Ok(_) => return Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, NOT_A_SOCKET).into()),
    }
    // A socket of another kind than listeners have: one that lives refuses it, and does not hear of it.
    let kind = SocketType::DGRAM;
    let probe =
        rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).map_err(os)?;
    match rustix::net::connect(&probe, address) {
        Err(Errno::CONNREFUSED) => match rustix::fs::unlink(path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(os(errno)),
        },
        Err(Errno::NOENT) => Ok(()),
        _ => Err(Cause::NameTaken),
    }
}

const NOT_A_SOCKET: &str = "there is something else than a socket";

fn file_at(path: &Path) -> Option<FileId> {
    rustix::fs::lstat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

impl Bound {
    fn is_mine(&self) -> bool {
        self.pid == std::process::id()
    }

    fn give_back(&self) {
        if self.is_mine() && file_at(&self.path) == Some(self.file) {
            // What goes wrong leaves a stale path, which the next owner removes.
            let _ = rustix::fs::unlink(&self.path);
        }
    }
}

impl Drop for OwnPath {
    fn drop(&mut self) {
        if self.0.is_mine() {
            self.0.give_back();
            table().paths.retain(|bound| *bound != self.0);
        }
    }
}

/// At the exit of a process nothing is dropped that lies in a static or was leaked.
extern "C" fn give_all_back() {
    // A thread that runs on may hold the table for a moment; as may the one that calls this, in a signal's handler.
    for _ in 0..200 {
        match TABLE.try_lock() {
            Some(table) => return give_back_all_of(table),
            None => thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn give_back_all_of(mut table: MutexGuard<'_, Table>) {
    table.exits = true;
    table.paths.iter().for_each(Bound::give_back);
}
