//! Waiting for several things at once.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ipc_core::{Cause, Error, Result};

use crate::channel::{LOOK_AGAIN, LOOK_SOON, Waited};
use crate::connection::{Connection, Receiver};
use crate::half::Incoming;
use crate::sys::{self, Events};

/// Something that can be waited for by [`wait`]: a [`Connection`] or [`Receiver`], until there is a message or the end; a
/// descriptor, until it is readable or at its end. Anything that has one is waited for by `&thing.as_fd()`: a socket, or a
/// child process, until it ends.
pub trait Waitable: AsFd + private::Sealed {}

pub(crate) mod private {
    /// What [`wait`](super::wait) has to know.
    pub trait Sealed {
        /// That of a pipe's end.
        #[doc(hidden)]
        fn messages(&self) -> Option<Messages<'_>> {
            None
        }
    }

    /// Where messages come in.
    #[derive(Debug)]
    pub struct Messages<'a>(pub(crate) &'a super::Incoming);
}
use private::Messages;

impl<T: ?Sized> private::Sealed for Receiver<T> {
    fn messages(&self) -> Option<Messages<'_>> {
        Some(Messages(self.incoming()))
    }
}

impl<S: ?Sized, R: ?Sized> private::Sealed for Connection<S, R> {
    fn messages(&self) -> Option<Messages<'_>> {
        Some(Messages(self.incoming()))
    }
}

impl<T: ?Sized> Waitable for Receiver<T> {}
impl<S: ?Sized, R: ?Sized> Waitable for Connection<S, R> {}
impl private::Sealed for BorrowedFd<'_> {}
impl Waitable for BorrowedFd<'_> {}
impl private::Sealed for OwnedFd {}
impl Waitable for OwnedFd {}

/// Waits until one of the things is ready, and says which are, by their places in `things`. None if the timeout passes
/// first; `None` waits as long as it takes.
///
/// Takes nothing: what is ready stays so until somebody receives the message or reads. Another process may be faster, so
/// use [`try_recv`](Receiver::try_recv).
///
/// # Errors
/// No `things` and no timeout: nothing would ever come. The system's errors.
///
/// ```
/// use std::time::Duration;
/// use ipc_pipe::{one_way, wait};
///
/// let (orders, bills) = (one_way::<String>()?, one_way::<u32>()?);
/// assert!(wait(&[&orders.1, &bills.1], Some(Duration::from_millis(1)))?.is_empty());
/// bills.0.send(7)?;
/// assert_eq!(wait(&[&orders.1, &bills.1], None)?, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "connection.wait")]
#[doc(alias = "select")]
pub fn wait(things: &[&dyn Waitable], timeout: Option<Duration>) -> Result<Vec<usize>> {
    let fail = |cause: Cause| Error::new("wait for", "pipes and descriptors", cause);
    if things.is_empty() && timeout.is_none() {
        let expected = "1 or more".to_owned();
        return Err(fail(Cause::Mismatch { property: "number", found: "0".to_owned(), expected }));
    }
    let deadline = timeout.and_then(ipc_core::deadline);
    let fds: Vec<_> = things.iter().map(|thing| (thing.as_fd(), Events::IN)).collect();
    let mut in_vain = 0;
    loop {
        let looked: Vec<_> =
            things.iter().map(|thing| thing.messages().map(|Messages(half)| half.look())).collect();
        let is_found = |looked: &Option<Waited>| looked.is_some_and(|looked| looked != Waited::TimedOut);
        let now = Instant::now();
        let until = if looked.iter().any(is_found) {
            Some(now)
        } else {
            ipc_core::deadline(LOOK_AGAIN).into_iter().chain(deadline).min()
        };
        let events = sys::poll(&fds, until).map_err(|errno| fail(Cause::Os(errno.into())))?;
        let is_ready = |&index: &usize| match looked[index] {
            None => !events[index].is_empty(),
            found => is_found(&found) || sys::is_hang_up(events[index]),
        };
        let ready: Vec<_> = (0..things.len()).filter(is_ready).collect();
        if !ready.is_empty() || deadline.is_some_and(|deadline| deadline <= now) {
            return Ok(ready);
        }
        // What shows again and again, and is nothing, is a sender that was stopped in the middle.
        in_vain = if events.iter().all(|events| events.is_empty()) { 0 } else { in_vain + 1 };
        if in_vain > 3 {
            std::thread::sleep(LOOK_SOON);
        }
    }
}
