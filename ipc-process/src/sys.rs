//! Every system call of this crate, one thin function each. EINTR is dealt with here.
#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
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
    let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
    // Under the number of a closed standard output it would be written to.
    if pidfd.as_raw_fd() > 2 { Ok(pidfd) } else { rustix::io::fcntl_dupfd_cloexec(&pidfd, 3) }
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

/// Waits until the descriptor is readable, which a pidfd is from the end of its process on; false after the
/// deadline.
pub(crate) fn wait_readable(fd: BorrowedFd<'_>, deadline: Option<Instant>) -> bool {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        match readable(&[fd], left) {
            Ok(ready) if ready[0] => return true,
            Ok(_) if left == Some(Duration::ZERO) => return false,
            // Early by less than a tick, or a signal: look at the clock again.
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}

/// Which of the descriptors are readable now.
pub(crate) fn readable_now(fds: &[BorrowedFd<'_>]) -> Vec<bool> {
    loop {
        match readable(fds, Some(Duration::ZERO)) {
            Err(Errno::INTR) => {}
            ready => return ready.unwrap_or_else(|_| vec![false; fds.len()]),
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

pub(crate) fn pid() -> u32 {
    std::process::id()
}

/// Sends the signal to this process.
pub(crate) fn signal_self(signal: Signal) {
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
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
    // SAFETY: getauxval only reads what the kernel gave to this process.
    (unsafe { libc::getauxval(libc::AT_SECURE) }) != 0
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
    let mut null = File::open("/dev/null")?;
    while null.as_raw_fd() <= 2 {
        // The parent has no standard output or error. Something else would be opened under that number, and written to.
        let _ = null.into_raw_fd();
        null = File::open("/dev/null")?;
    }
    // SAFETY: this descriptor is standard input, which the process has for good: it is never dropped.
    let mut stdin = std::mem::ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(0) });
    rustix::io::dup2(&null, &mut stdin)?;
    Ok(socket)
}

/// The file that this process runs: device, inode, length, time of change. It cannot be written while it runs.
pub(crate) fn executable() -> io::Result<[i64; 5]> {
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
}

fn image() -> &'static Image {
    static IMAGE: OnceLock<Image> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let mut image = Image { base: 0, code: Vec::new() };
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
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_X != 0) {
        let start = image.base.wrapping_add(header.p_vaddr as usize);
        image.code.push((start, start.wrapping_add(header.p_memsz as usize)));
    }
    1
}

/// Where in the program a function lies: the same number in every process that runs the same file. `None` for a
/// function of a shared library.
pub(crate) fn code_offset(address: usize) -> Option<usize> {
    let image = image();
    is_code(image, address).then(|| address.wrapping_sub(image.base))
}

/// The address that [`code_offset`] gave a number to in another process.
pub(crate) fn code_address(offset: usize) -> Option<usize> {
    let image = image();
    Some(image.base.wrapping_add(offset)).filter(|&address| is_code(image, address))
}

fn is_code(image: &Image, address: usize) -> bool {
    image.code.iter().any(|&(start, end)| (start..end).contains(&address))
}

/// Which signal a number stands for.
pub(crate) fn signal_name(signal: i32) -> String {
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

