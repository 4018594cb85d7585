//! The verbs, as every handle has them.

use ipc_core::Result;

use crate::error::GetError;

/// What an iterator gives for what `get` gave.
pub(crate) fn next<T>(got: Result<T, GetError>) -> Option<Result<T>> {
    match got {
        Ok(value) => Some(Ok(value)),
        Err(GetError::Closed) => None,
        Err(GetError::Fault(error)) => Some(Err(error)),
    }
}

/// The four ways to put a value, for a type with a `put_with`.
macro_rules! put_ways {
    () => {
        /// Puts a value, waiting for room.
        ///
        /// # Errors
        /// With the value in them: the queue is closed; the value cannot be encoded; no memory left, with both sizes.
        #[inline]
        pub fn put(&self, value: T) -> Result<(), $crate::PutError<T>> {
            self.put_with(value, $crate::core::Patient::Until(None))
                .map_err(|(value, refused)| refused.put(value))
        }

        /// Puts a value if there is room.
        ///
        /// # Errors
        /// As [`put`](Self::put), or that the queue is full.
        #[inline]
        #[doc(alias = "put_nowait")]
        pub fn try_put(&self, value: T) -> Result<(), $crate::TryPutError<T>> {
            self.put_with(value, $crate::core::Patient::Not)
                .map_err(|(value, refused)| refused.try_put(value))
        }

        /// Puts a value, waiting for room at most that long.
        ///
        /// # Errors
        /// As [`put`](Self::put), or that there was no room.
        #[doc(alias = "put")]
        pub fn put_timeout(&self, value: T, timeout: Duration) -> Result<(), $crate::PutTimeoutError<T>> {
            self.put_until(value, ipc_core::deadline(timeout))
        }

        /// Puts a value, waiting for room at most until then.
        ///
        /// # Errors
        /// As [`put_timeout`](Self::put_timeout).
        #[doc(alias = "put")]
        pub fn put_deadline(&self, value: T, deadline: Instant) -> Result<(), $crate::PutTimeoutError<T>> {
            self.put_until(value, Some(deadline))
        }

        fn put_until(&self, value: T, deadline: Option<Instant>) -> Result<(), $crate::PutTimeoutError<T>> {
            let put = self.put_with(value, $crate::core::Patient::Until(deadline));
            put.map_err(|(value, refused)| refused.put_timeout(value))
        }
    };
}
pub(crate) use put_ways;

/// What can be put where there is a `core`; `$gone` says, for `&self`, how to tell that nobody will get it.
macro_rules! put_verbs {
    ($gone:expr) => {
        $crate::verbs::put_ways!();

        #[inline]
        fn put_with(
            &self,
            value: T,
            patient: $crate::core::Patient,
        ) -> Result<(), (T, $crate::refused::PutRefused)> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::values::put(&self.core, value, patient, gone(self))
        }

        /// Puts many values, waiting for room: each part of them, up to 1,024 or 64 KiB, is encoded first and then put at
        /// once, which is several times faster than one by one. A kill in between leaves whole parts and whole items.
        ///
        /// # Errors
        /// As [`put`](Self::put); those that were not put are in the error, as far as they had been taken out of the
        /// iterator.
        pub fn put_all(&self, values: impl IntoIterator<Item = T>) -> Result<(), $crate::PutError<Vec<T>>> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            let put = $crate::values::put_all(&self.core, values, gone(self));
            put.map_err(|(rest, refused)| refused.put(rest))
        }
    };
}
pub(crate) use put_verbs;

/// The four ways to get an `$item`, for a type with a `get_with`; `$errors` says what is wrong if there is none.
macro_rules! get_ways {
    ($item:ty, $($errors:literal)*) => {
        /// Gets the next item, waiting for one.
        ///
        /// # Errors
        $(#[doc = $errors])*
        #[inline]
        pub fn get(&self) -> Result<$item, $crate::GetError> {
            self.get_with($crate::core::Patient::Until(None)).map_err($crate::refused::GetRefused::get)
        }

        /// Gets the next item if there is one.
        ///
        /// # Errors
        /// As [`get`](Self::get), or that the queue is empty.
        #[inline]
        #[doc(alias = "get_nowait")]
        pub fn try_get(&self) -> Result<$item, $crate::TryGetError> {
            self.get_with($crate::core::Patient::Not).map_err($crate::refused::GetRefused::try_get)
        }

        /// Gets the next item, waiting for one at most that long.
        ///
        /// # Errors
        /// As [`get`](Self::get), or that none came.
        #[doc(alias = "get")]
        pub fn get_timeout(&self, timeout: Duration) -> Result<$item, $crate::GetTimeoutError> {
            self.get_until(ipc_core::deadline(timeout))
        }

        /// Gets the next item, waiting for one at most until then.
        ///
        /// # Errors
        /// As [`get_timeout`](Self::get_timeout).
        #[doc(alias = "get")]
        pub fn get_deadline(&self, deadline: Instant) -> Result<$item, $crate::GetTimeoutError> {
            self.get_until(Some(deadline))
        }

        fn get_until(&self, deadline: Option<Instant>) -> Result<$item, $crate::GetTimeoutError> {
            self.get_with($crate::core::Patient::Until(deadline))
                .map_err($crate::refused::GetRefused::get_timeout)
        }
    };
}
pub(crate) use get_ways;

/// What can be got where there is a `core`; `$gone` says, for `&self`, how to tell that nobody will put anything.
macro_rules! get_verbs {
    ($gone:expr) => {
        $crate::verbs::get_ways! {
            T,
            "[`Closed`](crate::GetError::Closed) when nothing is left and nothing will come. An item that cannot be decoded"
            "is an error, and gone; the next may be fine."
        }

        #[inline]
        fn get_with(&self, patient: $crate::core::Patient) -> Result<T, $crate::refused::GetRefused> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::values::get(&self.core, patient, gone(self))
        }

        /// Gets what is there, at most `max` items or about 1 MiB, waiting if there is nothing: several times faster than
        /// one by one. One that cannot be decoded is an error in its place. Killed meanwhile, this process takes all of
        /// them with it.
        ///
        /// # Errors
        /// As [`get`](Self::get).
        pub fn get_many(&self, max: usize) -> Result<Vec<Result<T>>, $crate::GetError> {
            self.get_many_with(max, $crate::core::Patient::Until(None))
                .map_err($crate::refused::GetRefused::get)
        }

        /// As [`get_many`](Self::get_many), if there is something.
        ///
        /// # Errors
        /// As [`try_get`](Self::try_get).
        pub fn try_get_many(&self, max: usize) -> Result<Vec<Result<T>>, $crate::TryGetError> {
            self.get_many_with(max, $crate::core::Patient::Not).map_err($crate::refused::GetRefused::try_get)
        }

        /// As [`get_many`](Self::get_many), waiting for the first item at most that long.
        ///
        /// # Errors
        /// As [`get_timeout`](Self::get_timeout).
        pub fn get_many_timeout(
            &self,
            max: usize,
            timeout: Duration,
        ) -> Result<Vec<Result<T>>, $crate::GetTimeoutError> {
            self.get_many_with(max, $crate::core::Patient::Until(ipc_core::deadline(timeout)))
                .map_err($crate::refused::GetRefused::get_timeout)
        }

        fn get_many_with(
            &self,
            max: usize,
            patient: $crate::core::Patient,
        ) -> Result<Vec<Result<T>>, $crate::refused::GetRefused> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::values::get_many(&self.core, max, patient, gone(self))
        }
    };
}
pub(crate) use get_verbs;

/// As [`put_verbs`], for bytes.
macro_rules! put_bytes_verbs {
    ($gone:expr) => {
        /// Puts a copy of the bytes, waiting for room.
        ///
        /// # Errors
        /// The queue is closed; no memory left, with both sizes.
        #[inline]
        pub fn put_bytes(&self, bytes: &[u8]) -> Result<(), $crate::PutError<()>> {
            self.put_bytes_with(bytes, $crate::core::Patient::Until(None)).map_err(|refused| refused.put(()))
        }

        /// Puts a copy of the bytes if there is room.
        ///
        /// # Errors
        /// As [`put_bytes`](Self::put_bytes), or that the queue is full.
        #[inline]
        #[doc(alias = "put_nowait")]
        pub fn try_put_bytes(&self, bytes: &[u8]) -> Result<(), $crate::TryPutError<()>> {
            self.put_bytes_with(bytes, $crate::core::Patient::Not).map_err(|refused| refused.try_put(()))
        }

        /// Puts a copy of the bytes, waiting for room at most that long.
        ///
        /// # Errors
        /// As [`put_bytes`](Self::put_bytes), or that there was no room.
        pub fn put_bytes_timeout(
            &self,
            bytes: &[u8],
            timeout: Duration,
        ) -> Result<(), $crate::PutTimeoutError<()>> {
            let patient = $crate::core::Patient::Until(ipc_core::deadline(timeout));
            self.put_bytes_with(bytes, patient).map_err(|refused| refused.put_timeout(()))
        }

        /// Puts a copy of the bytes, waiting for room at most until then.
        ///
        /// # Errors
        /// As [`put_bytes_timeout`](Self::put_bytes_timeout).
        pub fn put_bytes_deadline(
            &self,
            bytes: &[u8],
            deadline: Instant,
        ) -> Result<(), $crate::PutTimeoutError<()>> {
            let patient = $crate::core::Patient::Until(Some(deadline));
            self.put_bytes_with(bytes, patient).map_err(|refused| refused.put_timeout(()))
        }

        #[inline]
        fn put_bytes_with(
            &self,
            bytes: &[u8],
            patient: $crate::core::Patient,
        ) -> Result<(), $crate::refused::PutRefused> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::values::put_bytes(&self.core, bytes, patient, gone(self))
        }

        /// Puts many items, waiting for room: as many at once as there is room for, up to 1,024, which is several times
        /// faster than one by one. The iterator runs while nobody else can put, so it should be quick, and must not put into
        /// this queue itself: it would wait for itself. A kill in between leaves whole items.
        ///
        /// # Errors
        /// As [`put_bytes`](Self::put_bytes), with the number of items that were put.
        pub fn put_all_bytes<B: AsRef<[u8]>>(
            &self,
            items: impl IntoIterator<Item = B>,
        ) -> Result<(), $crate::PutError<usize>> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::bytes::put_all(&self.core, items, gone(self)).map_err(|(put, refused)| refused.put(put))
        }

        /// Sets `len` bytes of the queue aside for an item that is written in place, waiting for room. See
        /// [`Reservation`](crate::Reservation).
        ///
        /// # Errors
        /// As [`put_bytes`](Self::put_bytes).
        #[inline]
        pub fn reserve(&self, len: usize) -> Result<$crate::Reservation<'_>, $crate::PutError<()>> {
            self.reserve_with(len, $crate::core::Patient::Until(None)).map_err(|refused| refused.put(()))
        }

        /// As [`reserve`](Self::reserve), if there is room.
        ///
        /// # Errors
        /// As [`try_put_bytes`](Self::try_put_bytes).
        #[inline]
        pub fn try_reserve(&self, len: usize) -> Result<$crate::Reservation<'_>, $crate::TryPutError<()>> {
            self.reserve_with(len, $crate::core::Patient::Not).map_err(|refused| refused.try_put(()))
        }

        /// As [`reserve`](Self::reserve), waiting for room at most that long.
        ///
        /// # Errors
        /// As [`put_bytes_timeout`](Self::put_bytes_timeout).
        pub fn reserve_timeout(
            &self,
            len: usize,
            timeout: Duration,
        ) -> Result<$crate::Reservation<'_>, $crate::PutTimeoutError<()>> {
            let patient = $crate::core::Patient::Until(ipc_core::deadline(timeout));
            self.reserve_with(len, patient).map_err(|refused| refused.put_timeout(()))
        }

        #[inline]
        fn reserve_with(
            &self,
            len: usize,
            patient: $crate::core::Patient,
        ) -> Result<$crate::Reservation<'_>, $crate::refused::PutRefused> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::bytes::reserve(&self.core, len, patient, gone(self))
        }
    };
}
pub(crate) use put_bytes_verbs;

/// As [`get_verbs`], for bytes.
macro_rules! get_bytes_verbs {
    ($gone:expr) => {
        /// Gets the next item, waiting for one.
        ///
        /// # Errors
        /// [`Closed`](crate::GetError::Closed) when nothing is left and nothing will come. An item that this process has no
        /// memory for stays.
        pub fn get_bytes(&self) -> Result<Vec<u8>, $crate::GetError> {
            self.get_bytes_copy($crate::core::Patient::Until(None)).map_err($crate::refused::GetRefused::get)
        }

        /// Gets the next item if there is one.
        ///
        /// # Errors
        /// As [`get_bytes`](Self::get_bytes), or that the queue is empty.
        #[doc(alias = "get_nowait")]
        pub fn try_get_bytes(&self) -> Result<Vec<u8>, $crate::TryGetError> {
            self.get_bytes_copy($crate::core::Patient::Not).map_err($crate::refused::GetRefused::try_get)
        }

        /// Gets the next item, waiting for one at most that long.
        ///
        /// # Errors
        /// As [`get_bytes`](Self::get_bytes), or that none came.
        pub fn get_bytes_timeout(&self, timeout: Duration) -> Result<Vec<u8>, $crate::GetTimeoutError> {
            self.get_bytes_until(ipc_core::deadline(timeout))
        }

        /// Gets the next item, waiting for one at most until then.
        ///
        /// # Errors
        /// As [`get_bytes_timeout`](Self::get_bytes_timeout).
        pub fn get_bytes_deadline(&self, deadline: Instant) -> Result<Vec<u8>, $crate::GetTimeoutError> {
            self.get_bytes_until(Some(deadline))
        }

        fn get_bytes_until(&self, deadline: Option<Instant>) -> Result<Vec<u8>, $crate::GetTimeoutError> {
            let patient = $crate::core::Patient::Until(deadline);
            self.get_bytes_copy(patient).map_err($crate::refused::GetRefused::get_timeout)
        }

        fn get_bytes_copy(
            &self,
            patient: $crate::core::Patient,
        ) -> Result<Vec<u8>, $crate::refused::GetRefused> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::bytes::get(&self.core, patient, gone(self))
        }

        /// Gets the next item into the start of the buffer, waiting for one; its length. If that is more than the buffer
        /// has, the rest is lost.
        ///
        /// # Errors
        /// As [`get_bytes`](Self::get_bytes).
        #[inline]
        pub fn get_bytes_into(&self, buffer: &mut [u8]) -> Result<usize, $crate::GetError> {
            self.get_bytes_with(|bytes| {
                bytes.read_at(0, buffer);
                bytes.len()
            })
        }

        /// Has `f` look at the next item in place, waiting for one. Meanwhile nobody else can get anything, and `f` must not
        /// get from this queue, nor wait for room in it: it would wait for itself. If it panics, or its process dies, the
        /// item is still there.
        ///
        /// ```
        /// let queue = ipc_queue::Queue::<[u8]>::unbounded()?;
        /// queue.put_bytes(&[1, 0, 0, 0, 7])?;
        /// let consumer = queue.consumer()?;
        /// let number = consumer.get_bytes_with(|bytes| {
        ///     let mut number = [0; 4];
        ///     bytes.read_at(0, &mut number);
        ///     u32::from_le_bytes(number)
        /// })?;
        /// assert_eq!(number, 1);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// # Errors
        /// As [`get_bytes`](Self::get_bytes).
        #[inline]
        pub fn get_bytes_with<R>(
            &self,
            f: impl FnOnce($crate::Bytes<'_>) -> R,
        ) -> Result<R, $crate::GetError> {
            self.get_bytes_by($crate::core::Patient::Until(None), f).map_err($crate::refused::GetRefused::get)
        }

        /// As [`get_bytes_with`](Self::get_bytes_with), if there is an item.
        ///
        /// # Errors
        /// As [`try_get_bytes`](Self::try_get_bytes).
        #[inline]
        pub fn try_get_bytes_with<R>(
            &self,
            f: impl FnOnce($crate::Bytes<'_>) -> R,
        ) -> Result<R, $crate::TryGetError> {
            self.get_bytes_by($crate::core::Patient::Not, f).map_err($crate::refused::GetRefused::try_get)
        }

        /// As [`get_bytes_with`](Self::get_bytes_with), waiting for an item at most that long.
        ///
        /// # Errors
        /// As [`get_bytes_timeout`](Self::get_bytes_timeout).
        pub fn get_bytes_with_timeout<R>(
            &self,
            timeout: Duration,
            f: impl FnOnce($crate::Bytes<'_>) -> R,
        ) -> Result<R, $crate::GetTimeoutError> {
            self.get_bytes_by($crate::core::Patient::Until(ipc_core::deadline(timeout)), f)
                .map_err($crate::refused::GetRefused::get_timeout)
        }

        #[inline]
        fn get_bytes_by<R>(
            &self,
            patient: $crate::core::Patient,
            f: impl FnOnce($crate::Bytes<'_>) -> R,
        ) -> Result<R, $crate::refused::GetRefused> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::bytes::get_with(&self.core, patient, gone(self), f)
        }

        /// Has `f` look at what is there, at most `max` items one after the other, waiting if there is nothing; how many
        /// it were. Several times faster than one by one.
        ///
        /// # Errors
        /// As [`get_bytes`](Self::get_bytes).
        pub fn get_many_bytes(
            &self,
            max: usize,
            f: impl FnMut($crate::Bytes<'_>),
        ) -> Result<usize, $crate::GetError> {
            self.get_many_bytes_by(max, $crate::core::Patient::Until(None), f)
                .map_err($crate::refused::GetRefused::get)
        }

        /// As [`get_many_bytes`](Self::get_many_bytes), if there is something.
        ///
        /// # Errors
        /// As [`try_get_bytes`](Self::try_get_bytes).
        pub fn try_get_many_bytes(
            &self,
            max: usize,
            f: impl FnMut($crate::Bytes<'_>),
        ) -> Result<usize, $crate::TryGetError> {
            self.get_many_bytes_by(max, $crate::core::Patient::Not, f)
                .map_err($crate::refused::GetRefused::try_get)
        }

        /// As [`get_many_bytes`](Self::get_many_bytes), waiting for the first item at most that long.
        ///
        /// # Errors
        /// As [`get_bytes_timeout`](Self::get_bytes_timeout).
        pub fn get_many_bytes_timeout(
            &self,
            max: usize,
            timeout: Duration,
            f: impl FnMut($crate::Bytes<'_>),
        ) -> Result<usize, $crate::GetTimeoutError> {
            self.get_many_bytes_by(max, $crate::core::Patient::Until(ipc_core::deadline(timeout)), f)
                .map_err($crate::refused::GetRefused::get_timeout)
        }

        fn get_many_bytes_by(
            &self,
            max: usize,
            patient: $crate::core::Patient,
            f: impl FnMut($crate::Bytes<'_>),
        ) -> Result<usize, $crate::refused::GetRefused> {
            let gone: fn(&Self) -> $crate::core::Gone = $gone;
            $crate::bytes::get_many(&self.core, max, patient, gone(self), f)
        }
    };
}
pub(crate) use get_bytes_verbs;
