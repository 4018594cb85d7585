//! Results of a lazy map, as they come.

use std::collections::VecDeque;
use std::fmt;
use std::iter::FusedIterator;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipc_process::Function;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::callbacks::Progress;
use crate::desk::Desk;
use crate::each::{begin, give};
use crate::error::{Refused, TaskError};
use crate::outcomes::Outcomes;
use crate::result::decode;
use crate::task::{CallInfo, Sink, Terms};
use crate::wait::wait_until;

/// About as long as a chunk should take.
const CHUNK: Duration = Duration::from_millis(1);
/// The most items that a chunk gets by itself.
const MOST: usize = 1024;

/// Results that nobody has fetched yet.
struct Stream<R> {
    inner: Mutex<Inner<R>>,
    changed: Condvar,
    cancelled: AtomicBool,
    progress: Option<Arc<Progress>>,
}

struct Inner<R> {
    results: VecDeque<Option<Result<R, TaskError>>>,
    /// The index of the first one; `None` if they stand as they came.
    first: Option<usize>,
    is_waiting: bool,
}

impl<R> Stream<R> {
    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Inner<R> {
    fn is_ready(&self) -> bool {
        self.results.front().is_some_and(Option::is_some)
    }

    fn put(&mut self, index: usize, result: Result<R, TaskError>) {
        let Some(first) = self.first else { return self.results.push_back(Some(result)) };
        // Each index comes once, and none before it was given out.
        let Some(at) = index.checked_sub(first) else { return };
        if self.results.len() <= at {
            self.results.resize_with(at + 1, || None);
        }
        self.results[at] = Some(result);
    }

    fn next(&mut self) -> Option<Result<R, TaskError>> {
        let next = self.results.pop_front_if(|result| result.is_some())??;
        self.first = self.first.map(|first| first + 1);
        Some(next)
    }
}

impl<R: DeserializeOwned + Send + 'static> Sink for Stream<R> {
    fn deliver(self: Arc<Self>, desk: &Arc<Desk>, index: usize, results: Outcomes<'_>) {
        let results: Vec<_> = results.map(decode).collect();
        let count = results.len() as u64;
        let mut inner = self.lock();
        for (index, result) in (index..).zip(results) {
            inner.put(index, result);
        }
        let wake = inner.is_waiting && inner.is_ready();
        drop(inner);
        if wake {
            self.changed.notify_one();
        }
        if let Some(progress) = &self.progress {
            progress.tell(&desk.callbacks, count);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}

/// The results of [`imap`](crate::Pool::imap) or [`imap_unordered`](crate::Pool::imap_unordered): an iterator that pulls
/// its input as it goes, in the thread that iterates.
///
/// An item that failed is an error in its place, and those after it come all the same. Dropped, what was not begun never
/// runs.
#[must_use = "an iterator is lazy"]
pub struct Imap<F: Function<I::Item>, I: Iterator> {
    desk: Arc<Desk>,
    call: Arc<CallInfo>,
    stream: Arc<Stream<F::Output>>,
    /// `None` at its end.
    items: Option<I>,
    /// Items that were pulled, and results that were fetched.
    given: usize,
    fetched: usize,
    /// In chunks.
    window: usize,
    chunk_size: Option<usize>,
    /// By itself: adapted now and then, when so many have been fetched.
    adapted: usize,
    adapted_at: Instant,
    adapted_after: usize,
    function: PhantomData<F>,
}

impl<F, I> Imap<F, I>
where
    F: Function<I::Item, Output: Serialize + DeserializeOwned + Send + 'static>,
    I: Iterator<Item: Serialize + DeserializeOwned + 'static>,
{
    pub(crate) fn new(
        desk: &Arc<Desk>,
        items: I,
        terms: Terms,
        is_ordered: bool,
        progress: Option<Arc<Progress>>,
    ) -> Result<Imap<F, I>, Refused<I>> {
        let inner = Inner { results: VecDeque::new(), first: is_ordered.then_some(0), is_waiting: false };
        let stream = Arc::new(Stream {
            inner: Mutex::new(inner),
            changed: Condvar::new(),
            cancelled: AtomicBool::new(false),
            progress,
        });
        let sink: Arc<dyn Sink> = Arc::<Stream<F::Output>>::clone(&stream);
        match begin::<F, I::Item>(desk, terms, &sink) {
            Ok(call) => Ok(Imap {
                desk: Arc::clone(desk),
                call,
                stream,
                items: Some(items),
                given: 0,
                fetched: 0,
                window: 1,
                chunk_size: None,
                adapted: 1,
                adapted_at: Instant::now(),
                adapted_after: 0,
                function: PhantomData,
            }),
            Err(refusal) => Err(Refused { args: items, refusal }),
        }
    }

    pub(crate) fn with_sizes(mut self, window: usize, chunk_size: Option<usize>) -> Self {
        (self.window, self.chunk_size) = (window, chunk_size);
        self
    }

    /// Pulls as much of the input as there is room for.
    fn fill(&mut self) {
        self.adapt();
        let size = self.chunk_size.unwrap_or(self.adapted);
        let limit = self.window.saturating_mul(size);
        while let Some(items) = &mut self.items
            && (self.given - self.fetched).saturating_add(size) <= limit
        {
            let chunk: Vec<_> = items.take(size).collect();
            let is_last = chunk.len() < size;
            if !chunk.is_empty() && !give(&self.desk, &self.call, self.given, &chunk) || is_last {
                self.items = None;
            }
            self.given += chunk.len();
        }
    }

    /// Finds the size of a chunk by how fast results come, with all workers at it.
    fn adapt(&mut self) {
        let fetched = self.fetched - self.adapted_after;
        let elapsed = self.adapted_at.elapsed();
        if fetched < self.adapted.saturating_mul(self.window) && elapsed < CHUNK * 20 || fetched == 0 {
            return;
        }
        let an_item = elapsed * self.desk.settings.workers as u32 / fetched.min(1 << 20) as u32;
        let fitting = CHUNK.as_nanos() / an_item.as_nanos().max(1);
        // Step by step: one measurement may mislead.
        self.adapted = (fitting as usize).clamp(1, MOST.min(self.adapted * 4));
        (self.adapted_at, self.adapted_after) = (Instant::now(), self.fetched);
    }

    /// Waits at most that long until [`next`](Iterator::next) returns at once; whether it does. If the input blocks, this
    /// does, too.
    #[doc(alias = "next")]
    pub fn wait_timeout(&mut self, timeout: Duration) -> bool {
        self.fill();
        self.is_over() || self.wait_until(ipc_core::deadline(timeout)).1
    }

    fn is_over(&self) -> bool {
        self.given == self.fetched
    }

    fn wait_until(&self, deadline: Option<Instant>) -> (MutexGuard<'_, Inner<F::Output>>, bool) {
        let mut inner = self.stream.lock();
        inner.is_waiting = true;
        let (mut inner, is_ready) = wait_until(&self.stream.changed, inner, deadline, Inner::is_ready);
        inner.is_waiting = false;
        (inner, is_ready)
    }
}

impl<F, I> Iterator for Imap<F, I>
where
    F: Function<I::Item, Output: Serialize + DeserializeOwned + Send + 'static>,
    I: Iterator<Item: Serialize + DeserializeOwned + 'static>,
{
    type Item = Result<F::Output, TaskError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.fill();
        if self.is_over() {
            return None;
        }
        if self.desk.is_delivering_here() && !self.stream.lock().is_ready() {
            // Its end, so that nobody asks for ever.
            (self.items, self.fetched) = (None, self.given);
            return Some(Err(TaskError::WaitsForItself));
        }
        let next = self.wait_until(None).0.next();
        self.fetched += 1;
        next
    }
}

impl<F, I> FusedIterator for Imap<F, I>
where
    F: Function<I::Item, Output: Serialize + DeserializeOwned + Send + 'static>,
    I: Iterator<Item: Serialize + DeserializeOwned + 'static>,
{
}

impl<F: Function<I::Item>, I: Iterator> Drop for Imap<F, I> {
    fn drop(&mut self) {
        self.stream.cancelled.store(true, Ordering::Relaxed);
        let sink = &self.call.sink;
        self.desk.with(|state| {
            state.cancel(sink, false);
            state.hand_out();
        });
    }
}

impl<F: Function<I::Item>, I: Iterator> fmt::Debug for Imap<F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Imap")
            .field("given", &self.given)
            .field("fetched", &self.fetched)
            .finish_non_exhaustive()
    }
}
