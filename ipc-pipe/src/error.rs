//! What the verbs refuse with. A value that was not taken is inside.

use std::error;
use std::fmt;

use ipc_core::{Error, refusals};

refusals! {
    /// A `send` was refused.
    #[doc(alias = "BrokenPipeError")]
    SendError<T> {
        /// Nobody is left to receive anything.
        Closed(T) => "nobody is left at the other end",
    }

    /// A `try_send` was refused.
    TrySendError<T> {
        /// There is no room for it now.
        Full(T) => "the pipe is full",
        /// Nobody is left to receive anything.
        Closed(T) => "nobody is left at the other end",
    }

    /// A `send_timeout` or `send_deadline` was refused.
    SendTimeoutError<T> {
        /// There was no room for it all the time.
        Timeout(T) => "the pipe was full all the time",
        /// Nobody is left to receive anything.
        Closed(T) => "nobody is left at the other end",
    }

    /// A `recv` has nothing.
    #[doc(alias = "EOFError")]
    RecvError {
        /// The end: everything that was sent was received, and nobody is left to send anything.
        Closed => "the end: nobody is left at the other end",
    }

    /// A `try_recv` has nothing.
    TryRecvError {
        /// There is nothing now.
        Empty => "there is no message now",
        /// The end: everything that was sent was received, and nobody is left to send anything.
        Closed => "the end: nobody is left at the other end",
    }

    /// A `recv_timeout` or `recv_deadline` has nothing.
    RecvTimeoutError {
        /// Nothing came all the time.
        Timeout => "no message came all the time",
        /// The end: everything that was sent was received, and nobody is left to send anything.
        Closed => "the end: nobody is left at the other end",
    }
}

refusals!(@inner SendError Closed);
refusals!(@inner TrySendError Full Closed);
refusals!(@inner SendTimeoutError Timeout Closed);

/// A `recv_bytes_into` has nothing for the buffer.
#[derive(Debug)]
#[non_exhaustive]
pub enum RecvIntoError {
    /// The message is longer than the buffer. It was received, and is inside.
    #[doc(alias = "BufferTooShort")]
    TooShort(Vec<u8>),
    /// The end: everything that was sent was received, and nobody is left to send anything.
    Closed,
    /// Something else is wrong, and says what.
    Fault(Error),
}

impl fmt::Display for RecvIntoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvIntoError::TooShort(message) => {
                write!(f, "the buffer is too short for a message of {} bytes", message.len())
            }
            RecvIntoError::Closed => RecvError::Closed.fmt(f),
            RecvIntoError::Fault(error) => error.fmt(f),
        }
    }
}

impl error::Error for RecvIntoError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            RecvIntoError::Fault(error) => error.source(),
            _ => None,
        }
    }
}

/// Why nothing was sent.
#[derive(Debug)]
pub(crate) enum SendRefused {
    Full,
    TimedOut,
    Closed,
    Fault(Error),
}

/// Why nothing was received.
#[derive(Debug)]
pub(crate) enum RecvRefused {
    Empty,
    TimedOut,
    Closed,
    Fault(Error),
}

impl From<Error> for SendRefused {
    fn from(error: Error) -> SendRefused {
        SendRefused::Fault(error)
    }
}

impl From<Error> for RecvRefused {
    fn from(error: Error) -> RecvRefused {
        RecvRefused::Fault(error)
    }
}

impl SendRefused {
    pub(crate) fn send<T>(self, value: T) -> SendError<T> {
        match self {
            SendRefused::Fault(error) => SendError::Fault(value, error),
            // It was ready to wait for ever.
            _ => SendError::Closed(value),
        }
    }

    pub(crate) fn try_send<T>(self, value: T) -> TrySendError<T> {
        match self {
            SendRefused::Fault(error) => TrySendError::Fault(value, error),
            SendRefused::Closed => TrySendError::Closed(value),
            SendRefused::Full | SendRefused::TimedOut => TrySendError::Full(value),
        }
    }

    pub(crate) fn send_timeout<T>(self, value: T) -> SendTimeoutError<T> {
        match self {
            SendRefused::Fault(error) => SendTimeoutError::Fault(value, error),
            SendRefused::Closed => SendTimeoutError::Closed(value),
            SendRefused::Full | SendRefused::TimedOut => SendTimeoutError::Timeout(value),
        }
    }
}

impl RecvRefused {
    pub(crate) fn recv(self) -> RecvError {
        match self {
            RecvRefused::Fault(error) => RecvError::Fault(error),
            _ => RecvError::Closed,
        }
    }

    pub(crate) fn try_recv(self) -> TryRecvError {
        match self {
            RecvRefused::Fault(error) => TryRecvError::Fault(error),
            RecvRefused::Closed => TryRecvError::Closed,
            RecvRefused::Empty | RecvRefused::TimedOut => TryRecvError::Empty,
        }
    }

    pub(crate) fn recv_timeout(self) -> RecvTimeoutError {
        match self {
            RecvRefused::Fault(error) => RecvTimeoutError::Fault(error),
            RecvRefused::Closed => RecvTimeoutError::Closed,
            RecvRefused::Empty | RecvRefused::TimedOut => RecvTimeoutError::Timeout,
        }
    }
}

impl From<RecvError> for RecvIntoError {
    fn from(error: RecvError) -> RecvIntoError {
        match error {
            RecvError::Closed => RecvIntoError::Closed,
            RecvError::Fault(error) => RecvIntoError::Fault(error),
        }
    }
}
