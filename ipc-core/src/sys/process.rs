//! Processes: which this is, which live, and descriptors that tell when one ends.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

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

/// Whether that very process still runs. A zombie does not; one that is stopped does.
pub(crate) fn is_alive(life: Life, start_is_known: bool) -> bool {
    let Some(pid) = i32::try_from(life.pid).ok().and_then(Pid::from_raw) else { return false };
    let exists = || rustix::process::test_kill_process(pid) != Err(Errno::SRCH);
    exists()
        && match read_stat(life.pid) {
            Ok(stat) => !stat.ended && (!start_is_known || life.start == 0 || stat.start == life.start),
            // It ended just now; or /proc hides it, which says nothing about it.
            Err(_) => exists(),
        }
}

/// A descriptor for the process that has that pid now; `None` if there is no such process or no descriptor left.
pub(crate) fn pidfd(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).and_then(above_stdio).ok()
}

/// Which of the descriptors are readable now, which a pidfd is from the end of its process on.
pub(crate) fn readable_now(fds: &[BorrowedFd<'_>]) -> Vec<bool> {
    readable(fds, Some(&Timespec::default())).unwrap_or_else(|_| vec![false; fds.len()])
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
    ended: bool,
    start: u64,
}

/// Reads the fields that matter of /proc/PID/stat.
fn read_stat(pid: u32) -> io::Result<ProcStat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse_stat(text: &[u8]) -> Option<ProcStat> {
    // The second field is the name, in parentheses, and may contain any byte.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace().collect();
    let threads: u64 = fields.get(17)?.parse().ok()?;
    // The first thread of a process may have ended while others run on.
    let ended = matches!(*fields.first()?, "Z" | "X" | "x") && threads <= 1;
    Some(ProcStat { ended, start: fields.get(19)?.parse().ok()? })
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
        assert!(!stat.ended);
        assert_eq!(stat.start, 777);
    }

    #[test]
    fn a_first_thread_that_ended_before_the_others_is_not_the_end_of_the_process() {
        let line =
            |threads: u32| format!("42 (x) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 18 777 20");
        assert!(!parse_stat(line(2).as_bytes()).unwrap().ended);
        assert!(parse_stat(line(1).as_bytes()).unwrap().ended);
    }
}
