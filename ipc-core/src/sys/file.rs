//! Files: nameless, named, sealed and locked.

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::{Errno, retry_on_intr};

use super::{above_stdio, without_signals};

/// A nameless file in memory, close-on-exec, open for seals. `label` is what /proc shows.
pub(crate) fn memfd(label: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Without NOEXEC_SEAL (Linux 6.3) some hardened systems refuse; older kernels refuse the flag itself.
    match rustix::fs::memfd_create(label, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(label, flags),
        other => other,
    }
    .and_then(above_stdio)
}

/// Makes `fd`, of `have` bytes, at least `len` bytes long with every page in place, or changes nothing.
pub(crate) fn reserve(fd: BorrowedFd<'_>, have: u64, len: u64) -> Result<(), Errno> {
    // Before Linux 6.0 any signal undoes it, so that under a timer a long one would never end.
    without_signals(|| retry_on_intr(|| rustix::fs::fallocate(fd, FallocateFlags::empty(), have, len - have)))
}

/// How many bytes a file of this process may have; `None` if there is no limit.
pub(crate) fn file_limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Fsize).current
}

/// Gives the pages of that part of the file back. Who looks there finds zeroes.
pub(crate) fn release(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    retry_on_intr(|| rustix::fs::fallocate(fd, flags, offset, len))
}

/// The file can never shrink again, nor (unless `growable`) grow.
pub(crate) fn seal_size(fd: BorrowedFd<'_>, growable: bool) -> Result<(), Errno> {
    let fixed = if growable { SealFlags::empty() } else { SealFlags::GROW };
    rustix::fs::fcntl_add_seals(fd, SealFlags::SHRINK | SealFlags::SEAL | fixed)
}

/// The file can never change again. Nobody writes to it.
pub(crate) fn seal_contents(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    let mut tries = 0;
    loop {
        match rustix::fs::fcntl_add_seals(fd, seals) {
            // The kernel itself still has hold of a page, as it does for a moment after a write: it waits for that, but on a
            // busy machine not for long enough.
            Err(Errno::BUSY) if tries < SEAL_TRIES => tries += 1,
            result => return result,
        }
    }
}

/// Each waits for some tenths of a second.
const SEAL_TRIES: u32 = 50;

/// Whether the file can never be cut off.
pub(crate) fn cannot_shrink(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK))
}

/// Whether the file consists of huge pages. Nobody reserves those here.
pub(crate) fn has_huge_pages(fd: BorrowedFd<'_>) -> bool {
    const HUGETLBFS: i64 = 0x9584_58f6;
    rustix::fs::fstatfs(fd).is_ok_and(|stat| stat.f_type == HUGETLBFS)
}

/// What fstat says of a file.
pub(crate) struct Stat {
    /// Device and inode: the same file has the same.
    pub(crate) id: (u64, u64),
    pub(crate) len: u64,
    pub(crate) uid: u32,
    pub(crate) is_file: bool,
    /// Nobody but its owner may open it.
    pub(crate) is_private: bool,
}

pub(crate) fn stat(fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(Stat {
        id: (stat.st_dev, stat.st_ino),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        uid: stat.st_uid,
        is_file: rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file(),
        is_private: !Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO),
    })
}

/// Device and inode of what stands at `path`, if anything.
pub(crate) fn file_at(path: &Path) -> Option<(u64, u64)> {
    rustix::fs::lstat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// A nameless file in the directory, to be given a name by [`link`].
pub(crate) fn unnamed_file(directory: &Path) -> Result<OwnedFd, Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode)?;
    rustix::fs::fchmod(&file, mode)?;
    above_stdio(file)
}

/// Gives the nameless file a name; `EXIST` if there is one of that name.
pub(crate) fn link(file: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, proc_path(file), CWD, path, AtFlags::SYMLINK_FOLLOW)
}

pub(crate) fn open_file(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())).and_then(above_stdio)
}

/// A second, independent opening of the same file.
pub(crate) fn reopen(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::fs::open(proc_path(file), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).and_then(above_stdio)
}

/// The first bytes of the file, without moving its position.
pub(crate) fn first_bytes(file: BorrowedFd<'_>) -> Result<[u8; 8], Errno> {
    let mut bytes = [0; 8];
    retry_on_intr(|| rustix::io::pread(file, &mut bytes, 0))?;
    Ok(bytes)
}

/// Where the file lies, or lay before its name was taken away, if it is one that has or had a name.
pub(crate) fn path_of(file: BorrowedFd<'_>) -> Option<PathBuf> {
    let link = rustix::fs::readlink(proc_path(file), Vec::new()).ok()?;
    Some(PathBuf::from(OsString::from_vec(link.into_bytes())))
}

fn proc_path(file: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("digits have no NUL")
}

pub(crate) fn unlink(path: &Path) -> Result<(), Errno> {
    rustix::fs::unlink(path)
}

/// Has the kernel lock that byte for this opening of the file, until [`unlock`] or the end of the descriptor's last
/// copy.
pub(crate) fn try_lock(file: BorrowedFd<'_>, byte: u32) -> bool {
    lock_call(file, byte, libc::F_OFD_SETLK, libc::F_WRLCK).is_ok()
}

/// As [`try_lock`], but others may have it at the same time in this way.
pub(crate) fn try_share(file: BorrowedFd<'_>, byte: u32) -> bool {
    lock_call(file, byte, libc::F_OFD_SETLK, libc::F_RDLCK).is_ok()
}

pub(crate) fn unlock(file: BorrowedFd<'_>, byte: u32) {
    // Nothing can be wrong with giving up.
    let _ = lock_call(file, byte, libc::F_OFD_SETLK, libc::F_UNLCK);
}

/// Whether the byte is locked for another opening of the file.
pub(crate) fn is_locked(file: BorrowedFd<'_>, byte: u32) -> io::Result<bool> {
    let found = lock_call(file, byte, libc::F_OFD_GETLK, libc::F_WRLCK)?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

fn lock_call(file: BorrowedFd<'_>, byte: u32, command: i32, kind: i32) -> io::Result<libc::flock> {
    // SAFETY: plain numbers, for which zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    // Counted from the start of the file: SEEK_SET is 0, and so is the pid that the kernel asks for.
    (lock.l_type, lock.l_start, lock.l_len) = (kind as _, byte.into(), 1);
    // SAFETY: the command reads and writes the structure that it is given, which lives until it returns.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &mut lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(lock),
    }
}

pub(crate) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}
