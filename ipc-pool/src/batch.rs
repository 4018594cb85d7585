//! The results of a map, put together.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ipc_core::codec;
use serde::de::DeserializeOwned;

use crate::callbacks::Progress;
use crate::desk::Desk;
use crate::entry::caught;
use crate::error::TaskError;
use crate::outcomes::Outcomes;
use crate::result::Slot;
use crate::task::Sink;

pub(crate) struct Batch<R> {
    pub(crate) slot: Arc<Slot<Vec<R>>>,
    progress: Option<Arc<Progress>>,
    inner: Mutex<Inner<R>>,
}

struct Inner<R> {
    /// As they came: each with the index of its first item.
    parts: Vec<(usize, Vec<R>)>,
    /// Of the first item that has one.
    error: Option<(usize, TaskError)>,
    done: usize,
    /// How many items there are, once that is known.
    total: Option<usize>,
}

impl<R: Send + 'static> Batch<R> {
    pub(crate) fn new(slot: Arc<Slot<Vec<R>>>, progress: Option<Arc<Progress>>) -> Batch<R> {
        let inner = Inner { parts: Vec::new(), error: None, done: 0, total: None };
        Batch { slot, progress, inner: Mutex::new(inner) }
    }

    /// There are so many items, and all were given to the pool.
    pub(crate) fn seal(&self, desk: &Desk, total: usize) {
        let mut inner = self.lock();
        inner.total = Some(total);
        self.complete(desk, inner);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<R>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn complete(&self, desk: &Desk, mut inner: MutexGuard<'_, Inner<R>>) {
        if inner.total != Some(inner.done) {
            return;
        }
        let (mut parts, error, done) = (mem::take(&mut inner.parts), inner.error.take(), inner.done);
        drop(inner);
        let result = match error {
            Some((index, error)) => {
                // One by one: the program would abort if two of a list panicked when they are dropped.
                parts.into_iter().flat_map(|(_, part)| part).for_each(drop_caught);
                Err(error.of_item(index))
            }
            None => {
                parts.sort_unstable_by_key(|(index, _)| *index);
                let mut results = Vec::with_capacity(done);
                parts.drain(..).for_each(|(_, mut part)| results.append(&mut part));
                Ok(results)
            }
        };
        Arc::clone(&self.slot).complete(desk, result);
    }
}

impl<R: DeserializeOwned + Send + 'static> Sink for Batch<R> {
    fn deliver(self: Arc<Self>, desk: &Arc<Desk>, index: usize, results: Outcomes<'_>) {
        let count = results.len();
        let mut part = Vec::with_capacity(count);
        // If one has failed there will be no results.
        let failed =
            decode_each(results, |value| part.push(value)).err().map(|error| (index + part.len(), error));
        // Before they count: the map is not complete until all were told.
        if let Some(progress) = &self.progress {
            progress.tell(&desk.callbacks, count as u64);
        }
        let mut inner = self.lock();
        if let Some((at, error)) = failed
            && inner.error.as_ref().is_none_or(|(first, _)| at < *first)
        {
            inner.error = Some((at, error));
        }
        inner.parts.push((index, part));
        inner.done += count;
        self.complete(desk, inner);
    }

    fn is_cancelled(&self) -> bool {
        self.slot.is_cancelled()
    }
}

/// A panic of that is of nobody's interest.
fn drop_caught<R>(value: R) {
    let _ = caught(
        || {
            drop(value);
            Ok::<_, String>(())
        },
        "dropped",
    );
}

/// Up to the first that has an error. The program's own code decodes; its panics are caught at once for all, since a result
/// may be a single byte.
fn decode_each<R: DeserializeOwned>(results: Outcomes<'_>, mut take: impl FnMut(R)) -> Result<(), TaskError> {
    let all = || {
        for result in results {
            take(codec::decode_all(result?).map_err(|error| TaskError::Result(error.into()))?);
        }
        Ok(())
    };
    caught(|| Ok::<_, String>(all()), "decoded").map_err(TaskError::Result).flatten()
}
