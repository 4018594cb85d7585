//! Names in /dev/shm: taken whole or not at all, given back by their owner, recognised when it was killed.
//!
//! A file is written without a name and linked when it is ready. Its owner holds a kernel lock on the file, through a
//! descriptor of its own which is never handed on: when the owner ends, however it ends, the lock is gone, and the
//! name is stale. Whoever removes a stale name, or opens one, holds a second lock while doing so. So what is removed
//! is what was looked at, and nobody removes as unused what is just being opened.

use std::fs;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use rustix::io::Errno;

use crate::error::{Cause, os};
use crate::layout::{MAGIC, NAME_LEN};
use crate::own::OwnWord;
use crate::sys;

const DIRECTORY: &str = "/dev/shm";
/// The byte that the owner has locked.
const OWNER: u32 = 0;
/// The byte that is locked while a stale name is removed, or a name is opened.
const NAME: u32 = 1;

fn prefix() -> String {
    format!("ipc-{}-", sys::user())
}

/// The path of a name, if it is a good one.
pub(crate) fn path(name: &str) -> Result<PathBuf, Cause> {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > NAME_LEN || !name.bytes().all(good) {
        return Err(Cause::BadName);
    }
    Ok(Path::new(DIRECTORY).join(prefix() + name))
}

/// Whether the file lies where the named ones do, also if its name was taken away.
pub(crate) fn is_at_home(file: BorrowedFd<'_>) -> bool {
    let home = fs::canonicalize(DIRECTORY).ok();
    sys::path_of(file).is_some_and(|path| path.parent() == home.as_deref())
}

/// A file that has no name yet, and the owner's lock on it.
pub(crate) fn unnamed() -> Result<(OwnedFd, OwnedFd), Cause> {
    let file = sys::unnamed_file(Path::new(DIRECTORY)).map_err(os)?;
    let owner = sys::reopen(file.as_fd()).map_err(os)?;
    if !sys::try_lock(owner.as_fd(), OWNER) {
        return Err(os(Errno::NOLCK));
    }
    Ok((file, owner))
}

/// Opens what stands at the path, if it is this user's.
fn open(path: &Path) -> Result<OwnedFd, Cause> {
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

/// Opens the file at the path and has it `mapped`, while nobody removes it as unused.
pub(crate) fn open_with<T>(
    path: &Path,
    mapped: impl Fn(Arc<OwnedFd>) -> Result<T, Cause>,
) -> Result<T, Cause> {
    loop {
        let file = Arc::new(open(path)?);
        // Without the lock, held by somebody who was stopped, the name may go. That is no harm to the memory.
        lock_name(file.as_fd());
        let result = mapped(Arc::clone(&file));
        let id = sys::stat(file.as_fd()).map_err(os)?.id;
        let is_there = sys::file_at(path) == Some(id);
        sys::unlock(file.as_fd(), NAME);
        // Otherwise it was removed between being opened and being locked.
        if is_there || result.is_err() {
            return result;
        }
    }
}

/// Takes the second lock. It is held for microseconds, unless its holder is stopped.
fn lock_name(file: BorrowedFd<'_>) -> bool {
    for _ in 0..100 {
        if sys::try_lock(file, NAME) {
            return true;
        }
        thread::sleep(Duration::from_millis(1));
    }
    false
}

/// A name that a segment of this process has.
pub(crate) struct Name {
    path: PathBuf,
    /// The owner's lock; an opener has none.
    owner: Option<OwnedFd>,
    /// 1; 0 in a forked child, which has a copy of this, but not the name.
    mine: OwnWord,
}

impl Name {
    /// The name of a segment: of one that this process made and is to [`publish`](Name::publish), with the owner's
    /// lock, or of one that another process made.
    pub(crate) fn new(path: PathBuf, owner: Option<OwnedFd>) -> Result<Name, Cause> {
        let mine = OwnWord::new()?;
        mine.store(1, Ordering::Relaxed);
        Ok(Name { path, owner, mine })
    }

    /// Gives the owner's file its name, if `replace` in place of one whose owner is dead. What `permit` returns is held
    /// meanwhile.
    pub(crate) fn publish<P>(
        &self,
        replace: bool,
        permit: impl Fn() -> Result<P, Cause>,
    ) -> Result<(), Cause> {
        let Some(owner) = &self.owner else { return Ok(()) };
        loop {
            let permitted = permit()?;
            let linked = sys::link(owner.as_fd(), &self.path);
            drop(permitted);
            match linked {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) if replace => match remove_if_stale(&self.path, |_, _| true) {
                    Ok(false) => return Err(Cause::NameTaken),
                    Err(cause) if !is_not_found(&cause) => return Err(cause),
                    _ => {}
                },
                Err(Errno::EXIST) => return Err(Cause::NameTaken),
                Err(errno) => return Err(os(errno)),
            }
        }
    }

    /// Takes the name away from its file: as its owner, or if the owner is dead and the file is `unused`.
    pub(crate) fn give_up(&self, file: (u64, u64), unused: impl FnOnce() -> bool) {
        if self.mine.load(Ordering::Relaxed) == 0 {
            return;
        }
        if self.owner.is_none() {
            // Whatever goes wrong, the name stays, and is recognised as stale by the next who wants it.
            let _ = remove_if_stale(&self.path, |_, id| id == file && unused());
        } else if sys::file_at(&self.path) == Some(file) {
            let _ = sys::unlink(&self.path);
        }
    }
}

/// Removes the name if no owner holds its file and `wanted` agrees. Says whether it did.
fn remove_if_stale(
    path: &Path,
    wanted: impl FnOnce(BorrowedFd<'_>, (u64, u64)) -> bool,
) -> Result<bool, Cause> {
    let file = open(path)?;
    if sys::is_locked(file.as_fd(), OWNER)? {
        return Ok(false);
    }
    if !lock_name(file.as_fd()) {
        return Err(Cause::NameBusy);
    }
    // Files are linked when they are complete, so one without this is not ours.
    if sys::first_bytes(file.as_fd()).map_err(os)? != MAGIC.to_ne_bytes() {
        return Err(Cause::NotASegment);
    }
    let id = sys::stat(file.as_fd()).map_err(os)?.id;
    if sys::file_at(path) != Some(id) {
        // Somebody was faster.
        return Err(os(Errno::NOENT));
    }
    if !wanted(file.as_fd(), id) {
        return Ok(false);
    }
    sys::unlink(path).map_err(os)?;
    Ok(true)
}

fn is_not_found(cause: &Cause) -> bool {
    matches!(cause, Cause::Os(error) if error.kind() == std::io::ErrorKind::NotFound)
}

/// Removes this user's names whose owner is dead and which `unused` says nobody uses; says how many.
pub(crate) fn sweep(unused: impl Fn(BorrowedFd<'_>) -> bool) -> Result<usize, Cause> {
    let prefix = prefix();
    let ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(&prefix);
    // One that is someone else's, or vanished meanwhile, is not ours to remove.
    let remove =
        |entry: fs::DirEntry| remove_if_stale(&entry.path(), |file, _| unused(file)).unwrap_or(false);
    Ok(fs::read_dir(DIRECTORY)?.flatten().filter(ours).map(remove).filter(|&removed| removed).count())
}
