//! Where a listener is found, and who has come.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use ipc_core::Cause;
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketAddrUnix};
use serde::{Deserialize, Serialize};

use crate::auth::HandshakeError;

/// Where a [`Listener`](crate::Listener) is found.
///
/// A text is a path, or an abstract name if its first character is NUL, as in Python. A pair of IP address and port, or a
/// [`SocketAddr`], is TCP; [`ToSocketAddrs`](std::net::ToSocketAddrs) finds those of a host's name.
///
/// ```
/// use ipc_pipe::Address;
/// assert_eq!(Address::from("/run/cook.sock"), Address::Path("/run/cook.sock".into()));
/// assert_eq!(Address::from("\0cook"), Address::Abstract(b"cook".into()));
/// assert_eq!(Address::from(([127, 0, 0, 1], 4000)).to_string(), "127.0.0.1:4000");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Address {
    /// A Unix socket at that path, of at most 107 bytes.
    #[doc(alias = "AF_UNIX")]
    Path(PathBuf),
    /// A Unix socket whose name, of at most 107 bytes, stands in no directory and is gone with its listener, also if that
    /// is killed. With an empty name the system gives one to the listener.
    ///
    /// It has no mode that would keep other users out. So without a key, each side refuses a process of another user.
    Abstract(Vec<u8>),
    /// TCP. Port 0 lets the system choose one.
    #[doc(alias = "AF_INET")]
    Tcp(SocketAddr),
}

/// The longest path and the longest abstract name: what the kernel has room for, with its NUL.
const LONGEST: usize = 107;

/// What the system calls it.
pub(crate) enum Raw {
    Unix(SocketAddrUnix),
    Tcp(SocketAddr),
}

impl Address {
    pub(crate) fn raw(&self) -> Result<Raw, Cause> {
        let unix = match self {
            Address::Path(path) => {
                let len = path.as_os_str().len();
                if len == 0 || len > LONGEST || path.as_os_str().as_bytes().contains(&0) {
                    return Err(bad(format!(
                        "its path has {len} bytes; a socket's has 1 to {LONGEST}, none of them NUL"
                    )));
                }
                SocketAddrUnix::new(path.as_path())
            }
            Address::Abstract(name) if name.is_empty() => Ok(SocketAddrUnix::new_unnamed()),
            Address::Abstract(name) => {
                let len = name.len();
                if len > LONGEST {
                    return Err(bad(format!("its name has {len} bytes; a socket's has at most {LONGEST}")));
                }
                SocketAddrUnix::new_abstract_name(name)
            }
            Address::Tcp(address) => return Ok(Raw::Tcp(*address)),
        };
        unix.map(Raw::Unix).map_err(os)
    }

    /// What the system says that a socket has, where that tells more than what was asked for.
    pub(crate) fn found(address: SocketAddrAny) -> Option<Address> {
        if let Ok(address) = SocketAddr::try_from(address.clone()) {
            return Some(Address::Tcp(address));
        }
        SocketAddrUnix::try_from(address).ok()?.abstract_name().map(|name| Address::Abstract(name.to_vec()))
    }

    /// Refuses a process of another user at an abstract address, which has no mode that would.
    pub(crate) fn check_user(&self, peer: Peer) -> Result<(), HandshakeError> {
        match (self, peer) {
            (Address::Abstract(_), Peer::Process { uid, .. })
                if uid != rustix::process::geteuid().as_raw() =>
            {
                Err(HandshakeError::ForeignUser { uid })
            }
            _ => Ok(()),
        }
    }
}

fn bad(why: String) -> Cause {
    Cause::Os(std::io::Error::new(std::io::ErrorKind::InvalidInput, why))
}

pub(crate) fn os(errno: Errno) -> Cause {
    Cause::Os(errno.into())
}

impl From<&str> for Address {
    fn from(text: &str) -> Address {
        text.strip_prefix('\0')
            .map_or_else(|| Address::Path(text.into()), |name| Address::Abstract(name.into()))
    }
}

impl From<String> for Address {
    fn from(text: String) -> Address {
        Address::from(text.as_str())
    }
}

impl From<&String> for Address {
    fn from(text: &String) -> Address {
        Address::from(text.as_str())
    }
}

impl From<&PathBuf> for Address {
    fn from(path: &PathBuf) -> Address {
        Address::from(path.as_path())
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Address {
        Address::Path(path.to_owned())
    }
}

impl From<PathBuf> for Address {
    fn from(path: PathBuf) -> Address {
        Address::Path(path)
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Tcp(address)
    }
}

impl<I: Into<IpAddr>> From<(I, u16)> for Address {
    fn from(address: (I, u16)) -> Address {
        Address::Tcp(address.into())
    }
}

impl From<&Address> for Address {
    fn from(address: &Address) -> Address {
        address.clone()
    }
}

impl fmt::Display for Address {
    /// An abstract name begins with `@`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Path(path) => path.display().fmt(f),
            Address::Abstract(name) => write!(f, "@{}", name.escape_ascii()),
            Address::Tcp(address) => address.fmt(f),
        }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[doc(alias = "last_accepted")]
pub enum Peer {
    /// A process of this machine, as the kernel tells: what it was when it connected.
    #[doc(alias = "SO_PEERCRED")]
    Process {
        /// Its pid; 0 if this process's pid namespace does not have it. It may have ended since, and the number may mean
        /// another process by now.
        pid: u32,
        /// Its effective user.
        uid: u32,
        /// Its effective group.
        gid: u32,
    },
    /// A socket of some machine.
    Tcp(SocketAddr),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Process { pid, uid, .. } => write!(f, "process {pid} of user {uid}"),
            Peer::Tcp(address) => address.fmt(f),
        }
    }
}
