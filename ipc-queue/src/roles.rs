//! Handles that can do one thing only, by which the other side knows when it is over.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ipc_core::{Hold, Result, Segment};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::core::{Core, Gone, Patient};
use crate::layout::NO_CONSUMERS;
use crate::queue::Queue;
use crate::verbs::{self, get_bytes_verbs, get_verbs, put_bytes_verbs, put_verbs};

/// The numbers of the segment that the handles hold. The kernel keeps account of them, also of handles that are on the
/// way to another process.
pub(crate) const PRODUCERS: u16 = 0;
pub(crate) const CONSUMERS: u16 = 1;

/// A producer that puts without waiting looks so often whether there are consumers left, in milliseconds.
const LOOK: u32 = 20;

/// A handle of a [`Queue`] that can only put.
///
/// When the last `Producer` of all processes is gone, dropped, exited or killed, every [`Consumer`] comes to the end.
/// Putting is refused when the last `Consumer` is gone: at once, or within 100 ms if it was killed.
///
/// One that this process keeps counts, too: move it into the arguments of the child, or drop it. And if a child with the
/// only one is done before the next is made, consumers have come to the end: make all of them before the first child
/// starts, or keep one until the last has started.
///
/// ```
/// let queue = ipc_queue::Queue::unbounded()?;
/// let (producer, consumer) = (queue.producer()?, queue.consumer()?);
/// producer.put_all(1..=3)?;
/// drop(producer);
/// let items: Result<Vec<i32>, _> = consumer.into_iter().collect();
/// assert_eq!(items?, [1, 2, 3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Producer<T: ?Sized> {
    pub(crate) core: Core,
    hold: Option<Hold>,
    /// When this handle last looked after the consumers.
    looked: AtomicU32,
    marker: PhantomData<fn(&T)>,
}

/// A handle of a [`Queue`] that can only get, and comes to an end when there is nobody left to put.
///
/// It ends when nothing is left in the queue and the last [`Producer`] of all processes is gone, dropped, exited or
/// killed; not before there has been one. If another is made later, there is more to get. See there for an example.
pub struct Consumer<T: ?Sized> {
    pub(crate) core: Core,
    hold: Option<Hold>,
    marker: PhantomData<fn(&T)>,
}

/// Whether there have been producers, and none is left.
pub(crate) fn no_producers(core: &Core) -> bool {
    core.queue().had_producers.load(Ordering::Relaxed) != 0
        && core.segment().is_held(PRODUCERS).is_ok_and(|held| !held)
}

/// Whether there have been consumers, and none is left. Writes it down.
pub(crate) fn no_consumers(core: &Core) -> bool {
    let queue = core.queue();
    if queue.had_consumers.load(Ordering::Relaxed) == 0 {
        return false;
    }
    let none = || core.segment().is_held(CONSUMERS).is_ok_and(|held| !held);
    let mut gone = false;
    // Within the lock, so that it does not overtake a new consumer.
    none()
        && core.change_closed(Patient::Not, |closed| {
            gone = none();
            if gone { closed | NO_CONSUMERS } else { closed }
        })
        && gone
}

impl<T: ?Sized> Producer<T> {
    pub(crate) fn new(core: &Core) -> Result<Producer<T>> {
        let hold = core.segment().hold(PRODUCERS)?;
        core.queue().had_producers.store(1, Ordering::Relaxed);
        Ok(Producer::from_parts(core.clone(), hold))
    }

    fn from_parts(core: Core, hold: Hold) -> Producer<T> {
        Producer { core, hold: Some(hold), looked: AtomicU32::new(0), marker: PhantomData }
    }

    /// The queue itself, which can do everything.
    pub fn queue(&self) -> Queue<T> {
        Queue::from_core(self.core.clone())
    }

    /// How to tell that nobody is left to get anything. One that did not look for a while looks now.
    fn gone(&self) -> Gone {
        let now = ipc_core::monotonic_coarse().as_millis() as u32;
        if now.wrapping_sub(self.looked.load(Ordering::Relaxed)) >= LOOK {
            self.looked.store(now, Ordering::Relaxed);
            no_consumers(&self.core);
        }
        Some(no_consumers)
    }
}

impl<T: Serialize + DeserializeOwned> Producer<T> {
    put_verbs!(Producer::gone);
}

impl Producer<[u8]> {
    put_bytes_verbs!(Producer::gone);
}

impl Consumer<[u8]> {
    get_bytes_verbs!(|_| Some(no_producers));
}

impl<T: ?Sized> Consumer<T> {
    pub(crate) fn new(core: &Core) -> Result<Consumer<T>> {
        let hold = core.segment().hold(CONSUMERS)?;
        core.queue().had_consumers.store(1, Ordering::Relaxed);
        core.change_closed(Patient::Until(None), |closed| closed & !NO_CONSUMERS);
        Ok(Consumer::from_parts(core.clone(), hold))
    }

    fn from_parts(core: Core, hold: Hold) -> Consumer<T> {
        Consumer { core, hold: Some(hold), marker: PhantomData }
    }

    /// The queue itself, which can do everything.
    pub fn queue(&self) -> Queue<T> {
        Queue::from_core(self.core.clone())
    }
}

impl<T: Serialize + DeserializeOwned> Consumer<T> {
    get_verbs!(|_| Some(no_producers));

    /// What there is to get, one after the other, waiting for more, until the end. An item that cannot be decoded is an
    /// error, and the next may be fine.
    pub fn iter(&self) -> Iter<'_, T> {
        Iter(self)
    }
}

/// The items of a [`Consumer`] that is lent, until the end.
#[derive(Debug)]
pub struct Iter<'a, T>(&'a Consumer<T>);

impl<T: Serialize + DeserializeOwned> Iterator for Iter<'_, T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        verbs::next(self.0.get())
    }
}

impl<'a, T: Serialize + DeserializeOwned> IntoIterator for &'a Consumer<T> {
    type Item = Result<T>;
    type IntoIter = Iter<'a, T>;

    fn into_iter(self) -> Iter<'a, T> {
        self.iter()
    }
}

/// The items of a [`Consumer`], until the end.
#[derive(Debug)]
pub struct IntoIter<T>(Consumer<T>);

impl<T: Serialize + DeserializeOwned> Iterator for IntoIter<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Result<T>> {
        verbs::next(self.0.get())
    }
}

impl<T: Serialize + DeserializeOwned> IntoIterator for Consumer<T> {
    type Item = Result<T>;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        IntoIter(self)
    }
}

impl<T: ?Sized> Drop for Producer<T> {
    fn drop(&mut self) {
        self.hold = None;
        // If that was the last one, all who wait have to see it.
        self.core.queue().tail.wake_all();
    }
}

impl<T: ?Sized> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.hold = None;
        no_consumers(&self.core);
    }
}

macro_rules! role {
    ($name:ident) => {
        impl<T: ?Sized> Clone for $name<T> {
            fn clone(&self) -> $name<T> {
                let hold = self.hold.clone().expect("held until it is dropped");
                $name::from_parts(self.core.clone(), hold)
            }
        }

        impl<T: ?Sized> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.queue()).finish()
            }
        }

        impl<T: ?Sized> Serialize for $name<T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                (self.core.segment(), &self.hold).serialize(serializer)
            }
        }

        impl<'de, T: ?Sized> Deserialize<'de> for $name<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name<T>, D::Error> {
                let (segment, hold) = <(Segment, Option<Hold>)>::deserialize(deserializer)?;
                let core = Core::receive(type_name::<T>(), &segment).map_err(serde::de::Error::custom)?;
                let hold = hold.filter(|hold| segment.is_of(hold));
                let hold =
                    hold.ok_or_else(|| serde::de::Error::custom("a queue's handle without its hold"))?;
                Ok($name::from_parts(core, hold))
            }
        }
    };
}
role!(Producer);
role!(Consumer);
