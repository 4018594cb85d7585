//! Every system call of this crate, one thin function each. EINTR is dealt with here.

use std::os::fd::BorrowedFd;
use std::time::Instant;

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

/// The same for one descriptor.
pub(crate) fn poll_one(
    fd: BorrowedFd<'_>,
    events: PollFlags,
    deadline: Option<Instant>,
) -> Result<PollFlags, Errno> {
    let mut fds = [PollFd::from_borrowed_fd(fd, events)];
    poll_all(&mut fds, deadline)?;
    Ok(fds[0].revents())
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
