//! Sockets that carry descriptors.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use super::above_stdio;

/// Two connected sockets that keep the boundaries of messages; close-on-exec, and never 0, 1 or 2.
pub(crate) fn socket_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let kind = SocketType::SEQPACKET;
    let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    Ok((above_stdio(a)?, above_stdio(b)?))
}

/// The most descriptors that the kernel takes in one message.
pub(crate) const MAX_FDS: usize = 253;

/// Sends one message, whole or not at all; never waits, never raises SIGPIPE.
pub(crate) fn send(socket: BorrowedFd<'_>, parts: [&[u8]; 2], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOMANYREFS);
    }
    let parts = parts.map(io::IoSlice::new);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    past_reset(|| rustix::net::sendmsg(socket, &parts, &mut control, flags)).map(drop)
}

/// That the peer went before it had read everything is reported once, and before what it had sent. What matters
/// shows at the next call: its messages, then the end.
fn past_reset<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match retry_on_intr(&mut call) {
        Err(Errno::CONNRESET) => retry_on_intr(call),
        other => other,
    }
}

/// What [`receive`] found.
pub(crate) struct Received {
    /// Bytes of the message; 0 at the end.
    pub(crate) len: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// Bytes were lost for want of room.
    pub(crate) cut_off: bool,
    /// Descriptors were lost, because this process may not open more.
    pub(crate) fds_lost: bool,
}

/// Receives one message without waiting.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let mut parts = [io::IoSliceMut::new(buffer)];
    let message = past_reset(|| rustix::net::recvmsg(socket, &mut parts, &mut control, flags))?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    let fds = fds.into_iter().map(above_stdio).collect::<Result<_, _>>()?;
    Ok(Received {
        len: message.bytes,
        fds,
        cut_off: message.flags.contains(ReturnFlags::TRUNC),
        fds_lost: message.flags.contains(ReturnFlags::CTRUNC),
    })
}
