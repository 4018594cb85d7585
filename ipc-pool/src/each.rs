//! Many tasks: the same function for each item.

use std::any::type_name;
use std::fmt;
use std::iter::Map;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use ipc_process::Function;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::batch::Batch;
use crate::call::info;
use crate::callbacks::Progress;
use crate::clerk::OnDuty;
use crate::desk::Desk;
use crate::error::{Refusal, Refused, TaskError};
use crate::outcomes::Outcomes;
use crate::pack::{Packed, pack};
use crate::result::{AsyncResult, Callback, Slot};
use crate::stream::Imap;
use crate::task::{CallInfo, Sink, Terms};

/// A map has about so many chunks for each worker, so that one which takes long does not keep all others waiting. Python has
/// half as many: then a map of small items takes a sixth longer, as workers wait for the first, and the caller for the last.
const CHUNKS: usize = 8;

/// The arguments of a function of one parameter.
pub(crate) type Singles<I> =
    Map<<I as IntoIterator>::IntoIter, fn(<I as IntoIterator>::Item) -> (<I as IntoIterator>::Item,)>;

/// Many tasks to be: see [`Pool::each`](crate::Pool::each).
#[must_use = "an Each runs nothing by itself"]
pub struct Each<'p, F: Function<I::Item>, I: Iterator> {
    desk: &'p Arc<Desk>,
    items: I,
    terms: Terms,
    chunk_size: Option<usize>,
    window: usize,
    progress: Option<Arc<Progress>>,
    callback: Callback<Vec<F::Output>>,
    function: PhantomData<F>,
}

impl<'p, F, I> Each<'p, F, I>
where
    F: Function<I::Item, Output: Serialize + DeserializeOwned + Send + 'static>,
    I: Iterator<Item: Serialize + DeserializeOwned + 'static>,
{
    pub(crate) fn new(desk: &'p Arc<Desk>, items: I) -> Each<'p, F, I> {
        Each {
            desk,
            items,
            terms: desk.terms(),
            chunk_size: None,
            window: desk.settings.window,
            progress: None,
            callback: Callback::NONE,
            function: PhantomData,
        }
    }

    /// How long each item may run: see [`Builder::timeout`](crate::Builder::timeout).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.terms.timeout = Some(timeout);
        self
    }

    /// How often each item is begun anew if its worker dies: see [`Builder::retries`](crate::Builder::retries).
    pub fn retries(mut self, retries: u32) -> Self {
        self.terms.retries = retries;
        self
    }

    /// How many items are given to a worker at once; 0 is taken for 1. Without it a map is split into eight chunks a
    /// worker, and a lazy one into chunks of about a millisecond.
    #[doc(alias = "chunksize")]
    pub fn chunk_size(mut self, items: usize) -> Self {
        self.chunk_size = Some(items.max(1));
        self
    }

    /// How many chunks are under way: see [`Builder::window`](crate::Builder::window).
    #[doc(alias = "buffersize")]
    pub fn window(mut self, chunks: usize) -> Self {
        self.window = chunks.max(1);
        self
    }

    /// Called with the number of items that were done since the last call, in the thread that runs all callbacks of the
    /// pool: see [`Call::callback`](crate::Call::callback). It may use the pool. A map has its results when all items were
    /// told, unless a callback has begun it; a lazy one has them before. A panic in it is printed, and that is all.
    pub fn on_progress(mut self, progress: impl Fn(u64) + Send + Sync + 'static) -> Self {
        self.progress = Some(Progress::new(progress));
        // A callback that waited for that would wait for itself.
        self.callback.follows_progress = !self.desk.callbacks.is_here();
        self
    }

    /// Moves this bar on as items are done.
    #[cfg(feature = "progress")]
    pub fn progress(self, bar: &indicatif::ProgressBar) -> Self {
        let bar = bar.clone();
        self.on_progress(move |items| bar.inc(items))
    }

    /// Called with all results of a map: see [`Call::callback`](crate::Call::callback).
    pub fn callback(mut self, callback: impl FnOnce(&Vec<F::Output>) + Send + 'static) -> Self {
        self.callback.result = Some(Box::new(callback));
        self
    }

    /// Called with the error of a map: see [`Call::callback`](crate::Call::callback).
    pub fn error_callback(mut self, callback: impl FnOnce(&TaskError) + Send + 'static) -> Self {
        self.callback.error = Some(Box::new(callback));
        self
    }

    /// Runs the function for each item, and waits for all results.
    ///
    /// # Errors
    /// As [`Pool::map`](crate::Pool::map).
    pub fn map(self) -> Result<Vec<F::Output>, TaskError> {
        let desk = self.desk;
        let result = self.map_async().map_err(|refused| TaskError::from(refused.refusal))?;
        // Not before: the items may come out of the same pool.
        if let Some(on_duty) = OnDuty::begin(desk) {
            on_duty.take_until_delivered(&result);
        }
        result.get()
    }

    /// Has the function run for each item.
    ///
    /// # Errors
    /// As [`Pool::map_async`](crate::Pool::map_async).
    pub fn map_async(self) -> Result<AsyncResult<Vec<F::Output>>, Refused<I>> {
        let Each { desk, items, terms, chunk_size, progress, callback, .. } = self;
        let slot = Slot::new(callback);
        let batch = Arc::new(Batch::new(Arc::clone(&slot), progress));
        let sink: Arc<dyn Sink> = Arc::<Batch<F::Output>>::clone(&batch);
        let call = match begin::<F, I::Item>(desk, terms, &sink) {
            Ok(call) => call,
            Err(refusal) => return Err(Refused { args: items, refusal }),
        };
        let size =
            |items: usize| chunk_size.unwrap_or_else(|| items.div_ceil(CHUNKS * desk.settings.workers));
        let total = match items.size_hint() {
            (least, Some(most)) if least == most => give_all(desk, &call, items, size(least).max(1)),
            _ => {
                // To be split into chunks they have to be counted first.
                let items: Vec<_> = items.collect();
                let size = size(items.len()).max(1);
                give_all(desk, &call, items.into_iter(), size)
            }
        };
        batch.seal(desk, total);
        Ok(AsyncResult::new(slot, call, false, desk))
    }

    /// The results in the order of the items.
    ///
    /// # Errors
    /// As [`Pool::imap`](crate::Pool::imap).
    pub fn imap(self) -> Result<Imap<F, I>, Refused<I>> {
        self.stream(true)
    }

    /// The results in the order in which they come.
    ///
    /// # Errors
    /// As [`Pool::imap`](crate::Pool::imap).
    pub fn imap_unordered(self) -> Result<Imap<F, I>, Refused<I>> {
        self.stream(false)
    }

    fn stream(self, is_ordered: bool) -> Result<Imap<F, I>, Refused<I>> {
        let window = self.window.saturating_mul(self.desk.settings.workers);
        let stream = Imap::new(self.desk, self.items, self.terms, is_ordered, self.progress);
        stream.map(|stream| stream.with_sizes(window, self.chunk_size))
    }
}

/// Before the first item of a call: what all have in common, if it can be at all.
pub(crate) fn begin<F, Args>(
    desk: &Desk,
    terms: Terms,
    sink: &Arc<dyn Sink>,
) -> Result<Arc<CallInfo>, Refusal>
where
    F: Function<Args, Output: Serialize>,
    Args: DeserializeOwned,
{
    desk.lock().check_open()?;
    info::<F, Args>(terms, Arc::clone(sink))
}

fn give_all<Args: Serialize>(
    desk: &Arc<Desk>,
    call: &Arc<CallInfo>,
    mut items: impl Iterator<Item = Args>,
    size: usize,
) -> usize {
    let mut total = 0;
    loop {
        let chunk: Vec<_> = items.by_ref().take(size).collect();
        if chunk.is_empty() {
            return total;
        }
        give(desk, call, total, &chunk);
        total += chunk.len();
    }
}

/// Gives items to the pool. Each comes back, if need be as an error; false if the pool takes no more.
pub(crate) fn give<Args: Serialize>(
    desk: &Arc<Desk>,
    call: &Arc<CallInfo>,
    index: usize,
    items: &[Args],
) -> bool {
    let mut is_open = true;
    for packed in pack(desk, call, index, items) {
        match packed {
            Packed::Task(task) => {
                let (index, items) = (task.index, task.items);
                if let Err(refusal) = desk.submit(task) {
                    is_open = false;
                    let errors = Outcomes::failed(items, TaskError::from(refusal));
                    Arc::clone(&call.sink).deliver(desk, index, errors);
                }
            }
            Packed::Failed(index, why) => {
                let error = Outcomes::failed(1, TaskError::Arguments(why));
                Arc::clone(&call.sink).deliver(desk, index, error);
            }
        }
    }
    is_open
}

impl<F: Function<I::Item>, I: Iterator> fmt::Debug for Each<'_, F, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Each").field("function", &type_name::<F>()).finish_non_exhaustive()
    }
}
