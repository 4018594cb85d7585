//! Waiting for several queues at once.

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipc_core::{Error, Result, futex};

use crate::core::{Core, Gone};
use crate::queue::Queue;
use crate::roles::{Consumer, no_producers};
use crate::wait::Asleep;

/// Something that can be waited for by [`wait_any`]: a [`Queue`], or a [`Consumer`].
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
pub struct Parts<'a> {
    core: &'a Core,
    gone: Gone,
}

impl Parts<'_> {
    /// Whether a get would return at once: with an item, an error, or the end.
    fn is_ready(&self) -> bool {
        self.core.has_items() || self.core.is_closed() || self.gone.is_some_and(|gone| gone(self.core))
    }

    fn signal(&self) -> &AtomicU32 {
        &self.core.queue().tail.signal
    }
}

impl<T: ?Sized> private::Sealed for Queue<T> {
    fn parts(&self) -> Parts<'_> {
        Parts { core: &self.core, gone: None }
    }
}

impl<T: ?Sized> Source for Queue<T> {}

impl<T: ?Sized> private::Sealed for Consumer<T> {
    fn parts(&self) -> Parts<'_> {
        Parts { core: &self.core, gone: Some(no_producers) }
    }
}

impl<T: ?Sized> Source for Consumer<T> {}

/// Who waits looks again at least so often, since whoever should wake him may have been killed.
const LOOK_AGAIN: Duration = Duration::from_millis(40);
/// The same, where the kernel cannot wait for so many queues at once.
const LOOK_OFTEN: Duration = Duration::from_millis(2);

/// Waits until a get on one of the queues would return at once, with an item or because it is over; says which those
/// are, by their places in `sources`. The list is empty if the timeout passes first. A timeout of `None` waits as long as
/// it takes.
///
/// Another process may get the item before this one does: use [`try_get`](Queue::try_get). A queue that is over is ready
/// for ever: leave it out from then on. A [`JoinableQueue`](crate::JoinableQueue) cannot be waited for here.
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
        let _asleep: Vec<_> = sources.iter().map(|source| Asleep::new(&source.core.queue().tail)).collect();
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
