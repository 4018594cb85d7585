//! Every system call of this crate, one thin function each. EINTR is dealt with here.
#![allow(unsafe_code)]

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags, SocketType};

pub(crate) use rustix::event::PollFlags as Events;

/// Sends one byte, which wakes whoever sleeps on the other end. Never waits, never raises SIGPIPE.
pub(crate) fn send_token(socket: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    retry_on_intr(|| rustix::net::send(socket, &[1], flags)).map(drop)
}

/// Takes a message off the socket, with whatever comes with it, and throws it away; whether there was one.
pub(crate) fn discard(socket: BorrowedFd<'_>) -> bool {
    let mut byte = [0];
    retry_on_intr(|| rustix::net::recv(socket, &mut byte[..], RecvFlags::DONTWAIT)).is_ok()
}

/// Copies the start of the next message without taking it; how much that is. Nothing at the end.
pub(crate) fn peek(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    retry_on_intr(|| rustix::net::recv(socket, &mut *buffer, flags)).map(|(len, _)| len)
}

/// Whether it is a socket of the kind that ends of pipes have.
pub(crate) fn keeps_messages(fd: BorrowedFd<'_>) -> bool {
    rustix::net::sockopt::socket_type(fd) == Ok(SocketType::SEQPACKET)
}

/// Waits until one of the descriptors is ready for what is asked, or `deadline`, and says what each is ready for.
pub(crate) fn poll(
    fds: &[(BorrowedFd<'_>, PollFlags)],
    deadline: Option<Instant>,
) -> Result<Vec<PollFlags>, Errno> {
    let mut fds: Vec<_> = fds.iter().map(|(fd, events)| PollFd::from_borrowed_fd(*fd, *events)).collect();
    poll_all(&mut fds, deadline)?;
    Ok(fds.iter().map(PollFd::revents).collect())
}

/// The same for one descriptor, for which there is a way without `poll`: a process that may open nothing (a limit of 0
/// descriptors) may not poll either.
pub(crate) fn poll_one(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Option<Instant>,
) -> Result<PollFlags, Errno> {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    match poll_all(&mut fds, deadline) {
        Ok(()) => Ok(fds[0].revents()),
        Err(Errno::INVAL) => {
            let left = deadline.map_or(NAP, |deadline| deadline.saturating_duration_since(Instant::now()));
            std::thread::sleep(left.min(NAP));
            Ok(state(fd))
        }
        Err(error) => Err(error),
    }
}

const NAP: Duration = Duration::from_millis(10);

/// What can be told of a socket by reading.
fn state(socket: BorrowedFd<'_>) -> PollFlags {
    match peek(socket, &mut [0]) {
        Ok(0) | Err(Errno::CONNRESET) => PollFlags::RDHUP | PollFlags::HUP,
        Ok(_) => PollFlags::IN,
        Err(_) => PollFlags::empty(),
    }
}

fn poll_all(fds: &mut [PollFd<'_>], deadline: Option<Instant>) -> Result<(), Errno> {
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match rustix::event::poll(fds, left.as_ref()) {
            Err(Errno::INTR) => {}
            result => return result.map(drop),
        }
    }
}

/// Whether the other end of the socket is gone in every process.
pub(crate) fn has_hung_up(socket: BorrowedFd<'_>) -> bool {
    let now = Some(Instant::now());
    poll_one(socket, PollFlags::RDHUP, now).is_ok_and(is_hang_up)
}

/// Whether that says so.
pub(crate) fn is_hang_up(events: PollFlags) -> bool {
    events.intersects(PollFlags::HUP | PollFlags::RDHUP | PollFlags::NVAL)
}

/// Pid, user and group of the process at the other end of a Unix socket; a pid of 0 if this pid namespace does not have it.
pub(crate) fn peer_credentials(socket: impl AsFd) -> Result<(u32, u32, u32), Errno> {
    let mut found = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut len = size_of_val(&found) as libc::socklen_t;
    let (fd, into) = (socket.as_fd().as_raw_fd(), (&raw mut found).cast());
    // SAFETY: `into` points to `len` bytes of integers, which live through the call.
    let result = unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_PEERCRED, into, &mut len) };
    if result != 0 {
        return Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO));
    }
    Ok((found.pid as u32, found.uid, found.gid))
}

/// Has `f` called when the process exits, other than by a kill.
pub(crate) fn at_exit(f: extern "C" fn()) {
    // SAFETY: a function of the program is valid for as long as the process runs. Fails only for want of memory.
    let _ = unsafe { libc::atexit(f) };
}

/// The descriptor, or a copy of it which is not one that programs print to.
pub(crate) fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}
