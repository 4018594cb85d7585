//! Why nobody was accepted.

use std::error;
use std::fmt;

use ipc_core::Error;

use crate::address::Peer;
use crate::auth::HandshakeError;

/// A peer that was not let in. It was told so, where that makes sense, and its socket is closed. The listener goes on.
#[derive(Debug)]
#[doc(alias = "AuthenticationError")]
pub struct Refused {
    /// Who it was.
    pub peer: Peer,
    /// Why not.
    pub why: HandshakeError,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot accept {}: {}", self.peer, self.why)
    }
}

impl error::Error for Refused {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        Some(&self.why)
    }
}

macro_rules! accept_errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $text:literal,)? })+) => { $(
        $(#[$doc])*
        #[derive(Debug)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)?
            /// A peer was not let in; the next may be.
            Refused(Refused),
            /// Something is wrong here, and says what. Who was just to be accepted may be lost; others are not.
            Fault(Error),
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant => f.write_str($text),)?
                    $name::Refused(refused) => refused.fmt(f),
                    $name::Fault(error) => error.fmt(f),
                }
            }
        }

        impl error::Error for $name {
            fn source(&self) -> Option<&(dyn error::Error + 'static)> {
                match self {
                    $($name::$variant => None,)?
                    $name::Refused(refused) => refused.source(),
                    $name::Fault(error) => error.source(),
                }
            }
        }
    )+ };
}

accept_errors! {
    /// An `accept` has nobody.
    AcceptError {}

    /// A `try_accept` has nobody.
    TryAcceptError {
        /// Nobody is ready now.
        Empty => "nobody has connected",
    }

    /// An `accept_timeout` or `accept_deadline` has nobody.
    AcceptTimeoutError {
        /// Nobody was ready all the time.
        Timeout => "nobody has connected in time",
    }
}

/// Why nobody was accepted, whichever verb it was.
#[derive(Debug)]
pub(crate) enum AcceptRefused {
    Nobody,
    Refused(Refused),
    Fault(Error),
}

impl From<Error> for AcceptRefused {
    fn from(error: Error) -> AcceptRefused {
        AcceptRefused::Fault(error)
    }
}

impl AcceptRefused {
    pub(crate) fn try_accept(self) -> TryAcceptError {
        match self {
            AcceptRefused::Nobody => TryAcceptError::Empty,
            AcceptRefused::Refused(refused) => TryAcceptError::Refused(refused),
            AcceptRefused::Fault(error) => TryAcceptError::Fault(error),
        }
    }

    pub(crate) fn accept_timeout(self) -> AcceptTimeoutError {
        match self {
            AcceptRefused::Nobody => AcceptTimeoutError::Timeout,
            AcceptRefused::Refused(refused) => AcceptTimeoutError::Refused(refused),
            AcceptRefused::Fault(error) => AcceptTimeoutError::Fault(error),
        }
    }
}

/// A `connect` failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// Somebody is there, but the two did not come together.
    Refused(HandshakeError),
    /// Somebody is there, but was not ready in time.
    Timeout,
    /// Nobody is there, or something else is wrong, and says what.
    Fault(Error),
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Refused(why) => write!(f, "cannot connect: {why}"),
            ConnectError::Timeout => f.write_str("the listener was not ready in time"),
            ConnectError::Fault(error) => error.fmt(f),
        }
    }
}

impl error::Error for ConnectError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            ConnectError::Refused(why) => Some(why),
            ConnectError::Timeout => None,
            ConnectError::Fault(error) => error.source(),
        }
    }
}
