//! The verbs, as every handle has them.

use ipc_core::Result;

use crate::error::RecvError;

/// What an iterator gives for what `recv` gave.
pub(crate) fn next<T>(received: Result<T, RecvError>) -> Option<Result<T>> {
    match received {
        Ok(value) => Some(Ok(value)),
        Err(RecvError::Closed) => None,
        Err(RecvError::Fault(error)) => Some(Err(error)),
    }
}

/// What can be done where there is an `outgoing()`, for values of that type.
macro_rules! send_verbs {
    ($value:ty) => {
        /// Sends a value, waiting for room. Handles may stand anywhere inside of it.
        ///
        /// # Errors
        /// With the value in them: nobody is left to receive it; it cannot be encoded; it has more handles than can
        /// travel; no memory left, with both sizes.
        #[inline]
        pub fn send(&self, value: $value) -> Result<(), $crate::SendError<$value>> {
            let sent = self.outgoing().send(&value, Patient::Until(None));
            sent.map_err(|refused| refused.send(value))
        }

        /// Sends a value if there is room.
        ///
        /// # Errors
        /// As [`send`](Self::send), or that there is no room.
        #[inline]
        pub fn try_send(&self, value: $value) -> Result<(), $crate::TrySendError<$value>> {
            let sent = self.outgoing().send(&value, Patient::Not);
            sent.map_err(|refused| refused.try_send(value))
        }

        /// Sends a value, waiting for room at most that long.
        ///
        /// # Errors
        /// As [`send`](Self::send), or that there was no room.
        pub fn send_timeout(
            &self,
            value: $value,
            timeout: Duration,
        ) -> Result<(), $crate::SendTimeoutError<$value>> {
            self.send_until(value, ipc_core::deadline(timeout))
        }

        /// Sends a value, waiting for room at most until then.
        ///
        /// # Errors
        /// As [`send_timeout`](Self::send_timeout).
        pub fn send_deadline(
            &self,
            value: $value,
            deadline: Instant,
        ) -> Result<(), $crate::SendTimeoutError<$value>> {
            self.send_until(value, Some(deadline))
        }

        fn send_until(
            &self,
            value: $value,
            deadline: Option<Instant>,
        ) -> Result<(), $crate::SendTimeoutError<$value>> {
            let sent = self.outgoing().send(&value, Patient::Until(deadline));
            sent.map_err(|refused| refused.send_timeout(value))
        }
    };
}
pub(crate) use send_verbs;

/// What can be done where there is an `incoming()`, for values of that type.
macro_rules! recv_verbs {
    ($value:ty) => {
        /// Receives the next value, waiting for one.
        ///
        /// # Errors
        /// [`Closed`](crate::RecvError::Closed) when everything was received and nobody is left to send anything. A message
        /// that cannot be decoded, or whose handles this process may not open, is an error, and gone; the next may be fine.
        #[inline]
        pub fn recv(&self) -> Result<$value, $crate::RecvError> {
            self.incoming().recv(Patient::Until(None)).map_err($crate::error::RecvRefused::recv)
        }

        /// Receives the next value if there is one.
        ///
        /// # Errors
        /// As [`recv`](Self::recv), or that there is none now.
        #[inline]
        pub fn try_recv(&self) -> Result<$value, $crate::TryRecvError> {
            self.incoming().recv(Patient::Not).map_err($crate::error::RecvRefused::try_recv)
        }

        /// Receives the next value, waiting for one at most that long.
        ///
        /// # Errors
        /// As [`recv`](Self::recv), or that none came.
        pub fn recv_timeout(&self, timeout: Duration) -> Result<$value, $crate::RecvTimeoutError> {
            self.recv_until(ipc_core::deadline(timeout))
        }

        /// Receives the next value, waiting for one at most until then.
        ///
        /// # Errors
        /// As [`recv_timeout`](Self::recv_timeout).
        pub fn recv_deadline(&self, deadline: Instant) -> Result<$value, $crate::RecvTimeoutError> {
            self.recv_until(Some(deadline))
        }

        fn recv_until(&self, deadline: Option<Instant>) -> Result<$value, $crate::RecvTimeoutError> {
            let received = self.incoming().recv(Patient::Until(deadline));
            received.map_err($crate::error::RecvRefused::recv_timeout)
        }

        /// What there is to receive, one after the other, waiting for more, until the end. A message that cannot be decoded
        /// is an error, and the next may be fine.
        pub fn iter(&self) -> impl Iterator<Item = Result<$value>> {
            std::iter::from_fn(|| $crate::verbs::next(self.recv()))
        }
    };
}
pub(crate) use recv_verbs;

/// As [`send_verbs`], for bytes.
macro_rules! send_bytes_verbs {
    () => {
        /// Sends a copy of the bytes as a message, waiting for room. Without bytes, it is a message, too.
        ///
        /// # Errors
        /// Nobody is left to receive it; no memory left, with both sizes.
        #[inline]
        pub fn send_bytes(&self, bytes: &[u8]) -> Result<(), $crate::SendError<()>> {
            self.outgoing().send_bytes(bytes, Patient::Until(None)).map_err(|refused| refused.send(()))
        }

        /// Sends a copy of the bytes if there is room.
        ///
        /// # Errors
        /// As [`send_bytes`](Self::send_bytes), or that there is no room.
        #[inline]
        pub fn try_send_bytes(&self, bytes: &[u8]) -> Result<(), $crate::TrySendError<()>> {
            self.outgoing().send_bytes(bytes, Patient::Not).map_err(|refused| refused.try_send(()))
        }

        /// Sends a copy of the bytes, waiting for room at most that long.
        ///
        /// # Errors
        /// As [`send_bytes`](Self::send_bytes), or that there was no room.
        pub fn send_bytes_timeout(
            &self,
            bytes: &[u8],
            timeout: Duration,
        ) -> Result<(), $crate::SendTimeoutError<()>> {
            self.send_bytes_until(bytes, ipc_core::deadline(timeout))
        }

        /// Sends a copy of the bytes, waiting for room at most until then.
        ///
        /// # Errors
        /// As [`send_bytes_timeout`](Self::send_bytes_timeout).
        pub fn send_bytes_deadline(
            &self,
            bytes: &[u8],
            deadline: Instant,
        ) -> Result<(), $crate::SendTimeoutError<()>> {
            self.send_bytes_until(bytes, Some(deadline))
        }

        fn send_bytes_until(
            &self,
            bytes: &[u8],
            deadline: Option<Instant>,
        ) -> Result<(), $crate::SendTimeoutError<()>> {
            let sent = self.outgoing().send_bytes(bytes, Patient::Until(deadline));
            sent.map_err(|refused| refused.send_timeout(()))
        }
    };
}
pub(crate) use send_bytes_verbs;

/// As [`recv_verbs`], for bytes.
macro_rules! recv_bytes_verbs {
    () => {
        /// Receives the next message, waiting for one.
        ///
        /// # Errors
        /// [`Closed`](crate::RecvError::Closed) when everything was received and nobody is left to send anything.
        pub fn recv_bytes(&self) -> Result<Vec<u8>, $crate::RecvError> {
            self.recv_bytes_with(|message| message.to_vec())
        }

        /// Receives the next message if there is one.
        ///
        /// # Errors
        /// As [`recv_bytes`](Self::recv_bytes), or that there is none now.
        pub fn try_recv_bytes(&self) -> Result<Vec<u8>, $crate::TryRecvError> {
            self.try_recv_bytes_with(|message| message.to_vec())
        }

        /// Receives the next message, waiting for one at most that long.
        ///
        /// # Errors
        /// As [`recv_bytes`](Self::recv_bytes), or that none came.
        pub fn recv_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>, $crate::RecvTimeoutError> {
            self.recv_bytes_until(ipc_core::deadline(timeout))
        }

        /// Receives the next message, waiting for one at most until then.
        ///
        /// # Errors
        /// As [`recv_bytes_timeout`](Self::recv_bytes_timeout).
        pub fn recv_bytes_deadline(&self, deadline: Instant) -> Result<Vec<u8>, $crate::RecvTimeoutError> {
            self.recv_bytes_until(Some(deadline))
        }

        fn recv_bytes_until(&self, deadline: Option<Instant>) -> Result<Vec<u8>, $crate::RecvTimeoutError> {
            let received = self.incoming().recv_bytes(Patient::Until(deadline), |message| message.to_vec());
            received.map_err($crate::error::RecvRefused::recv_timeout)
        }

        /// Receives the next message into the start of the buffer, waiting for one; its length.
        ///
        /// # Errors
        /// As [`recv_bytes`](Self::recv_bytes), or that the buffer is too short, with the whole message.
        #[inline]
        pub fn recv_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, $crate::RecvIntoError> {
            let fitting = self.recv_bytes_with(|message| {
                if message.len() > buffer.len() {
                    return Err(message.to_vec());
                }
                Ok(message.read_at(0, buffer))
            })?;
            fitting.map_err($crate::RecvIntoError::TooShort)
        }

        /// Has `f` look at the next message in place, waiting for one. Meanwhile nobody else can receive anything. If it
        /// panics, or its process dies, the message is still there.
        ///
        /// # Errors
        /// As [`recv_bytes`](Self::recv_bytes).
        #[inline]
        pub fn recv_bytes_with<R>(
            &self,
            f: impl FnOnce($crate::Message<'_>) -> R,
        ) -> Result<R, $crate::RecvError> {
            let received = self.incoming().recv_bytes(Patient::Until(None), f);
            received.map_err($crate::error::RecvRefused::recv)
        }

        /// As [`recv_bytes_with`](Self::recv_bytes_with), if there is a message.
        ///
        /// # Errors
        /// As [`try_recv_bytes`](Self::try_recv_bytes).
        #[inline]
        pub fn try_recv_bytes_with<R>(
            &self,
            f: impl FnOnce($crate::Message<'_>) -> R,
        ) -> Result<R, $crate::TryRecvError> {
            let received = self.incoming().recv_bytes(Patient::Not, f);
            received.map_err($crate::error::RecvRefused::try_recv)
        }
    };
}
pub(crate) use recv_bytes_verbs;

/// What a sending end can say.
macro_rules! send_state {
    () => {
        /// Whether nobody is left to receive anything. Costs a system call.
        pub fn is_closed(&self) -> bool {
            self.outgoing().is_closed()
        }

        /// What was sent and not received yet, and who waits.
        pub fn outgoing_stats(&self) -> $crate::Stats {
            self.outgoing().stats()
        }
    };
}
pub(crate) use send_state;

/// What a receiving end can say.
macro_rules! recv_state {
    () => {
        /// Waits until there is a message, or the end, at most that long; whether there is. `None` waits as long as it takes.
        /// Takes nothing: another process may be faster, so use [`try_recv`](Self::try_recv).
        pub fn poll(&self, timeout: Option<Duration>) -> bool {
            self.incoming().poll(timeout)
        }

        /// What can be received, and who waits.
        pub fn incoming_stats(&self) -> $crate::Stats {
            self.incoming().stats()
        }
    };
}
pub(crate) use recv_state;
