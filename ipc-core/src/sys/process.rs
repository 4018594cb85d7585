//! Processes: which this is, which live, and descriptors that tell when one ends.

use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::Pid;
use rustix::time::Timespec;

use super::above_stdio;

/// This process as others can recognise it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) pid: u32,
    /// Clock ticks from boot to its start; 0 if /proc does not tell.
    pub(crate) start: u64,
}

/// Pid and start time of this process.
pub(crate) fn life() -> Life {
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    Life { pid, start: read_stat(pid).map_or(0, |stat| stat.start) }
}

/// CPUs that are switched on.
pub(crate) fn cpus() -> usize {
    // SAFETY: it takes a number and gives one.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }).unwrap_or(1)
}

/// Whether that very process still runs. A zombie does not, nor does one that the kernel has begun to take down, which
/// takes long if it has much memory: it runs no code any more. One that is stopped does.
pub(crate) fn is_alive(life: Life, start_is_known: bool) -> bool {
    let Some(pid) = i32::try_from(life.pid).ok().and_then(Pid::from_raw) else { return false };
    let exists = || rustix::process::test_kill_process(pid) != Err(Errno::SRCH);
    exists()
        && match read_stat(life.pid) {
            Ok(stat) => {
                let is_same = !start_is_known || life.start == 0 || stat.start == life.start;
                is_same && !(stat.ended && no_thread_runs(life.pid))
            }
            // It ended just now; or there is no descriptor left; or /proc hides it, which says nothing about it.
            Err(_) => exists() && !has_no_memory(life.pid),
        }
}

/// Whether none of the process's threads runs any more, after its first one was seen to have ended: that may be while
/// others run on.
#[cold]
fn no_thread_runs(pid: u32) -> bool {
    let threads = || read_stat(pid).map_or(u64::MAX, |stat| stat.threads);
    threads() <= 1 || {
        // They come and go while one reads of them. Only if the same ones have ended before and after they were
        // counted were they all there are.
        let ended = ended_threads(pid);
        ended.as_ref().is_some_and(|ended| ended.len() as u64 == threads()) && ended_threads(pid) == ended
    }
}

/// The names of its threads; `None` if one of them runs.
fn ended_threads(pid: u32) -> Option<Vec<OsString>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let ended = |thread: io::Result<DirEntry>| {
        let thread = thread.ok()?;
        read_stat_at(&thread.path().join("stat")).ok()?.ended.then(|| thread.file_name())
    };
    threads.map(ended).collect()
}

/// Whether the process has no memory any more, and no thread but its first. Needs no descriptor, as nothing is opened.
#[cold]
fn has_no_memory(pid: u32) -> bool {
    let gone = rustix::fs::readlink(format!("/proc/{pid}/exe"), Vec::new()).is_err_and(|e| e == Errno::NOENT);
    // Only then: a first thread that is gone starts no others. A directory has two links, and this one another for each
    // thread. If /proc hides the process, there is none.
    gone && rustix::fs::stat(format!("/proc/{pid}/task")).is_ok_and(|stat| stat.st_nlink == 3)
}

/// A descriptor for the process that has that pid now; `None` if there is no such process or no descriptor left.
pub(crate) fn pidfd(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).and_then(above_stdio).ok()
}

/// A descriptor for [`has_memory`] of the process that has that pid now; `None` if there is none to be had.
pub(crate) fn memory_of(pid: u32) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let statm = rustix::fs::open(format!("/proc/{pid}/statm"), flags, Mode::empty());
    statm.and_then(above_stdio).ok()
}

/// Whether the descriptor is none of the last quarter that this process may have. What can be done without leaves those to
/// the rest of the program.
pub(crate) fn is_spare(fd: BorrowedFd<'_>) -> bool {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.is_none_or(|limit| u64::from(fd.as_raw_fd().unsigned_abs()) < limit / 4 * 3)
}

/// Whether the first thread of the process has memory, which it gives up when it begins to end.
pub(crate) fn has_memory(statm: BorrowedFd<'_>) -> bool {
    let mut pages = [0; 2];
    retry_on_intr(|| rustix::io::pread(statm, &mut pages, 0)).is_ok() && pages != *b"0 "
}

/// Which of the descriptors are readable now, which a pidfd is from the end of its process on.
///
/// # Errors
/// `INVAL` for more than this process may open.
pub(crate) fn readable_now(fds: &[BorrowedFd<'_>]) -> Result<Vec<bool>, Errno> {
    if fds.is_empty() { Ok(Vec::new()) } else { readable(fds, Some(&Timespec::default())) }
}

/// Waits until one of the descriptors is readable; which are.
pub(crate) fn wait_readable(fds: &[BorrowedFd<'_>]) -> Result<Vec<bool>, Errno> {
    readable(fds, None)
}

fn readable(fds: &[BorrowedFd<'_>], timeout: Option<&Timespec>) -> Result<Vec<bool>, Errno> {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    retry_on_intr(|| poll(&mut polled, timeout))?;
    Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect())
}

/// A descriptor that is readable after [`signal`] until [`clear`].
pub(crate) fn event() -> Result<OwnedFd, Errno> {
    use rustix::event::{EventfdFlags, eventfd};
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).and_then(above_stdio)
}

pub(crate) fn signal(event: BorrowedFd<'_>) {
    // Fails only if it is readable already.
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

pub(crate) fn clear(event: BorrowedFd<'_>) {
    // Fails only if it is not readable.
    let _ = rustix::io::read(event, &mut [0_u8; 8]);
}

struct ProcStat {
    /// It will never run again: the first thread, where it is that of a process.
    ended: bool,
    threads: u64,
    start: u64,
}

fn read_stat(pid: u32) -> io::Result<ProcStat> {
    read_stat_at(Path::new(&format!("/proc/{pid}/stat")))
}

/// Reads the fields that matter of the `stat` of a process or thread.
fn read_stat_at(path: &Path) -> io::Result<ProcStat> {
    let file = fs::File::open(path)?;
    // What matters is in the first few hundred bytes, and comes with one read.
    let mut text = [0; 1024];
    let len = retry_on_intr(|| rustix::io::read(&file, &mut text))?;
    parse_stat(&text[..len]).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse_stat(text: &[u8]) -> Option<ProcStat> {
    /// The kernel's flag for a thread that has begun to end.
    const PF_EXITING: u32 = 4;
    // The second field is the name, in parentheses, and may contain any byte.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let mut fields = std::str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let flags: u32 = fields.nth(5)?.parse().ok()?;
    Some(ProcStat {
        ended: matches!(state, "Z" | "X" | "x") || flags & PF_EXITING != 0,
        threads: fields.nth(10)?.parse().ok()?,
        start: fields.nth(1)?.parse().ok()?,
    })
}

/// The name that the kernel has for the process, for diagnostics.
pub(crate) fn process_name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Inodes of this process's pid and time namespace; 0 where /proc does not tell.
pub(crate) fn namespaces() -> (u64, u64) {
    let inode = |name: &str| rustix::fs::stat(format!("/proc/self/ns/{name}")).map_or(0, |stat| stat.st_ino);
    (inode("pid"), inode("time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse_the_parser() {
        let text = b"42 (a) Z (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 1 18 777 20";
        let stat = parse_stat(text).unwrap();
        assert_eq!((stat.ended, stat.threads, stat.start), (true, 1, 777), "6 has the flag");
    }

    #[test]
    fn what_is_a_zombie_or_about_to_be_one_has_ended() {
        let ended = |state: &str, flags: u32| {
            let line = format!("42 (x) {state} 1 2 3 4 5 {flags} 7 8 9 10 11 12 13 14 15 16 1 18 777 20");
            parse_stat(line.as_bytes()).unwrap().ended
        };
        assert!(ended("Z", 0) && ended("X", 0) && ended("R", 4) && ended("D", 0x40_0004));
        assert!(!ended("S", 0x40_0100) && !ended("T", 0x40_0000));
    }
}
