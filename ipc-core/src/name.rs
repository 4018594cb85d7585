//! Names in /dev/shm: taken whole or not at all, given back by their owner, recognised when it was killed.
//!
//! A file is written without a name and linked when it is ready. Its owner holds the kernel's lock on a descriptor
//! of its own, which is never handed on: when the owner ends, however it ends, the lock is gone, and the name is
//! stale.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::error::{Cause, os};
use crate::sys;

const DIRECTORY: &str = "/dev/shm";
const MAX_LEN: usize = 200;

fn prefix() -> String {
    format!("ipc-{}-", sys::user())
}

/// The path of a name, if it is a good one.
pub(crate) fn path(name: &str) -> Result<PathBuf, Cause> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > MAX_LEN || !name.bytes().all(good) {
        return Err(Cause::BadName);
    }
    Ok(Path::new(DIRECTORY).join(prefix() + name))
}

/// A file that has no name yet, and the owner's lock on it.
pub(crate) fn unnamed() -> Result<(OwnedFd, OwnedFd), Cause> {
    let file = sys::unnamed_file(Path::new(DIRECTORY)).map_err(os)?;
    let owner = sys::reopen(file.as_fd()).map_err(os)?;
    if !sys::try_lock(owner.as_fd()) {
        return Err(Cause::NameTaken);
    }
    Ok((file, owner))
}

/// Opens what stands at the path, if it is this user's.
pub(crate) fn open(path: &Path) -> Result<OwnedFd, Cause> {
    let file = sys::open_file(path).map_err(os)?;
    let stat = sys::stat(file.as_fd()).map_err(os)?;
    if !stat.is_file {
        return Err(Cause::NotASegment);
    }
    if stat.uid != sys::user() {
        return Err(Cause::ForeignOwner { uid: stat.uid });
    }
    Ok(file)
}

/// A name that a segment of this process has.
pub(crate) struct Name {
    path: PathBuf,
    /// The owner's lock; an opener has none.
    owner: Option<OwnedFd>,
    /// A forked child has a copy of this, but not the name.
    pid: u32,
}

impl Name {
    /// Gives the file its name, in place of one whose owner is dead.
    pub(crate) fn publish(path: PathBuf, owner: OwnedFd) -> Result<Name, Cause> {
        loop {
            match sys::link(owner.as_fd(), &path) {
                Ok(()) => return Ok(Name { path, owner: Some(owner), pid: sys::pid() }),
                Err(Errno::EXIST) if remove_if_stale(&path, |_| true)? => {}
                Err(Errno::EXIST) => return Err(Cause::NameTaken),
                Err(errno) => return Err(os(errno)),
            }
        }
    }

    pub(crate) fn opened(path: PathBuf) -> Name {
        Name { path, owner: None, pid: sys::pid() }
    }

    /// Takes the name away from its file: as its owner, or if the owner is dead and the file is `unused`.
    pub(crate) fn give_up(&self, file: (u64, u64), unused: impl FnOnce() -> bool) {
        if self.pid != sys::pid() {
            return;
        }
        if self.owner.is_none() {
            // Whatever goes wrong, the name stays, and is recognised as stale by the next who wants it.
            let _ = remove_if_stale(&self.path, |id| id == file && unused());
        } else if sys::file_at(&self.path) == Some(file) {
            let _ = sys::unlink(&self.path);
        }
    }
}

/// Removes the name if no owner holds its file and `wanted` agrees. While the lock is held here, nobody else removes
/// it, so that what is unlinked is what was looked at.
fn remove_if_stale(path: &Path, wanted: impl FnOnce((u64, u64)) -> bool) -> Result<bool, Cause> {
    let file = match open(path) {
        Err(Cause::Os(error)) if error.kind() == std::io::ErrorKind::NotFound => return Ok(true),
        file => file?,
    };
    let id = sys::stat(file.as_fd()).map_err(os)?.id;
    if !sys::try_lock(file.as_fd()) || !wanted(id) {
        return Ok(false);
    }
    if sys::file_at(path) == Some(id) {
        sys::unlink(path).map_err(os)?;
    }
    Ok(true)
}

/// Removes this user's names whose owner is dead and which `unused` says nobody uses; says how many.
pub(crate) fn sweep(unused: impl Fn(OwnedFd) -> bool) -> Result<usize, Cause> {
    let prefix = prefix();
    let mut removed = 0;
    for entry in fs::read_dir(DIRECTORY)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        let path = entry.path();
        let stale = |id| {
            open(&path)
                .is_ok_and(|file| sys::stat(file.as_fd()).is_ok_and(|stat| stat.id == id) && unused(file))
        };
        // One that is someone else's, or vanished meanwhile, is not ours to remove.
        removed += usize::from(remove_if_stale(&path, stale).unwrap_or(false));
    }
    Ok(removed)
}
