//! Connecting to a listener.

use std::any::type_name;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use ipc_core::Error;

use crate::address::{Address, Peer, Raw, os};
use crate::auth::{Key, MESSAGE_LIMIT, Role, Terms};
use crate::connection::Connection;
use crate::link::Link;
use crate::refused::ConnectError;
use crate::socket;
use crate::sys::{self, Events};

/// Connects to a [`Listener`](crate::Listener), and waits to be accepted. See [`Client`] for deadlines and limits.
///
/// Both need the same key, or none.
///
/// ```no_run
/// let connection = ipc_pipe::connect::<u32, String>("/run/cook.sock", Some(b"secret"))?;
/// connection.send(7)?;
/// println!("{}", connection.recv()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// As [`Client::connect`].
#[doc(alias = "Client")]
pub fn connect<S: ?Sized, R: ?Sized>(
    address: impl Into<Address>,
    key: Option<&[u8]>,
) -> Result<Connection<S, R>, ConnectError> {
    let client = Client::new(address);
    key.map_or(client.clone(), |key| client.key(key)).connect()
}

/// How to connect to a [`Listener`](crate::Listener).
///
/// ```
/// use std::time::Duration;
/// use ipc_pipe::{Client, ConnectError};
///
/// let client = Client::new(([127, 0, 0, 1], 1)).key("secret").message_limit(1 << 20);
/// let nobody = client.connect_timeout::<u32, u32>(Duration::from_secs(10));
/// assert!(matches!(nobody, Err(ConnectError::Fault(error)) if error.os().is_some()));
/// ```
#[derive(Debug, Clone)]
#[must_use = "a Client does nothing by itself"]
pub struct Client {
    address: Address,
    key: Option<Key>,
    message_limit: u64,
}

impl Client {
    /// A client of the listener at that address, without a key.
    pub fn new(address: impl Into<Address>) -> Client {
        Client { address: address.into(), key: None, message_limit: MESSAGE_LIMIT }
    }

    /// Connects only to a listener that has the same key. The empty key is one, too.
    #[doc(alias = "authkey")]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Client {
        self.key = Some(Key::new(key.as_ref()));
        self
    }

    /// The longest message that is taken from the listener over TCP, in bytes; 1 GiB at first. The listener is told, so
    /// that its `send` refuses longer ones.
    #[doc(alias = "maxlength")]
    pub fn message_limit(mut self, bytes: u64) -> Client {
        self.message_limit = bytes;
        self
    }

    /// Connects, and waits to be accepted for as long as that takes.
    ///
    /// # Errors
    /// Nobody listens there: [`ConnectError::Fault`] at once, with the system's words. The keys, the versions or the types
    /// do not go together, or whoever is there is no listener: [`ConnectError::Refused`].
    pub fn connect<S: ?Sized, R: ?Sized>(&self) -> Result<Connection<S, R>, ConnectError> {
        self.connect_until(None)
    }

    /// Connects, and waits to be accepted at most that long.
    ///
    /// # Errors
    /// As [`connect`](Client::connect), or that it took longer.
    pub fn connect_timeout<S: ?Sized, R: ?Sized>(
        &self,
        timeout: Duration,
    ) -> Result<Connection<S, R>, ConnectError> {
        self.connect_until(ipc_core::deadline(timeout))
    }

    /// Connects, and waits to be accepted at most until then.
    ///
    /// # Errors
    /// As [`connect_timeout`](Client::connect_timeout).
    pub fn connect_deadline<S: ?Sized, R: ?Sized>(
        &self,
        deadline: Instant,
    ) -> Result<Connection<S, R>, ConnectError> {
        self.connect_until(Some(deadline))
    }

    fn connect_until<S: ?Sized, R: ?Sized>(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Connection<S, R>, ConnectError> {
        let terms = Terms { sends: type_name::<S>(), receives: type_name::<R>(), limit: self.message_limit };
        let raw = self.address.raw().map_err(|cause| self.fault(cause))?;
        let socket = socket::connect(&raw, deadline).map_err(|errno| self.fault(os(errno)))?;
        let socket = socket.ok_or(ConnectError::Timeout)?;
        let peer = match raw {
            Raw::Unix(_) => socket::process_at(&socket).map_err(|errno| self.fault(os(errno)))?,
            Raw::Tcp(address) => Peer::Tcp(address),
        };
        if self.key.is_none() {
            self.address.check_user(peer).map_err(ConnectError::Refused)?;
        }
        let mut link = Link::begin(socket, peer, Role::Client, self.key.as_ref(), terms)
            .map_err(ConnectError::Refused)?;
        while !link.advance().map_err(ConnectError::Refused)? {
            self.wait(&link.socket, deadline)?;
        }
        link.check_types().map_err(ConnectError::Refused)?;
        if let Peer::Tcp(_) = peer {
            return link.into_stream(self.message_limit).map_err(ConnectError::Fault);
        }
        loop {
            if let Some(connection) = link.take_over()? {
                return Ok(connection);
            }
            self.wait(&link.socket, deadline)?;
        }
    }

    /// Waits for more from the listener.
    fn wait(&self, socket: &OwnedFd, deadline: Option<Instant>) -> Result<(), ConnectError> {
        match sys::poll_one(socket.as_fd(), Events::IN, deadline) {
            Ok(ready) if ready.is_empty() => Err(ConnectError::Timeout),
            Ok(_) => Ok(()),
            Err(errno) => Err(self.fault(os(errno))),
        }
    }

    fn fault(&self, cause: ipc_core::Cause) -> ConnectError {
        ConnectError::Fault(Error::new("connect to", format!("listener at {}", self.address), cause))
    }
}
