//! One direction of a connection, whatever it goes through, without a type.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ipc_core::codec::{self, CodecError};
use ipc_core::transfer::Parcel;
use ipc_core::{Cause, Error, Segment};
use ipc_queue::raw::{Patient, Scratch};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::{End, Stats, Waited};
use crate::error::{RecvRefused, SendRefused};
use crate::message::{Message, Place};
use crate::parcel::PLAIN;
use crate::{incoming, outgoing, stream};

/// The sending half.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    Channel(outgoing::Outgoing),
    Stream(stream::Outgoing),
}

/// The receiving half.
#[derive(Debug, Clone)]
pub(crate) enum Incoming {
    Channel(incoming::Incoming),
    Stream(stream::Incoming),
}

impl Outgoing {
    /// Sends a value.
    #[inline]
    pub(crate) fn send<T: Serialize>(&self, value: &T, patient: Patient) -> Result<(), SendRefused> {
        let mut bytes = Scratch::new();
        // The bytes stay where they are: into the parcel and out of it they would be moved some times.
        let packed = Parcel::pack(|| codec::encode(value, &mut bytes).map(|()| Vec::new()));
        let mut parcel = match packed {
            Ok(parcel) => parcel,
            Err(error) => return Err(fault("encode", error).into()),
        };
        match self {
            Outgoing::Channel(channel) if parcel.handles() > 0 => {
                channel.send(&bytes, Some(&mut parcel), patient)
            }
            Outgoing::Channel(channel) => {
                bytes.push(PLAIN);
                channel.send(&bytes, None, patient)
            }
            Outgoing::Stream(_) if parcel.handles() > 0 => Err(stream::handles_refused(parcel.handles())),
            Outgoing::Stream(stream) => stream.send(&bytes, patient),
        }
    }

    /// Sends bytes.
    #[inline]
    pub(crate) fn send_bytes(&self, bytes: &[u8], patient: Patient) -> Result<(), SendRefused> {
        match self {
            Outgoing::Channel(channel) => channel.send(bytes, None, patient),
            Outgoing::Stream(stream) => stream.send(bytes, patient),
        }
    }

    /// Whether nobody is left to receive anything.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Outgoing::Channel(channel) => channel.0.has_hung_up(),
            Outgoing::Stream(stream) => stream.is_closed(),
        }
    }

    /// The end in shared memory, if it is there.
    fn end(&self) -> Option<&End> {
        match self {
            Outgoing::Channel(channel) => Some(&channel.0),
            Outgoing::Stream(_) => None,
        }
    }

    pub(crate) fn segment(&self) -> Option<&Segment> {
        self.end().map(End::segment)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.end().map(End::stats).unwrap_or_default()
    }
}

impl Incoming {
    /// Receives a value.
    #[inline]
    pub(crate) fn recv<T: DeserializeOwned>(&self, patient: Patient) -> Result<T, RecvRefused> {
        let mut bytes = Scratch::new();
        let parcel = match self {
            Incoming::Channel(channel) => channel.recv_with_parcel(patient, &mut bytes)?,
            Incoming::Stream(stream) => {
                stream.recv(patient, |message| std::mem::swap(&mut *bytes, message))?;
                None
            }
        };
        if let Some(parcel) = parcel {
            return unpack(*parcel, &bytes);
        }
        // Decoded where the caller wants it: it would be copied on every other way.
        match codec::decode_all(&bytes) {
            Ok(value) => Ok(value),
            Err(error) => Err(fault("decode", error).into()),
        }
    }

    /// Has `f` look at the next message.
    #[inline]
    pub(crate) fn recv_bytes<R>(
        &self,
        patient: Patient,
        f: impl FnOnce(Message<'_>) -> R,
    ) -> Result<R, RecvRefused> {
        match self {
            Incoming::Channel(channel) => channel.recv(patient, |bytes| f(Message(Place::Shared(bytes)))),
            Incoming::Stream(stream) => stream.recv(patient, |bytes| f(Message(Place::Own(bytes)))),
        }
    }

    /// Waits until there is a message, or the end.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Waited {
        match self {
            Incoming::Channel(channel) => channel.wait(deadline),
            Incoming::Stream(stream) => stream.wait(Patient::Until(deadline)),
        }
    }

    /// Waits so long until there is a message, or the end; whether there is.
    pub(crate) fn poll(&self, timeout: Option<Duration>) -> bool {
        let found = match timeout {
            Some(Duration::ZERO) => self.look(),
            timeout => self.wait(timeout.and_then(ipc_core::deadline)),
        };
        found != Waited::TimedOut
    }

    /// The same without waiting; then what comes next shows at the descriptor.
    pub(crate) fn look(&self) -> Waited {
        match self {
            Incoming::Channel(channel) => channel.look(),
            Incoming::Stream(stream) => stream.wait(Patient::Not),
        }
    }

    /// The end in shared memory, if it is there.
    fn end(&self) -> Option<&End> {
        match self {
            Incoming::Channel(channel) => Some(&channel.0),
            Incoming::Stream(_) => None,
        }
    }

    pub(crate) fn segment(&self) -> Option<&Segment> {
        self.end().map(End::segment)
    }

    pub(crate) fn stats(&self) -> Stats {
        self.end().map(End::stats).unwrap_or_default()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Incoming::Channel(channel) => channel.fd(),
            Incoming::Stream(stream) => stream.fd(),
        }
    }
}

/// Decodes a message whose handles are in the parcel.
#[cold]
fn unpack<T: DeserializeOwned>(parcel: Parcel, bytes: &[u8]) -> Result<T, RecvRefused> {
    parcel.unpack(|_| codec::decode_all(bytes)).map_err(|error| fault("decode", error).into())
}

/// The codec's refusal of a message.
#[cold]
fn fault(operation: &'static str, error: CodecError) -> Error {
    let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    Error::new(operation, "a message", Cause::Os(cause))
}
