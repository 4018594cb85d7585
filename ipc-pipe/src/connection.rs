//! The ends of pipes.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_core::{Result, Segment, transfer};
use ipc_queue::raw::Patient;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::channel::{self, End, Side};
use crate::half::{Incoming, Outgoing};
use crate::verbs::{recv_bytes_verbs, recv_state, recv_verbs, send_bytes_verbs, send_state, send_verbs};
use crate::{incoming, outgoing, stream};

/// The end of a pipe that sends.
///
/// A clone is another handle to the same end, and so is what a child or the receiver of a message gets. When the last handle
/// of all processes is gone, dropped, exited or killed, receivers get what is left and then the end.
///
/// ```
/// let (sender, receiver) = ipc_pipe::one_way()?;
/// for number in 1..=3 {
///     sender.send(number)?;
/// }
/// drop(sender);
/// let numbers: Result<Vec<u32>, _> = receiver.into_iter().collect();
/// assert_eq!(numbers?, [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Sender<T: ?Sized> {
    outgoing: Outgoing,
    marker: PhantomData<fn(&T)>,
}

/// The end of a pipe that receives. See [`Sender`].
pub struct Receiver<T: ?Sized> {
    incoming: Incoming,
    marker: PhantomData<fn(&T)>,
}

/// One of the two ends of a duplex pipe: sends `S`, receives `R`. See [`pipe`].
#[doc(alias = "Pipe")]
pub struct Connection<S: ?Sized, R: ?Sized = S> {
    sender: Sender<S>,
    receiver: Receiver<R>,
}

/// A duplex pipe: its two ends.
///
/// # Errors
/// No memory, or no descriptor left.
///
/// ```
/// let (here, there) = ipc_pipe::pipe::<String, usize>()?;
/// here.send("how long?".to_string())?;
/// there.send(there.recv()?.len())?;
/// assert_eq!(here.recv()?, 9);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "Pipe")]
#[doc(alias = "socketpair")]
pub fn pipe<A: ?Sized, B: ?Sized>() -> Result<(Connection<A, B>, Connection<B, A>)> {
    Builder::new().pipe()
}

/// A pipe in one direction: the end that sends and the one that receives.
///
/// # Errors
/// No memory, or no descriptor left.
pub fn one_way<T: ?Sized>() -> Result<(Sender<T>, Receiver<T>)> {
    Builder::new().one_way()
}

/// Makes pipes of another size.
///
/// ```
/// let (sender, receiver) = ipc_pipe::Builder::new().ring(4 << 20).one_way::<[u8]>()?;
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Builder {
    ring: usize,
}

/// Enough to send for a while, and little enough to stay in a CPU's second cache.
const RING: usize = 256 << 10;

impl Builder {
    /// Of the usual size.
    pub fn new() -> Builder {
        Builder { ring: RING }
    }

    /// Room for so many bytes in each direction, rounded up to a power of two, 4 KiB at least and 1 GiB at most. Each message
    /// takes 8 to 16 bytes more than it has. One that would take more than half of the room has memory added for it.
    pub fn ring(mut self, bytes: usize) -> Builder {
        self.ring = bytes;
        self
    }

    /// As [`pipe`](crate::pipe()).
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn pipe<A: ?Sized, B: ?Sized>(&self) -> Result<(Connection<A, B>, Connection<B, A>)> {
        let (to_there, there) = self.one_way()?;
        let (to_here, here) = self.one_way()?;
        Ok((Connection::from_halves(to_there, here), Connection::from_halves(to_here, there)))
    }

    /// As [`one_way`](crate::one_way()).
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn one_way<T: ?Sized>(&self) -> Result<(Sender<T>, Receiver<T>)> {
        let (sending, receiving) = channel::create(type_name::<T>(), self.ring as u64)?;
        Ok((Sender::from_end(sending), Receiver::from_end(receiving)))
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl<T: ?Sized> Sender<T> {
    pub(crate) fn new(outgoing: Outgoing) -> Sender<T> {
        Sender { outgoing, marker: PhantomData }
    }

    fn from_end(end: End) -> Sender<T> {
        Sender::new(Outgoing::Channel(outgoing::Outgoing(Arc::new(end))))
    }

    #[inline]
    fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// The segment that the messages lie in; `None` if they go through a stream.
    pub fn segment(&self) -> Option<&Segment> {
        self.outgoing.segment()
    }

    send_state!();
}

impl<T: Serialize + DeserializeOwned> Sender<T> {
    send_verbs!(T);
}

impl Sender<[u8]> {
    send_bytes_verbs!();
}

impl<T: ?Sized> Receiver<T> {
    pub(crate) fn new(incoming: Incoming) -> Receiver<T> {
        Receiver { incoming, marker: PhantomData }
    }

    fn from_end(end: End) -> Receiver<T> {
        Receiver::new(Incoming::Channel(incoming::Incoming(Arc::new(end))))
    }

    #[inline]
    pub(crate) fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// The segment that the messages lie in; `None` if they come through a stream.
    pub fn segment(&self) -> Option<&Segment> {
        self.incoming.segment()
    }

    recv_state!();
}

impl<T: Serialize + DeserializeOwned> Receiver<T> {
    recv_verbs!(T);
}

impl Receiver<[u8]> {
    recv_bytes_verbs!();
}

impl<S: ?Sized, R: ?Sized> Connection<S, R> {
    pub(crate) fn from_halves(sender: Sender<S>, receiver: Receiver<R>) -> Connection<S, R> {
        Connection { sender, receiver }
    }

    /// The two directions, each by itself.
    pub fn split(self) -> (Sender<S>, Receiver<R>) {
        (self.sender, self.receiver)
    }

    #[inline]
    fn outgoing(&self) -> &Outgoing {
        &self.sender.outgoing
    }

    #[inline]
    pub(crate) fn incoming(&self) -> &Incoming {
        &self.receiver.incoming
    }

    send_state!();
    recv_state!();
}

impl<S: Serialize + DeserializeOwned, R: ?Sized> Connection<S, R> {
    send_verbs!(S);
}

impl<S: ?Sized, R: Serialize + DeserializeOwned> Connection<S, R> {
    recv_verbs!(R);
}

impl<R: ?Sized> Connection<[u8], R> {
    send_bytes_verbs!();
}

impl<S: ?Sized> Connection<S, [u8]> {
    recv_bytes_verbs!();
}

/// The values of a [`Receiver`], until the end.
#[derive(Debug)]
pub struct IntoIter<T>(Receiver<T>);

impl<T: Serialize + DeserializeOwned> Iterator for IntoIter<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        crate::verbs::next(self.0.recv())
    }
}

impl<T: Serialize + DeserializeOwned> IntoIterator for Receiver<T> {
    type Item = Result<T>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

macro_rules! readiness {
    ($(<$($parameter:ident),+> $name:ident)+) => { $(
        /// The descriptor to wait on for messages, with `poll`, `epoll` or what is built on them. It is readable when there is
        /// a message to receive, and at the end. It may also be readable when there is none: then a `try_recv` says so, and
        /// after that it is not, until something comes. So receive until it says `Empty`, and only then wait again; that
        /// serves level-triggered and edge-triggered waiting alike. Never read from it.
        impl<$($parameter: ?Sized),+> AsFd for $name<$($parameter),+> {
            fn as_fd(&self) -> BorrowedFd<'_> {
                self.incoming().fd()
            }
        }

        /// As [`AsFd`].
        impl<$($parameter: ?Sized),+> AsRawFd for $name<$($parameter),+> {
            fn as_raw_fd(&self) -> RawFd {
                self.incoming().fd().as_raw_fd()
            }
        }
    )+ };
}
readiness!(<T> Receiver <S, R> Connection);

macro_rules! handle {
    ($name:ident, $field:ident, $half:ident, $module:ident, $side:ident) => {
        impl<T: ?Sized> Clone for $name<T> {
            fn clone(&self) -> $name<T> {
                $name::new(self.$field.clone())
            }
        }

        impl<T: ?Sized> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }

        impl<T: ?Sized> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match &self.$field {
                    $half::Channel($module::$half(end)) => {
                        (end.segment(), Handle(Arc::clone(&end.socket))).serialize(serializer)
                    }
                    $half::Stream(_) => Err(serde::ser::Error::custom(stream::stays())),
                }
            }
        }

        impl<'de, T: ?Sized> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name<T>, D::Error> {
                let (segment, Handle(socket)) = <(Segment, Handle)>::deserialize(deserializer)?;
                let end = channel::receive(type_name::<T>(), &segment, socket, Side::$side);
                end.map($name::from_end).map_err(serde::de::Error::custom)
            }
        }
    };
}
handle!(Sender, outgoing, Outgoing, outgoing, Sending);
handle!(Receiver, incoming, Incoming, incoming, Receiving);

/// A socket as a serde value.
struct Handle(Arc<OwnedFd>);

impl Serialize for Handle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        transfer::share(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Handle {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
        transfer::shared(deserializer).map(Handle)
    }
}

impl<S: ?Sized, R: ?Sized> Clone for Connection<S, R> {
    fn clone(&self) -> Connection<S, R> {
        Connection::from_halves(self.sender.clone(), self.receiver.clone())
    }
}

impl<S: ?Sized, R: ?Sized> fmt::Debug for Connection<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl<S: ?Sized, R: ?Sized> Serialize for Connection<S, R> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        (&self.sender, &self.receiver).serialize(serializer)
    }
}

impl<'de, S: ?Sized, R: ?Sized> Deserialize<'de> for Connection<S, R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Connection<S, R>, D::Error> {
        let (sender, receiver) = <(Sender<S>, Receiver<R>)>::deserialize(deserializer)?;
        Ok(Connection::from_halves(sender, receiver))
    }
}
