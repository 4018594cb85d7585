//! What the runner and the scenarios ask the system about processes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal};

/// A descriptor for a process that need not be a child. The process has to be known to live at the time of the call,
/// or the number may mean another one.
pub(crate) fn watch(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(as_pid(pid)?, PidfdFlags::empty())?)
}

/// Waits until the process of that pidfd has ended, and leaves its zombie alone. False if it lives on after
/// `timeout`.
pub(crate) fn wait_for_end(pidfd: impl AsFd, timeout: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + timeout;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timespec = Timespec::try_from(left).map_err(|_| io::ErrorKind::InvalidInput)?;
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timespec)) {
            Ok(0) if left.is_zero() => return Ok(false),
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => return Ok(true),
            Err(errno) => return Err(errno.into()),
        }
    }
}

/// Waits until it is so. For what has no event of its own, such as that another process has fallen asleep.
pub(crate) fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(Duration::from_millis(1));
    }
}

/// How many descriptors this process has open.
pub(crate) fn descriptors() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/fd")?.count())
}

/// Makes this process the first of a new process group, to which its children will belong.
pub(crate) fn lead_a_group() -> io::Result<()> {
    Ok(rustix::process::setpgid(None, None)?)
}

/// Kills every process of the group.
pub(crate) fn kill_group(group: u32) -> io::Result<()> {
    match rustix::process::kill_process_group(as_pid(group)?, Signal::KILL) {
        // It has no process left.
        Err(rustix::io::Errno::SRCH) => Ok(()),
        result => Ok(result?),
    }
}

/// The processes of the group that have not ended.
pub(crate) fn members(group: u32) -> io::Result<Vec<u32>> {
    let entries = std::fs::read_dir("/proc")?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|&pid| stat(pid).is_some_and(|stat| stat.group == group && !stat.is_zombie)).collect())
}

/// Whether the process has ended, but nobody has taken its status.
pub(crate) fn is_zombie(pid: u32) -> bool {
    stat(pid).is_some_and(|stat| stat.is_zombie)
}

/// Whether there is a process of that number, a zombie included.
pub(crate) fn exists(pid: u32) -> bool {
    stat(pid).is_some()
}

struct Stat {
    is_zombie: bool,
    group: u32,
}

fn stat(pid: u32) -> Option<Stat> {
    let line = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // `12 (name) S 1 12 ...`: the name may hold anything, parentheses too.
    let mut fields = line.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    Some(Stat { is_zombie: matches!(state, "Z" | "X"), group: fields.nth(1)?.parse().ok()? })
}

fn as_pid(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::ErrorKind::InvalidInput.into())
}
