//! Every system call of this crate, one thin function each. EINTR is dealt with here.
#![allow(unsafe_code)]

use std::ffi::{CString, c_int, c_ulong, c_void};
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Code(i32),
    Signal(i32),
    /// Somebody else took the status: SIGCHLD is ignored, or the program waits for children on its own.
    Unknown,
}

/// A descriptor for the process, which no other process ever gets.
pub(crate) fn pidfd(pid: u32) -> Result<OwnedFd, Errno> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).and_then(above_stdio)
}

/// A descriptor for the child that was started with that pid; `SRCH` if it is gone. If somebody else takes the status of
/// children (SIGCHLD is ignored, for one), another process may have its pid by now: one that is no child of this one.
pub(crate) fn pidfd_of_child(pid: u32) -> Result<OwnedFd, Errno> {
    let pidfd = pidfd(pid)?;
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd.as_fd()), options)) {
        Err(Errno::CHILD) => Err(Errno::SRCH),
        _ => Ok(pidfd),
    }
}

/// Under the number of a closed standard output, it would be written to.
fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}

pub(crate) fn send_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> Result<(), Errno> {
    match rustix::process::pidfd_send_signal(pidfd, signal) {
        // It has ended, which is what the signal was for.
        Err(Errno::SRCH) => Ok(()),
        result => result,
    }
}

/// Takes the status of a child that has ended, and with it the zombie; `None` while it runs.
pub(crate) fn reap(pidfd: BorrowedFd<'_>) -> Option<Exit> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    match retry_on_intr(|| rustix::process::waitid(WaitId::PidFd(pidfd), options)) {
        Ok(None) => None,
        Ok(Some(status)) => Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Unknown,
        }),
        Err(_) => Some(Exit::Unknown),
    }
}

/// Asks `ended` again whenever the pidfd is readable, until it has an answer; `None` after the deadline.
pub(crate) fn poll_until<T>(
    pidfd: BorrowedFd<'_>,
    deadline: Option<Instant>,
    mut ended: impl FnMut() -> Option<T>,
) -> Option<T> {
    loop {
        if let Some(answer) = ended() {
            return Some(answer);
        }
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        if left == Some(Duration::ZERO) {
            return None;
        }
        match readable(&[pidfd], left) {
            // Also early by less than a tick, or for a signal: look at the clock again.
            Ok(_) | Err(Errno::INTR) => {}
            // A process that may not open anything (a limit of 0 descriptors) may not poll either.
            Err(_) => std::thread::sleep(left.map_or(NAP, |left| left.min(NAP))),
        }
    }
}

const NAP: Duration = Duration::from_millis(10);

/// Whether the parent of this process has ended, which only its own parent may take the status of.
pub(crate) fn parent_has_ended(pidfd: BorrowedFd<'_>, pid: u32) -> bool {
    loop {
        match readable(&[pidfd], Some(Duration::ZERO)) {
            Ok(ready) => return ready[0],
            Err(Errno::INTR) => {}
            // As above.
            Err(_) => return parent_pid() != pid,
        }
    }
}

/// Which of the descriptors are readable now; all of them, if the system cannot tell.
pub(crate) fn readable_now(fds: &[BorrowedFd<'_>]) -> Vec<bool> {
    loop {
        match readable(fds, Some(Duration::ZERO)) {
            Err(Errno::INTR) => {}
            ready => return ready.unwrap_or_else(|_| vec![true; fds.len()]),
        }
    }
}

fn readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Result<Vec<bool>, Errno> {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    // A timeout that cannot be expressed is longer than anybody waits.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    poll(&mut polled, timeout.as_ref())?;
    Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect())
}

/// The process that this one is a child of now.
pub(crate) fn parent_pid() -> u32 {
    std::os::unix::process::parent_id()
}

pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// Sends the signal to this process.
pub(crate) fn signal_self(signal: Signal) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}

/// Keeps this thread from handling signals. They are the business of the program's own threads.
pub(crate) fn block_signals() {
    let mut all = MaybeUninit::uninit();
    // SAFETY: it initialises the set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: the set was initialised above, and the old mask is not asked for. It cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut()) };
}

/// Names this process for `ps` and the like, which show 15 bytes. Called by its first thread.
pub(crate) fn set_name(name: &str) {
    let name = name.split('\0').next().unwrap_or_default();
    if let Ok(name) = CString::new(name) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// Stands for the pidfd of a process of which nothing is left: readable, and no process's.
pub(crate) fn pidfd_of_nobody() -> Result<OwnedFd, Errno> {
    rustix::event::eventfd(1, EventfdFlags::CLOEXEC).and_then(above_stdio)
}

/// A process that is written to after its reader is gone gets an error, as in every Rust program.
pub(crate) fn ignore_sigpipe() {
    // SAFETY: ignoring a signal runs no code of ours in a handler.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Has `f` called when the process exits, other than by a kill.
pub(crate) fn at_exit(f: extern "C" fn()) {
    // SAFETY: a function of the program is valid for as long as the process runs. Fails only for want of memory.
    let _ = unsafe { libc::atexit(f) };
}

/// Whether the program has more rights than who started it, so that its environment is not to be trusted.
pub(crate) fn is_privileged() -> bool {
    told_by_kernel(libc::AT_SECURE) != 0
}

fn told_by_kernel(what: c_ulong) -> c_ulong {
    // SAFETY: getauxval only reads what the kernel gave to this process.
    unsafe { libc::getauxval(what) }
}

/// Takes standard input, if it is a socket of this user, and leaves /dev/null in its place.
pub(crate) fn take_stdin() -> io::Result<OwnedFd> {
    // SAFETY: descriptor 0 is only looked at, and the borrow ends with this function, before which nobody closes it.
    let stdin = unsafe { BorrowedFd::borrow_raw(0) };
    let peer = rustix::net::sockopt::socket_peercred(stdin)?;
    if peer.uid != rustix::process::geteuid() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let socket = rustix::io::fcntl_dupfd_cloexec(stdin, 3)?;
    // SAFETY: this descriptor is standard input, which the process has for good: it is never dropped.
    let mut stdin = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(0) });
    loop {
        // Not close-on-exec: these are standard descriptors.
        let null = rustix::fs::open("/dev/null", OFlags::RDWR, Mode::empty())?;
        if null.as_raw_fd() > 2 {
            rustix::io::dup2(&null, &mut stdin)?;
            return Ok(socket);
        }
        // The parent has no standard output or error. What is opened next would get that number, and be written to.
        let _ = null.into_raw_fd();
    }
}

/// The file that this process runs: device, inode, length, time of change. It cannot be written while it runs.
///
/// # Errors
/// No /proc, or a program that was started as an argument of the loader, which /proc takes for the program then.
pub(crate) fn executable() -> io::Result<[i64; 5]> {
    if image().is_loaded_by_hand {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "it was started as an argument of the loader",
        ));
    }
    let file = std::fs::metadata(SELF)?;
    Ok([file.dev() as i64, file.ino() as i64, file.size() as i64, file.mtime(), file.mtime_nsec()])
}

/// Leads to the running file also after that was replaced or deleted.
pub(crate) const SELF: &str = "/proc/self/exe";

/// The program's own image in memory.
struct Image {
    base: usize,
    /// Start and end of the parts that can be executed.
    code: Vec<(usize, usize)>,
    /// It asks for a loader, but the kernel did not start one for it.
    is_loaded_by_hand: bool,
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image { base: 0, code: Vec::new(), is_loaded_by_hand: false };
        // SAFETY: `first_image` has the type that is asked for, and `image` outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(first_image), (&raw mut image).cast()) };
        image
    })
}

/// Notes where the first image lies, which is the program itself.
unsafe extern "C" fn first_image(info: *mut libc::dl_phdr_info, _: usize, image: *mut c_void) -> c_int {
    // SAFETY: `image` is the pointer that `image()` passed on, and nobody else uses it meanwhile.
    let image = unsafe { &mut *image.cast::<Image>() };
    // SAFETY: the loader hands out a valid description for the time of the call.
    let info = unsafe { &*info };
    // SAFETY: the loader's table has that many entries.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    image.base = info.dlpi_addr as usize;
    let asks_for_loader = headers.iter().any(|header| header.p_type == libc::PT_INTERP);
    image.is_loaded_by_hand = asks_for_loader && told_by_kernel(libc::AT_BASE) == 0;
    for header in
        headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0)
    {
        let start = image.base.wrapping_add(header.p_vaddr as usize);
        image.code.push((start, start.wrapping_add(header.p_memsz as usize)));
    }
    1
}

/// Where in the program a function lies: the same number in every process that runs the same file. `None` for a
/// function of a shared library.
pub fn code_offset(address: usize) -> Option<usize> {
    let image = image();
    is_code(image, address).then(|| address.wrapping_sub(image.base))
}

/// The address that [`code_offset`] gave a number to in another process.
pub fn code_address(offset: usize) -> Option<usize> {
    let image = image();
    Some(image.base.wrapping_add(offset)).filter(|&address| is_code(image, address))
}

fn is_code(image: &Image, address: usize) -> bool {
    image.code.iter().any(|&(start, end)| (start..end).contains(&address))
}

/// Which signal a number stands for.
pub fn signal_name(signal: i32) -> String {
    let names = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    let known = names.iter().find(|(number, _)| *number == signal);
    known.map_or_else(|| format!("signal {signal}"), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_got_the_pid_of_a_child_is_not_taken_for_it() {
        // As if it had got the pid of a child which had ended.
        let parent = std::os::unix::process::parent_id();
        assert!(pidfd(parent).is_ok());
        assert_eq!(pidfd_of_child(parent).unwrap_err(), Errno::SRCH);
        let mut child = Command::new("sleep").arg("100").spawn().unwrap();
        pidfd_of_child(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(pidfd_of_child(child.id()).unwrap_err(), Errno::SRCH);
    }

    #[test]
    fn a_child_that_has_ended_is_still_one() {
        let mut child = Command::new("true").spawn().unwrap();
        let pidfd = pidfd(child.id()).unwrap();
        poll_until(pidfd.as_fd(), None, || readable_now(&[pidfd.as_fd()])[0].then_some(()));
        pidfd_of_child(child.id()).unwrap();
        child.wait().unwrap();
    }
}
