//! The queue that can do everything.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, Instant};

use ipc_core::{Participant, Result, Segment};
use ipc_lock::raw;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::{Core, Patient};
use crate::layout::{CLOSED, UNBOUNDED};
use crate::roles::{CONSUMERS, Consumer, PRODUCERS, Producer};
use crate::verbs::{get_bytes_verbs, get_verbs, put_bytes_verbs, put_verbs};

/// A queue between processes and threads: any number put, any number get, each item goes to exactly one, first in first
/// out.
///
/// A `T` is any serde type that owns its data; a `Queue<[u8]>` carries bytes without serde. A clone is another handle
/// to the same queue, and so is what a child or the receiver of a message gets. When the last handle of all processes is
/// gone, so is the queue, with what is left in it.
///
/// A put is complete when it returns: every other process can get the item, and the one that put it may exit or be
/// killed. Items lie in shared memory, which grows with the backlog; the bound counts items, whatever their size. The
/// largest item has 8 GiB.
///
/// **If a process dies** in a `put`, the item is wholly there or it is not; in a `get`, it takes with it the one item of
/// that call at most. Everybody else goes on. Who waits on this handle waits until somebody puts something or
/// [closes](Queue::close) the queue; a [`Consumer`] also notices when the last [`Producer`] is gone.
///
/// ```
/// use ipc_queue::Queue;
///
/// let menu = Queue::bounded(3)?;
/// menu.put("bun".to_string())?;
/// assert_eq!(menu.len(), 1);
/// assert_eq!(menu.get()?, "bun");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What borrows its data cannot arrive anywhere else, and is refused by the compiler:
///
/// ```compile_fail,E0599
/// ipc_queue::Queue::<&str>::unbounded().unwrap().put("borrowed").unwrap();
/// ```
#[doc(alias = "SimpleQueue")]
pub struct Queue<T: ?Sized> {
    pub(crate) core: Core,
    pub(crate) marker: PhantomData<fn(&T)>,
}

impl<T: ?Sized> Queue<T> {
    pub(crate) fn from_core(core: Core) -> Queue<T> {
        Queue { core, marker: PhantomData }
    }

    /// A queue that holds at most `capacity` items, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// A capacity of 0; no memory, or no descriptor left.
    #[doc(alias = "maxsize")]
    pub fn bounded(capacity: usize) -> Result<Queue<T>> {
        Core::create(type_name::<T>(), None, Some(capacity)).map(Queue::from_core)
    }

    /// A queue that holds as many items as there is memory for, at most 8 GiB. A backlog's memory is given back when it
    /// is gone.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn unbounded() -> Result<Queue<T>> {
        Core::create(type_name::<T>(), None, None).map(Queue::from_core)
    }

    /// As [`bounded`](Queue::bounded), but other programs of the same user can [`open`](Queue::open) it. See
    /// [`Segment::create`] for the life of a name.
    ///
    /// # Errors
    /// As [`bounded`](Queue::bounded); the name is taken by a living process, or no name.
    pub fn create_bounded(name: &str, capacity: usize) -> Result<Queue<T>> {
        Core::create(type_name::<T>(), Some(name), Some(capacity)).map(Queue::from_core)
    }

    /// As [`unbounded`](Queue::unbounded), but other programs of the same user can [`open`](Queue::open) it.
    ///
    /// # Errors
    /// As [`unbounded`](Queue::unbounded); the name is taken by a living process, or no name.
    ///
    /// ```
    /// use ipc_queue::Queue;
    ///
    /// # let name = &format!("kitchen-{}", std::process::id());
    /// # let elsewhere = name;
    /// let orders = Queue::<(u32, String)>::create_unbounded(name)?;
    /// // In another program:
    /// Queue::<(u32, String)>::open(elsewhere)?.put((3, "soup".to_owned()))?;
    /// // Here:
    /// assert_eq!(orders.get()?, (3, "soup".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn create_unbounded(name: &str) -> Result<Queue<T>> {
        Core::create(type_name::<T>(), Some(name), None).map(Queue::from_core)
    }

    /// The queue of that name.
    ///
    /// # Errors
    /// There is none, or it is one of another version or for another type, which is compared by its
    /// [name](std::any::type_name). That has the crate and the modules in it: a struct that two programs put and get stands
    /// in a library that both use. What is in the struct is not compared.
    pub fn open(name: &str) -> Result<Queue<T>> {
        Core::open(type_name::<T>(), name).map(Queue::from_core)
    }

    /// A handle that can only put. When the last of all processes is gone, consumers come to the end.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn producer(&self) -> Result<Producer<T>> {
        Producer::new(&self.core)
    }

    /// A handle that can only get. When the last of all processes is gone, producers are refused.
    ///
    /// # Errors
    /// No descriptor left.
    pub fn consumer(&self) -> Result<Consumer<T>> {
        Consumer::new(&self.core)
    }

    /// Closes the queue for good: nothing can be put any more, and who gets comes to the end when nothing is left. Who
    /// waits is woken.
    ///
    /// # Errors
    /// None; but it waits while somebody fills a [reservation](Queue::reserve).
    #[doc(alias = "shutdown")]
    pub fn close(&self) {
        self.core.change_closed(Patient::Until(None), |closed| closed | CLOSED);
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Items that are there now.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.core.len() as usize
    }

    /// Whether there are no items now.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.core.len() == 0
    }

    /// Whether there is no room now.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        !self.core.has_room()
    }

    /// How many items it holds at most; `None` without a bound.
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        let capacity = self.core.capacity();
        (capacity != UNBOUNDED).then_some(capacity as usize)
    }

    /// What is in it, and who waits.
    pub fn stats(&self) -> Stats {
        let (segment, queue) = (self.core.segment(), self.core.queue());
        Stats {
            items: self.len(),
            memory: self.core.memory(),
            has_producers: segment.is_held(PRODUCERS).unwrap_or(false),
            has_consumers: segment.is_held(CONSUMERS).unwrap_or(false),
            waiting_to_put: raw::waiters(segment, &queue.head.waiters),
            waiting_to_get: raw::waiters(segment, &queue.tail.waiters),
        }
    }

    /// The segment that it lives in.
    pub fn segment(&self) -> &Segment {
        self.core.segment()
    }
}

impl<T: Serialize + DeserializeOwned> Queue<T> {
    put_verbs!(|_| None);
    get_verbs!(|_| None);

    /// What there is to get, one after the other, waiting for more, until the queue is closed and empty. An item that
    /// cannot be decoded is an error, and the next may be fine.
    pub fn iter(&self) -> impl Iterator<Item = Result<T>> {
        std::iter::from_fn(|| crate::verbs::next(self.get()))
    }
}

impl Queue<[u8]> {
    put_bytes_verbs!(|_| None);
    get_bytes_verbs!(|_| None);
}

/// The state of a queue: see [`Queue::stats`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Stats {
    /// Items in it.
    pub items: usize,
    /// Bytes of memory that it has for items.
    pub memory: u64,
    /// Whether some process has a [`Producer`], or one is on its way to a process.
    pub has_producers: bool,
    /// Whether some process has a [`Consumer`], or one is on its way to a process.
    pub has_consumers: bool,
    /// The processes that wait for room, one entry for each waiting thread; the first 14.
    pub waiting_to_put: Vec<Participant>,
    /// The processes that wait for an item, one entry for each waiting thread; the first 14.
    pub waiting_to_get: Vec<Participant>,
}

impl<T: ?Sized> Clone for Queue<T> {
    fn clone(&self) -> Queue<T> {
        Queue::from_core(self.core.clone())
    }
}

impl<T: ?Sized> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue")
            .field("len", &self.len())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl<T: ?Sized> Serialize for Queue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.core.segment().serialize(serializer)
    }
}

impl<'de, T: ?Sized> Deserialize<'de> for Queue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Queue<T>, D::Error> {
        let segment = Segment::deserialize(deserializer)?;
        Core::receive(type_name::<T>(), &segment).map(Queue::from_core).map_err(serde::de::Error::custom)
    }
}
