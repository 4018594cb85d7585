//! Listening and connected sockets.

use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ipc_core::{Cause, Error, Result};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType};

use crate::address::{Address, Peer, Raw, os};
use crate::path::{self, OwnPath};
use crate::sys::{self, Events};

/// So many connections wait in the kernel at first.
const BACKLOG: u32 = 128;

/// A socket that listens.
#[derive(Debug)]
pub(crate) struct Socket {
    /// Given back while the socket still answers, so that nobody takes the path for stale meanwhile.
    _path: Option<OwnPath>,
    fd: OwnedFd,
    address: Address,
}

impl Socket {
    pub(crate) fn listen(address: Address) -> Result<Socket> {
        let label = format!("listener at {address}");
        let listen = || {
            let raw = address.raw()?;
            let fd = new(&raw, SocketFlags::NONBLOCK).map_err(os)?;
            let path = bind(&fd, &raw, &address)?;
            // Made before it can fail, so that the path goes with it.
            let mut socket = Socket { _path: path, fd, address: address.clone() };
            socket.set_backlog_to(BACKLOG).map_err(os)?;
            let found = rustix::net::getsockname(&socket.fd).map_err(os)?;
            if let Some(found) = Address::found(found) {
                socket.address = found;
            }
            Ok(socket)
        };
        listen().map_err(|cause: Cause| Error::new("create", label.as_str(), cause))
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn set_backlog(&self, peers: u32) -> Result<()> {
        let fail =
            |errno| Error::new("set the backlog of", format!("listener at {}", self.address), os(errno));
        self.set_backlog_to(peers).map_err(fail)
    }

    fn set_backlog_to(&self, peers: u32) -> Result<(), Errno> {
        rustix::net::listen(&self.fd, i32::try_from(peers).unwrap_or(i32::MAX))
    }

    /// The next that has connected, if there is one, and who it is.
    pub(crate) fn accept(&self) -> Result<Option<(OwnedFd, Peer)>, Errno> {
        loop {
            let accepted = rustix::net::acceptfrom_with(&self.fd, SocketFlags::CLOEXEC);
            let (fd, from) = match accepted {
                Ok(accepted) => accepted,
                Err(Errno::AGAIN) => return Ok(None),
                Err(errno) if is_of_peer(errno) => continue,
                Err(errno) => return Err(errno),
            };
            let fd = sys::above_stdio(fd)?;
            match self.peer(&fd, from) {
                Ok(peer) => return Ok(Some((fd, peer))),
                // It is gone already.
                Err(Errno::NOTCONN | Errno::INVAL) => {}
                Err(errno) => return Err(errno),
            }
        }
    }

    fn peer(&self, fd: &OwnedFd, from: Option<SocketAddrAny>) -> Result<Peer, Errno> {
        if let Address::Tcp(_) = self.address {
            from.ok_or(Errno::NOTCONN)?.try_into().map(Peer::Tcp)
        } else {
            process_at(fd)
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Errors of `accept` that tell of one connection only, which is gone.
fn is_of_peer(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::INTR
            | Errno::CONNABORTED
            | Errno::PROTO
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::HOSTUNREACH
            | Errno::OPNOTSUPP
            | Errno::NETUNREACH
    )
}

fn new(address: &Raw, flags: SocketFlags) -> Result<OwnedFd, Errno> {
    let (family, kind) = match address {
        // It keeps the boundaries of messages, so that a parcel can follow the handshake.
        Raw::Unix(_) => (AddressFamily::UNIX, SocketType::SEQPACKET),
        Raw::Tcp(SocketAddr::V4(_)) => (AddressFamily::INET, SocketType::STREAM),
        Raw::Tcp(SocketAddr::V6(_)) => (AddressFamily::INET6, SocketType::STREAM),
    };
    rustix::net::socket_with(family, kind, flags | SocketFlags::CLOEXEC, None).and_then(sys::above_stdio)
}

fn bind(fd: &OwnedFd, raw: &Raw, address: &Address) -> Result<Option<OwnPath>, Cause> {
    match (raw, address) {
        (Raw::Unix(raw), Address::Path(path)) => path::bind(fd.as_fd(), path, raw).map(Some),
        (Raw::Unix(raw), _) => match rustix::net::bind(fd, raw) {
            Err(Errno::ADDRINUSE) => Err(Cause::NameTaken),
            other => other.map(|()| None).map_err(os),
        },
        (Raw::Tcp(raw), _) => {
            // Connections of an earlier listener, which the kernel keeps for a minute, are in nobody's way.
            sockopt::set_socket_reuseaddr(fd, true).map_err(os)?;
            rustix::net::bind(fd, raw).map(|()| None).map_err(os)
        }
    }
}

/// The process at the other end of a Unix socket.
pub(crate) fn process_at(fd: &OwnedFd) -> Result<Peer, Errno> {
    let (pid, uid, gid) = sys::peer_credentials(fd.as_fd())?;
    Ok(Peer::Process { pid, uid, gid })
}

/// Connects to a listener, by the deadline; `None` if it has too much to do until then.
pub(crate) fn connect(raw: &Raw, deadline: Option<Instant>) -> Result<Option<OwnedFd>, Errno> {
    match raw {
        Raw::Unix(address) => connect_unix(new(raw, SocketFlags::empty())?, address, deadline),
        Raw::Tcp(address) => connect_tcp(new(raw, SocketFlags::NONBLOCK)?, address, deadline),
    }
}

fn connect_unix(
    fd: OwnedFd,
    address: &SocketAddrUnix,
    deadline: Option<Instant>,
) -> Result<Option<OwnedFd>, Errno> {
    loop {
        // While too many wait already, the kernel has it sleep, for as long as a send may; 0 would mean for ever.
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let left = left.map(|left| left.max(Duration::from_micros(1)));
        sockopt::set_socket_timeout(&fd, Timeout::Send, left)?;
        match rustix::net::connect(&fd, address) {
            Ok(()) => return Ok(Some(fd)),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(None);
        }
    }
}

fn connect_tcp(
    fd: OwnedFd,
    address: &SocketAddr,
    deadline: Option<Instant>,
) -> Result<Option<OwnedFd>, Errno> {
    match rustix::net::connect(&fd, address) {
        Ok(()) => return Ok(Some(fd)),
        Err(Errno::INPROGRESS | Errno::INTR) => {}
        Err(errno) => return Err(errno),
    }
    if sys::poll_one(fd.as_fd(), Events::OUT, deadline)?.is_empty() {
        return Ok(None);
    }
    sockopt::socket_error(&fd)??;
    Ok(Some(fd))
}
