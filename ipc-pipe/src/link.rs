//! A socket during its handshake.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use ipc_core::transfer::Parcel;
use ipc_core::{Error, Result, codec};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{RecvFlags, SendFlags};
use serde::Deserialize;
use serde::de::value::{self, SeqDeserializer};

use crate::address::{Peer, os};
use crate::auth::{HELLO, Handshake, HandshakeError, Key, Role, Terms};
use crate::connection::{Connection, Receiver, Sender};
use crate::half::{Incoming, Outgoing};
use crate::refused::ConnectError;
use crate::{stream, sys};

/// A connected socket and how far its handshake has come. Waits for nothing.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) socket: OwnedFd,
    handshake: Handshake,
    pub(crate) peer: Peer,
}

impl Link {
    /// Sends this side's hello.
    pub(crate) fn begin(
        socket: OwnedFd,
        peer: Peer,
        role: Role,
        key: Option<&Key>,
        terms: Terms,
    ) -> Result<Link, HandshakeError> {
        let link = Link { socket, handshake: Handshake::new(role, key, terms)?, peer };
        link.send(link.handshake.hello())?;
        Ok(link)
    }

    /// Takes what has come. Says whether the other side is a good one by now.
    pub(crate) fn advance(&mut self) -> Result<bool, HandshakeError> {
        let mut buffer = [0; HELLO];
        while self.handshake.missing() > 0 {
            let missing = &mut buffer[..self.handshake.missing()];
            match retry_on_intr(|| rustix::net::recv(&self.socket, &mut *missing, RecvFlags::DONTWAIT)) {
                Ok((0, _)) => return Err(HandshakeError::Closed),
                Ok((len, _)) => self.take(&buffer[..len])?,
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(true)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), HandshakeError> {
        match self.handshake.take(bytes) {
            Ok(Some(proof)) => self.send(&proof),
            Ok(None) => Ok(()),
            Err(why) => {
                self.refuse(&why);
                Err(why)
            }
        }
    }

    /// Whether both mean the same types. To be asked when the other side is known to be a good one.
    pub(crate) fn check_types(&self) -> Result<(), HandshakeError> {
        self.handshake.check_types()
    }

    /// Tells the client that the listener is done.
    pub(crate) fn welcome(&self) -> Result<(), HandshakeError> {
        self.send(&self.handshake.proof())
    }

    /// Sends the client its end of the pipe that takes the place of this socket.
    pub(crate) fn hand_over<S: ?Sized, R: ?Sized>(&self, end: &Connection<S, R>) -> Result<()> {
        let encode = || {
            let mut bytes = Vec::new();
            codec::encode(end, &mut bytes).map(|()| bytes)
        };
        Parcel::pack(encode).map_err(|error| unusable(error.to_string()))?.send(&self.socket)
    }

    /// The end that the listener has sent, if it is there.
    pub(crate) fn take_over<S: ?Sized, R: ?Sized>(&self) -> Result<Option<Connection<S, R>>, ConnectError> {
        // Asked first: what was sent before the end is found after it.
        let is_over = sys::has_hung_up(self.socket.as_fd());
        match Parcel::receive(&self.socket).map_err(ConnectError::Fault)? {
            Some(parcel) => unpack(parcel).map(Some).map_err(ConnectError::Fault),
            None if is_over => Err(ConnectError::Refused(HandshakeError::Closed)),
            None => Ok(None),
        }
    }

    /// Makes a connection of this socket, over which messages of `limit` bytes are taken.
    pub(crate) fn into_stream<S: ?Sized, R: ?Sized>(self, limit: u64) -> Result<Connection<S, R>> {
        let opened = stream::open(self.socket, limit, self.handshake.their_limit());
        let (outgoing, incoming) = opened.map_err(|errno| Error::new("set up", "a connection", os(errno)))?;
        Ok(Connection::from_halves(
            Sender::new(Outgoing::Stream(outgoing)),
            Receiver::new(Incoming::Stream(incoming)),
        ))
    }

    /// Tells the other side why not, as far as it is to know.
    pub(crate) fn refuse(&self, why: &HandshakeError) {
        if let Some(refusal) = Handshake::refusal(why) {
            // Whether it hears of it is its own affair.
            let _ = self.send(&refusal);
        }
    }

    /// All at once: what a handshake sends has room in any new socket.
    fn send(&self, bytes: &[u8]) -> Result<(), HandshakeError> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = retry_on_intr(|| rustix::net::send(&self.socket, bytes, flags))?;
        if sent == bytes.len() { Ok(()) } else { Err(Errno::NOBUFS.into()) }
    }
}

/// The connection whose four descriptors are in the parcel, in this order. What is wrong with one is told in its own words,
/// which a format would lose.
fn unpack<S: ?Sized, R: ?Sized>(parcel: Parcel) -> Result<Connection<S, R>> {
    let half = |numbers: [u32; 2]| SeqDeserializer::<_, value::Error>::new(numbers.into_iter());
    let halves = parcel
        .unpack(|_| Ok((Sender::deserialize(half([0, 1]))?, Receiver::deserialize(half([2, 3]))?)))
        .map_err(|error: value::Error| unusable(error.to_string()))?;
    Ok(Connection::from_halves(halves.0, halves.1))
}

fn unusable(why: String) -> Error {
    Error::new("hand over", "a connection", io::Error::new(io::ErrorKind::InvalidData, why))
}
