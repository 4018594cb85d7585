//! The queue whose items have to be marked done.

mod book;
pub(crate) mod core;
mod job;
mod layout;
mod records;
mod regions;
mod signal;

use std::any::type_name;
use std::fmt;
use std::iter;
use std::marker::PhantomData;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ipc_core::{Participant, ParticipantId, Result, Segment, codec};
use ipc_lock::raw;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::Patient;
use crate::error::PutError;
use crate::layout::UNBOUNDED;
use crate::refused::{GetRefused, PutRefused};
use crate::values::{Scratch, encode_part, fault};
use crate::verbs::{get_ways, next, put_ways};

use self::core::Core;
pub use self::job::{Job, Receipt};
use self::records::Fate;

/// A queue that knows what has been done: who gets an item has a [`Job`], and marks it [done](Job::done) when it is.
/// [`join`](JoinableQueue::join) waits until everything is.
///
/// A job that is dropped undone is handed out again, before all others, and so is one whose process dies: no consumer can
/// take anything with it. Each job is done at least once, and one that was marked done is never handed out again. It says
/// [how often](Job::deliveries) it was; with a [limit](JoinableQueue::with_max_deliveries), one that kills everybody who
/// tries ends in the list of the [rejected](JoinableQueue::rejected).
///
/// A `T` is any serde type that owns its data. A clone is another handle to the same queue, and so is what a child or the
/// receiver of a message gets; any number put, any number get, first in first out. Items lie in shared memory, which
/// grows with the backlog; the bound counts items that nobody has got yet, whatever their size.
///
/// **If a process dies** in a `put`, the item is wholly there or it is not. The jobs that it has are handed out again as
/// soon as somebody gets or joins: who waits then notices within 100 ms, usually at once.
///
/// ```
/// use ipc_queue::JoinableQueue;
///
/// let dishes = JoinableQueue::unbounded()?;
/// dishes.put("bun".to_string())?;
///
/// let job = dishes.get()?;
/// assert_eq!(*job, "bun");
/// drop(job); // Not done, so it comes again.
///
/// let job = dishes.get()?;
/// assert_eq!((job.as_str(), job.deliveries()), ("bun", 2));
/// job.done()?;
/// dishes.join()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct JoinableQueue<T> {
    pub(crate) core: Core,
    marker: PhantomData<fn(&T)>,
}

impl<T> JoinableQueue<T> {
    fn from_core(core: Core) -> JoinableQueue<T> {
        JoinableQueue { core, marker: PhantomData }
    }

    /// A queue that holds at most `capacity` items that nobody has got, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// A capacity of 0; no memory, or no descriptor left.
    #[doc(alias = "maxsize")]
    pub fn bounded(capacity: usize) -> Result<JoinableQueue<T>> {
        Core::create(type_name::<T>(), None, Some(capacity)).map(JoinableQueue::from_core)
    }

    /// A queue that holds as many items as there is memory for, at most 8 GiB. A backlog's memory is given back when it
    /// is gone.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn unbounded() -> Result<JoinableQueue<T>> {
        Core::create(type_name::<T>(), None, None).map(JoinableQueue::from_core)
    }

    /// As [`bounded`](JoinableQueue::bounded), but other programs of the same user can [`open`](JoinableQueue::open) it.
    /// See [`Segment::create`] for the life of a name.
    ///
    /// # Errors
    /// As [`bounded`](JoinableQueue::bounded); the name is taken by a living process, or no name.
    pub fn create_bounded(name: &str, capacity: usize) -> Result<JoinableQueue<T>> {
        Core::create(type_name::<T>(), Some(name), Some(capacity)).map(JoinableQueue::from_core)
    }

    /// As [`unbounded`](JoinableQueue::unbounded), but other programs of the same user can
    /// [`open`](JoinableQueue::open) it.
    ///
    /// # Errors
    /// As [`unbounded`](JoinableQueue::unbounded); the name is taken by a living process, or no name.
    pub fn create_unbounded(name: &str) -> Result<JoinableQueue<T>> {
        Core::create(type_name::<T>(), Some(name), None).map(JoinableQueue::from_core)
    }

    /// The queue of that name.
    ///
    /// # Errors
    /// There is none, or it is one of another version or for another type, which is compared by its
    /// [name](std::any::type_name), as for [`Queue::open`](crate::Queue::open).
    pub fn open(name: &str) -> Result<JoinableQueue<T>> {
        Core::open(type_name::<T>(), name).map(JoinableQueue::from_core)
    }

    /// Sets the limit of deliveries, for all handles: a job that comes back undone after so many goes to the
    /// [rejected](JoinableQueue::rejected), and counts as finished. At least 1; without this there is none.
    ///
    /// ```
    /// let queue = ipc_queue::JoinableQueue::unbounded()?.with_max_deliveries(2);
    /// queue.put(7)?;
    /// drop(queue.get()?);
    /// drop(queue.get()?);
    /// assert!(queue.is_empty());
    /// assert_eq!(*queue.rejected()?[0].value.as_ref().unwrap(), 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn with_max_deliveries(self, most: u32) -> JoinableQueue<T> {
        self.core.shared().max_deliveries.store(most.max(1), Ordering::Relaxed);
        self
    }

    /// The limit of deliveries; `None` if there is none.
    pub fn max_deliveries(&self) -> Option<u32> {
        Some(self.core.shared().max_deliveries.load(Ordering::Relaxed)).filter(|&most| most != 0)
    }

    /// Closes the queue for good: nothing can be put any more, and who gets comes to the end when nothing is left. While
    /// somebody has a job that may come back, that is not yet so, and who gets waits. Who waits to put is woken.
    ///
    /// # Errors
    /// The queue's memory is damaged.
    #[doc(alias = "shutdown")]
    pub fn close(&self) -> Result<()> {
        self.core.close()
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.core.is_closed()
    }

    /// Waits until every item that was put is done, or rejected: until that is so at one moment. If nobody lives who
    /// would do it, it waits for somebody who will.
    ///
    /// # Errors
    /// The queue's memory is damaged.
    pub fn join(&self) -> Result<()> {
        while !self.core.join(None)? {}
        Ok(())
    }

    /// Waits until every item is done, at most that long; whether it is.
    ///
    /// # Errors
    /// As [`join`](JoinableQueue::join).
    #[doc(alias = "join")]
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool> {
        self.core.join(ipc_core::deadline(timeout))
    }

    /// Waits until every item is done, at most until then; whether it is.
    ///
    /// # Errors
    /// As [`join`](JoinableQueue::join).
    #[doc(alias = "join")]
    pub fn join_deadline(&self, deadline: Instant) -> Result<bool> {
        self.core.join(Some(deadline))
    }

    /// Items that are not done: those that nobody has, and those that somebody has.
    pub fn unfinished(&self) -> usize {
        self.core.numbers().unfinished() as usize
    }

    /// Items that nobody has got now.
    #[doc(alias = "qsize")]
    pub fn len(&self) -> usize {
        self.core.numbers().ready as usize
    }

    /// Whether there are none.
    #[doc(alias = "empty")]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether there is no room now. Jobs that come back have theirs, even if that makes more items than the bound.
    #[doc(alias = "full")]
    pub fn is_full(&self) -> bool {
        self.core.numbers().ready >= self.core.capacity()
    }

    /// How many items it holds at most; `None` without a bound.
    #[doc(alias = "maxsize")]
    pub fn capacity(&self) -> Option<usize> {
        let capacity = self.core.capacity();
        (capacity != UNBOUNDED).then_some(capacity as usize)
    }

    /// What is in it, who has jobs, and who waits.
    pub fn stats(&self) -> JoinableStats {
        let (segment, shared, numbers) = (self.core.segment(), self.core.shared(), self.core.numbers());
        let job = |(id, jobs)| Some((segment.participant(ParticipantId::from_word(id)?)?, jobs));
        JoinableStats {
            items: numbers.ready as usize,
            jobs: numbers.leased as usize,
            rejected: numbers.rejected as usize,
            memory: shared.regions.load(Ordering::Relaxed),
            workers: self.core.leases().filter_map(job).collect(),
            waiting_to_put: raw::waiters(segment, &shared.room.waiters),
            waiting_to_get: raw::waiters(segment, &shared.ready.waiters),
            waiting_to_join: raw::waiters(segment, &shared.finished.waiters),
        }
    }

    /// The segment that it lives in.
    pub fn segment(&self) -> &Segment {
        self.core.segment()
    }
}

impl<T: Serialize + DeserializeOwned> JoinableQueue<T> {
    put_ways!();

    fn put_with(&self, value: T, patient: Patient) -> Result<(), (T, PutRefused)> {
        let mut bytes = Scratch::new();
        let put = match codec::encode(&value, &mut bytes) {
            Ok(()) => self.core.put(iter::once(bytes.as_slice()), patient),
            Err(error) => Err(PutRefused::Fault(fault("encode", self.segment(), error))),
        };
        put.map(drop).map_err(|refused| (value, refused))
    }

    /// Puts many values, waiting for room: each part of them, up to 1,024 or 64 KiB, is encoded first and then put at
    /// once, as far as there is room. A kill in between leaves whole items.
    ///
    /// # Errors
    /// As [`put`](JoinableQueue::put); those that were not put are in the error, as far as they had been taken out of the
    /// iterator.
    pub fn put_all(&self, values: impl IntoIterator<Item = T>) -> Result<(), PutError<Vec<T>>> {
        let mut values = values.into_iter();
        let mut part = Vec::new();
        loop {
            let mut put = 0;
            let (mut buffer, mut ends) = (Scratch::new(), vec![0]);
            let encoded = encode_part(&mut values, &mut buffer, &mut part, &mut ends);
            let items: Vec<_> = ends.windows(2).map(|ends| &buffer[ends[0]..ends[1]]).collect();
            let mut result = Ok(());
            while put < items.len() && result.is_ok() {
                let some = self.core.put(items[put..].iter().copied(), Patient::Until(None));
                result = some.map(|some| put += some as usize);
            }
            let encoded = encoded.map_err(|error| PutRefused::Fault(fault("encode", self.segment(), error)));
            match result.and(encoded) {
                Ok(()) if part.is_empty() => return Ok(()),
                Ok(()) => part.clear(),
                Err(refused) => return Err(refused.put(part.split_off(put))),
            }
        }
    }

    get_ways! {
        Job<T>,
        "[`Closed`](crate::GetError::Closed) when nothing is left, nobody has a job that may come back, and nothing will"
        "come. An item that cannot be decoded goes to the [rejected](JoinableQueue::rejected); the next may be fine."
    }

    fn get_with(&self, patient: Patient) -> Result<Job<T>, GetRefused> {
        let mut bytes = Scratch::new();
        let lease = self.core.get(patient, &mut bytes)?;
        // If the value's own code panics, this gives the job back.
        let receipt = Receipt::new(self.core.clone(), lease);
        match codec::decode_all(&bytes) {
            Ok(value) => Ok(Job::new(value, receipt)),
            Err(error) => {
                receipt.end(Fate::Rejected)?;
                Err(GetRefused::Fault(fault("decode", self.segment(), error)))
            }
        }
    }

    /// What there is to do, one after the other, waiting for more, until the queue is closed and everything done. An item
    /// that cannot be decoded is an error, and the next may be fine.
    pub fn iter(&self) -> impl Iterator<Item = Result<Job<T>>> {
        iter::from_fn(|| next(self.get()))
    }

    /// The items that will not be handed out again: they could not be decoded, or came back too often. They stay in the
    /// list.
    ///
    /// # Errors
    /// The queue's memory is damaged; no memory left.
    pub fn rejected(&self) -> Result<Vec<Rejected<T>>> {
        self.read_rejected(false)
    }

    /// As [`rejected`](JoinableQueue::rejected), and removes them from the list. Killed meanwhile, this process takes
    /// some of them with it.
    ///
    /// # Errors
    /// As [`rejected`](JoinableQueue::rejected).
    pub fn take_rejected(&self) -> Result<Vec<Rejected<T>>> {
        self.read_rejected(true)
    }

    fn read_rejected(&self, remove: bool) -> Result<Vec<Rejected<T>>> {
        let one = |(bytes, deliveries): (Vec<u8>, u32)| {
            let value = codec::decode_all(&bytes).map_err(|error| fault("decode", self.segment(), error));
            Rejected { value, bytes, deliveries }
        };
        Ok(self.core.rejected(remove)?.into_iter().map(one).collect())
    }
}

/// An item that will not be handed out again: see [`JoinableQueue::rejected`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Rejected<T> {
    /// The value, or why its bytes are none.
    pub value: Result<T>,
    /// What was put, encoded.
    pub bytes: Vec<u8>,
    /// How often it was handed out.
    pub deliveries: u32,
}

/// The state of a queue: see [`JoinableQueue::stats`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JoinableStats {
    /// Items that nobody has got.
    pub items: usize,
    /// Jobs that somebody has.
    pub jobs: usize,
    /// Items that were rejected, and not taken off the list.
    pub rejected: usize,
    /// Bytes of memory that it has for items.
    pub memory: u64,
    /// Who has jobs, and how many; one who has died, until somebody notices.
    pub workers: Vec<(Participant, u32)>,
    /// The processes that wait for room, one entry for each waiting thread; the first 14.
    pub waiting_to_put: Vec<Participant>,
    /// The processes that wait for a job, one entry for each waiting thread; the first 14.
    pub waiting_to_get: Vec<Participant>,
    /// The processes that wait for everything to be done, one entry for each waiting thread; the first 14.
    pub waiting_to_join: Vec<Participant>,
}

impl<T> Clone for JoinableQueue<T> {
    fn clone(&self) -> JoinableQueue<T> {
        JoinableQueue::from_core(self.core.clone())
    }
}

impl<T> fmt::Debug for JoinableQueue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinableQueue")
            .field("len", &self.len())
            .field("unfinished", &self.unfinished())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}

impl<T> Serialize for JoinableQueue<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.core.segment().serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for JoinableQueue<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<JoinableQueue<T>, D::Error> {
        let segment = Segment::deserialize(deserializer)?;
        let core = Core::receive(type_name::<T>(), &segment);
        core.map(JoinableQueue::from_core).map_err(serde::de::Error::custom)
    }
}
