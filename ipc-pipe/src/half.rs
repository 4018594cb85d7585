//! One direction of a connection, whatever it goes through, without a type.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use ipc_core::codec::{self, CodecError};
use ipc_core::transfer::Parcel;
use ipc_core::{Cause, Error, Segment};
use ipc_queue::raw::{Patient, Scratch};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::channel::{Stats, Waited};
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
        let mut scratch = Scratch::new();
        let mut bytes = std::mem::take(&mut *scratch);
        let packed = Parcel::pack(|| match codec::encode(value, &mut bytes) {
            Ok(()) => Ok(std::mem::take(&mut bytes)),
            Err(error) => Err(error),
        });
        let mut parcel = packed.map_err(|error| fault("encode", error))?;
        *scratch = parcel.take_bytes();
        match self {
            Outgoing::Channel(channel) if parcel.handles() > 0 => {
                channel.send(&scratch, Some(&mut parcel), patient)
            }
            Outgoing::Channel(channel) => {
                scratch.push(PLAIN);
                channel.send(&scratch, None, patient)
            }
            Outgoing::Stream(_) if parcel.handles() > 0 => Err(stream::handles_refused(parcel.handles())),
            Outgoing::Stream(stream) => stream.send(&scratch, patient),
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

    pub(crate) fn segment(&self) -> Option<&Segment> {
        match self {
            Outgoing::Channel(channel) => Some(channel.0.segment()),
            Outgoing::Stream(_) => None,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Outgoing::Channel(channel) => channel.0.stats(),
            Outgoing::Stream(_) => Stats::default(),
        }
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
        let value = match parcel {
            None => codec::decode_all(&bytes),
            Some(parcel) => parcel.unpack(|_| codec::decode_all(&bytes)),
        };
        match value {
            Ok(value) => Ok(value),
            Err(error) => Err(RecvRefused::Fault(fault("decode", error))),
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

    pub(crate) fn segment(&self) -> Option<&Segment> {
        match self {
            Incoming::Channel(channel) => Some(channel.0.segment()),
            Incoming::Stream(_) => None,
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        match self {
            Incoming::Channel(channel) => channel.0.stats(),
            Incoming::Stream(_) => Stats::default(),
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Incoming::Channel(channel) => channel.fd(),
            Incoming::Stream(stream) => stream.fd(),
        }
    }
}

/// The codec's refusal of a message.
#[cold]
fn fault(operation: &'static str, error: CodecError) -> Error {
    let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    Error::new(operation, "a message", Cause::Os(cause))
}
