//! The one error of the family: which operation failed, on which object, and why.

use std::fmt;
use std::io;

/// A `Result` whose error is [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A fault: something the caller reports rather than branches on.
///
/// Names the operation, the object it was applied to, and the [`Cause`]. Outcomes that a program acts on
/// (full, empty, timed out, closed, ...) are not faults; the crates above give each verb its own type for them.
pub struct Error(Box<Inner>);

struct Inner {
    operation: &'static str,
    object: Box<str>,
    cause: Cause,
}

/// Why an operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The operating system said no; the code is inside.
    Os(io::Error),
    /// The machine (or this control group) has no memory left for it. Both in bytes.
    NoMemory {
        /// Bytes asked for.
        asked: u64,
        /// Bytes that could be had.
        available: u64,
    },
    /// It would be a file larger than this process may make: `RLIMIT_FSIZE`. Both in bytes.
    FileLimit {
        /// Bytes that the file would have.
        asked: u64,
        /// Bytes that a file may have.
        limit: u64,
    },
    /// An object of that name exists already and the process that owns it lives.
    NameTaken,
    /// An object of that name exists, and a process that is just opening or removing it keeps it for longer than that
    /// takes: it was stopped. Nobody owns it.
    NameBusy,
    /// This process has begun to exit, so that nobody would remove the name.
    Exiting,
    /// The name is empty, longer than 200 bytes, or has characters other than `A-Z a-z 0-9 . _ -`.
    BadName,
    /// The file or descriptor is not a segment of this library.
    NotASegment,
    /// The memory could be cut off under its readers: its descriptor lacks the seal against shrinking.
    NotSealed,
    /// The file belongs to another user.
    ForeignOwner {
        /// User id of the owner.
        uid: u32,
    },
    /// The segment was made by processes of another pid or time namespace, in which this one cannot be told alive.
    ForeignNamespace,
    /// A property of the opened object differs from what was asked for.
    Mismatch {
        /// Which one: `layout version`, `kind`, `kind version`, `type` or `length`.
        property: &'static str,
        /// What the object has.
        found: String,
        /// What the caller asked for.
        expected: String,
    },
    /// A field in shared memory has a value that no honest process writes.
    Damaged {
        /// The field.
        field: &'static str,
    },
    /// An access beyond the end of the segment. All in bytes.
    OutOfBounds {
        /// Where the access begins.
        offset: u64,
        /// How long it is.
        len: u64,
        /// How long the segment is.
        size: u64,
    },
    /// As many processes take part in the segment as it has room for.
    TooManyParticipants {
        /// Its room, set at creation.
        capacity: u32,
    },
    /// A handle was serialised or deserialised outside of a [transfer](crate::transfer).
    NotInTransfer,
    /// A message names a descriptor that did not come with it, or names it twice.
    NoSuchHandle {
        /// The number it names.
        index: u32,
    },
    /// More descriptors than one message can carry, or than this process may still open.
    TooManyHandles {
        /// How many there were.
        count: usize,
    },
    /// The message is not one that this library sends.
    BadMessage,
}

impl Error {
    /// An error of `operation` on `object`.
    pub fn new(operation: &'static str, object: impl Into<Box<str>>, cause: impl Into<Cause>) -> Error {
        Error(Box::new(Inner { operation, object: object.into(), cause: cause.into() }))
    }

    /// What was being done, as a verb: `create`, `open`, `grow`, ...
    pub fn operation(&self) -> &'static str {
        self.0.operation
    }

    /// What it was done to, in words: ``queue `jobs` ``, `unnamed queue`.
    pub fn object(&self) -> &str {
        &self.0.object
    }

    /// Why it failed.
    pub fn cause(&self) -> &Cause {
        &self.0.cause
    }

    /// The code of the operating system, if it was the one that said no.
    pub fn os(&self) -> Option<&io::Error> {
        match &self.0.cause {
            Cause::Os(error) => Some(error),
            _ => None,
        }
    }

    /// Whether there is no object of that name.
    pub fn is_not_found(&self) -> bool {
        self.os().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} {}: {}", self.0.operation, self.0.object, self.0.cause)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("operation", &self.0.operation)
            .field("object", &self.0.object)
            .field("cause", &self.0.cause)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.os().map(|error| error as _)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Os(error) => error.fmt(f),
            Cause::NoMemory { asked, available } => {
                write!(f, "no memory left: {asked} bytes asked for, {available} available")
            }
            Cause::FileLimit { asked, limit } => {
                write!(f, "{asked} bytes are more than the limit for files, {limit} (RLIMIT_FSIZE)")
            }
            Cause::NameTaken => f.write_str("the name is taken by a living process"),
            Cause::NameBusy => f.write_str("a process that was stopped is just opening or removing it"),
            Cause::Exiting => f.write_str("this process has begun to exit, and would leave the name behind"),
            Cause::BadName => f.write_str("a name is 1 to 200 characters out of A-Z a-z 0-9 . _ -"),
            Cause::NotASegment => f.write_str("it is not a segment of this library"),
            Cause::NotSealed => f.write_str("its memory is not sealed against shrinking"),
            Cause::ForeignOwner { uid } => write!(f, "it belongs to user {uid}"),
            Cause::ForeignNamespace => {
                f.write_str("it is used by processes of another pid or time namespace")
            }
            Cause::Mismatch { property, found, expected } => {
                write!(f, "its {property} is {found}, asked for was {expected}")
            }
            Cause::Damaged { field } => write!(f, "its memory is damaged: {field}"),
            Cause::OutOfBounds { offset, len, size } => {
                write!(f, "{len} bytes at offset {offset} are outside of its {size} bytes")
            }
            Cause::TooManyParticipants { capacity } => {
                write!(f, "it has room for {capacity} processes, and all are alive")
            }
            Cause::NotInTransfer => f.write_str(
                "handles travel in pipes and in arguments of children; queues and containers hold none",
            ),
            Cause::NoSuchHandle { index } => write!(f, "descriptor {index} did not come with the message"),
            Cause::TooManyHandles { count } => write!(f, "{count} descriptors are too many"),
            Cause::BadMessage => f.write_str("the message is malformed"),
        }
    }
}

impl From<io::Error> for Cause {
    fn from(error: io::Error) -> Cause {
        Cause::Os(error)
    }
}

impl From<Error> for io::Error {
    /// Of the same kind, if it was the operating system that said no.
    fn from(error: Error) -> io::Error {
        io::Error::new(error.os().map_or(io::ErrorKind::Other, io::Error::kind), error)
    }
}

// Only within the crate: a public conversion would make rustix part of the interface.
pub(crate) fn os(errno: rustix::io::Errno) -> Cause {
    Cause::Os(errno.into())
}
