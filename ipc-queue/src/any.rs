//! Waiting for several queues at once.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipc_core::{Error, Result, futex};
use ipc_lock::raw::Waiting;

use crate::core::{Core, Gone};
use crate::joinable::{self, JoinableQueue};
use crate::queue::Queue;
use crate::roles::{Consumer, no_producers};
use crate::wait;

/// Something that can be waited for by [`wait_any`]: a [`Queue`], a [`Consumer`] or a [`JoinableQueue`].
pub trait Source: private::Sealed {}

pub(crate) mod private {
    /// What [`wait_any`](super::wait_any) has to know.
    pub trait Sealed {
        #[doc(hidden)]
        fn parts(&self) -> super::Parts<'_>;
    }
}

/// What is waited for.
#[derive(Debug)]
pub struct Parts<'a>(Kind<'a>);

#[derive(Debug)]
enum Kind<'a> {
    Plain(&'a Core, Gone),
    Joinable(&'a joinable::core::Core),
}

/// Counted as one who sleeps, until it is dropped.
enum Asleep<'a> {
    Plain { _counted: wait::Asleep<'a>, _waiting: Option<Waiting<'a>> },
    Joinable { _counted: joinable::core::Asleep<'a> },
}

impl<'a> Parts<'a> {
    /// Whether a get would return at once: with an item, an error, or the end.
    fn is_ready(&self) -> bool {
        match self.0 {
            Kind::Plain(core, gone) => {
                core.has_items() || core.is_closed() || gone.is_some_and(|gone| gone(core))
            }
            Kind::Joinable(core) => core.is_ready(),
        }
    }

    fn signal(&self) -> &'a AtomicU32 {
        match self.0 {
            Kind::Plain(core, _) => &core.queue().tail.signal,
            Kind::Joinable(core) => &core.shared().ready.word,
        }
    }

    fn asleep(&self) -> Asleep<'a> {
        match self.0 {
            Kind::Plain(core, _) => {
                let tail = &core.queue().tail;
                let _waiting = tail.waiters.enter(core.segment(), core.me());
                Asleep::Plain { _counted: wait::Asleep::new(tail), _waiting }
            }
            Kind::Joinable(core) => {
                Asleep::Joinable { _counted: core.asleep(ipc_core::deadline(LOOK_AGAIN)) }
            }
        }
    }
}

impl<T: ?Sized> private::Sealed for Queue<T> {
    fn parts(&self) -> Parts<'_> {
        Parts(Kind::Plain(&self.core, None))
    }
}

impl<T: ?Sized> Source for Queue<T> {}

impl<T: ?Sized> private::Sealed for Consumer<T> {
    fn parts(&self) -> Parts<'_> {
        Parts(Kind::Plain(&self.core, Some(no_producers)))
    }
}

impl<T: ?Sized> Source for Consumer<T> {}

impl<T> private::Sealed for JoinableQueue<T> {
    fn parts(&self) -> Parts<'_> {
        Parts(Kind::Joinable(&self.core))
    }
}

impl<T> Source for JoinableQueue<T> {}

/// Who waits looks again at least so often, since whoever should wake him may have been killed.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// The same, where the kernel cannot wait for so many queues at once.
const LOOK_OFTEN: Duration = Duration::from_millis(2);

/// Waits until a get on one of the queues would return at once, with an item or because it is over; says which those
/// are, by their places in `sources`. The list is empty if the timeout passes first. A timeout of `None` waits as long as
/// it takes.
///
/// Another process may get the item before this one does: use [`try_get`](Queue::try_get). A queue that is over is ready
/// for ever: leave it out from then on. A [`JoinableQueue`] is also ready when a job comes back, within 100 ms if its
/// process was killed.
///
/// More than 128 queues, or a kernel before 5.16, cost a look at all of them every 2 ms.
///
/// # Errors
/// No `sources`: nothing would ever come.
///
/// ```
/// use std::time::Duration;
/// use ipc_queue::{Queue, wait_any};
///
/// let (orders, bills) = (Queue::<String>::unbounded()?, Queue::<u32>::unbounded()?);
/// assert!(wait_any(&[&orders, &bills], Some(Duration::from_millis(1)))?.is_empty());
/// bills.put(7)?;
/// assert_eq!(wait_any(&[&orders, &bills], None)?, [1]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Several queues, until all of them are over:
///
/// ```
/// use ipc_queue::{Queue, Source, TryGetError, wait_any};
///
/// let queues = [Queue::unbounded()?, Queue::unbounded()?, Queue::unbounded()?];
/// for (number, queue) in queues.iter().enumerate() {
///     queue.put(number)?;
///     queue.close();
/// }
/// let (mut open, mut sum): (Vec<_>, usize) = (queues.iter().collect(), 0);
/// while !open.is_empty() {
///     let sources: Vec<&dyn Source> = open.iter().map(|&queue| queue as _).collect();
///     for place in wait_any(&sources, None)?.into_iter().rev() {
///         match open[place].try_get() {
///             Ok(number) => sum += number,
///             Err(TryGetError::Empty) => {} // somebody else was first
///             Err(TryGetError::Closed) => drop(open.remove(place)),
///             Err(error) => return Err(error.into()),
///         }
///     }
/// }
/// assert_eq!(sum, 3);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "select")]
#[doc(alias = "connection.wait")]
pub fn wait_any(sources: &[&dyn Source], timeout: Option<Duration>) -> Result<Vec<usize>> {
    let sources: Vec<_> = sources.iter().map(|source| source.parts()).collect();
    if sources.is_empty() {
        let none = io::Error::new(io::ErrorKind::InvalidInput, "there are none, and nothing would ever come");
        return Err(Error::new("wait for", "queues", none));
    }
    let ready = || -> Vec<usize> {
        let is_ready = |(_, source): &(usize, &Parts<'_>)| source.is_ready();
        sources.iter().enumerate().filter(is_ready).map(|(index, _)| index).collect()
    };
    let deadline = timeout.and_then(ipc_core::deadline);
    loop {
        let words: Vec<_> =
            sources.iter().map(|source| (source.signal(), source.signal().load(Ordering::Acquire))).collect();
        let _asleep: Vec<_> = sources.iter().map(Parts::asleep).collect();
        let found = ready();
        if !found.is_empty() || deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            return Ok(found);
        }
        let until = |pause| ipc_core::deadline(pause).into_iter().chain(deadline).min();
        if futex::wait_any(&words, until(LOOK_AGAIN)).is_err() {
            let _ = futex::wait(words[0].0, words[0].1, until(LOOK_OFTEN));
        }
    }
}
