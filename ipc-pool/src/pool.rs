//! The pool.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ipc_process::{Function, Process};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::builder::{Builder, Settings};
use crate::call::Call;
use crate::desk::Desk;
use crate::each::{Each, Singles};
use crate::error::{PoolError, Refused, StillOpen, TaskError};
use crate::insights::{Insights, WorkerInsights};
use crate::result::AsyncResult;
use crate::state::Phase;
use crate::stream::Imap;
use crate::{clerk, warden};

/// Worker processes that run functions.
///
/// A task is a function, or a closure that captures nothing, and its arguments: see [`Function`]. Arguments and results are
/// serde values, with handles anywhere among them.
///
/// **If a worker dies**, the task that it ran has an error that says how, or is begun anew if that was asked for
/// ([`Builder::retries`]); all other tasks are done, by others if need be, and another worker takes its place.
///
/// Dropped, it is [terminated](Pool::terminate).
///
/// ```
/// use ipc_pool::Pool;
///
/// let pool = Pool::new(2)?;
/// assert_eq!(pool.apply(|a: i32, b: i32| a + b, (2, 3))?, 5);
/// assert_eq!(pool.map(|x: u64| x * x, 0..5)?, [0, 1, 4, 9, 16]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pool {
    desk: Arc<Desk>,
    /// Until they are joined.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Pool {
    /// A pool of so many workers. [`Builder`] can more, and knows how many CPUs there are.
    ///
    /// # Errors
    /// 0 workers; none can be started: this process is a daemon, for one, or the system has no more processes,
    /// descriptors or memory.
    pub fn new(workers: usize) -> Result<Pool, PoolError> {
        Builder::new().workers(workers).build()
    }

    pub(crate) fn start(settings: Settings) -> Result<Pool, PoolError> {
        if settings.workers == 0 {
            return Err(PoolError::NoWorkers);
        }
        let waits = settings.initializer.is_some();
        let desk = Desk::new(settings)?;
        let pool = Pool { desk: Arc::clone(&desk), threads: Mutex::new(Vec::new()) };
        pool.start_all().inspect_err(|_| pool.give_up())?;
        if waits {
            desk.wait_until(None, |state| {
                state.has_ready_member() || matches!(state.phase, Phase::Failed(_))
            });
            let failed = match &desk.lock().phase {
                Phase::Failed(error) => Some(Arc::clone(error)),
                _ => None,
            };
            if let Some(error) = failed {
                drop(pool);
                drop(desk);
                // Nobody else has it any more.
                return Err(
                    Arc::try_unwrap(error).unwrap_or_else(|error| PoolError::Start(error.to_string()))
                );
            }
        }
        Ok(pool)
    }

    fn start_all(&self) -> Result<(), PoolError> {
        warden::seat_all(&self.desk)?;
        self.start_thread("ipc-pool-clerk", clerk::serve)?;
        self.start_thread("ipc-pool-warden", warden::look_after)
    }

    /// Not all that makes a pool could be started.
    fn give_up(&self) {
        let has_clerk = !self.threads.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        self.desk.with(|state| {
            state.terminate();
            state.forget_all();
            state.is_finished = !has_clerk;
        });
        // It sees that there is nobody left.
        self.desk.wake_clerk();
    }

    fn start_thread(&self, name: &str, run: fn(&Arc<Desk>)) -> Result<(), PoolError> {
        let desk = Arc::clone(&self.desk);
        let started = thread::Builder::new().name(name.to_owned()).spawn(move || run(&desk));
        let thread = started.map_err(|error| ipc_core::Error::new("start", "a thread of the pool", error))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Runs a task, and waits for its result.
    ///
    /// # Errors
    /// [`TaskError`] says why there is no result.
    pub fn apply<F, Args>(&self, f: F, args: Args) -> Result<F::Output, TaskError>
    where
        F: Function<Args, Output: Serialize + DeserializeOwned + Send + 'static>,
        Args: Serialize + DeserializeOwned + 'static,
    {
        self.call(f, args).apply()
    }

    /// Has a task run. Its result is to be had from what this returns.
    ///
    /// # Errors
    /// [`Refused`], with the arguments in it: the pool is closed or has failed, or the arguments cannot be encoded.
    #[doc(alias = "submit")]
    pub fn apply_async<F, Args>(&self, f: F, args: Args) -> Result<AsyncResult<F::Output>, Refused<Args>>
    where
        F: Function<Args, Output: Serialize + DeserializeOwned + Send + 'static>,
        Args: Serialize + DeserializeOwned + 'static,
    {
        self.call(f, args).apply_async()
    }

    /// A task with more to say about it: callbacks, how long it may run, how often it is begun anew.
    ///
    /// ```
    /// use std::sync::{Arc, Mutex};
    ///
    /// let pool = ipc_pool::Pool::new(2)?;
    /// let list = Arc::new(Mutex::new(Vec::new()));
    /// for x in 0..3_u64 {
    ///     let list = Arc::clone(&list);
    ///     let call = pool.call(|x: u64| x + 1, (x,)).callback(move |&y| list.lock().unwrap().push(y));
    ///     let _ = call.apply_async()?;
    /// }
    /// pool.close();
    /// pool.join()?;
    /// list.lock().unwrap().sort();
    /// assert_eq!(*list.lock().unwrap(), [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn call<F, Args>(&self, f: F, args: Args) -> Call<'_, F, Args>
    where
        F: Function<Args, Output: Serialize + DeserializeOwned + Send + 'static>,
        Args: Serialize + DeserializeOwned + 'static,
    {
        // Its type is all there is to it.
        let _ = f;
        Call::new(&self.desk, args)
    }

    /// Runs a function for each item, in chunks, and waits for all results, which stand in the order of the items.
    ///
    /// # Errors
    /// That of the first item that has one, with its index, when all others are done: [`TaskError::Item`].
    pub fn map<F, I>(&self, f: F, items: I) -> Result<Vec<F::Output>, TaskError>
    where
        F: Function<(I::Item,), Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        self.each(f, items).map()
    }

    /// Has a function run for each item: see [`map`](Pool::map).
    ///
    /// # Errors
    /// [`Refused`], with the items in it: the pool is closed or has failed.
    pub fn map_async<F, I>(&self, f: F, items: I) -> Result<AsyncResult<Vec<F::Output>>, Refused<Singles<I>>>
    where
        F: Function<(I::Item,), Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        self.each(f, items).map_async()
    }

    /// Runs a function for each item, and gives the results in the order of the items, as an iterator. The input is pulled
    /// as the results are fetched, so that it may have no end: see [`Builder::window`].
    ///
    /// ```
    /// let pool = ipc_pool::Pool::new(2)?;
    /// let squares = pool.imap(|x: u64| x * x, 1..)?;
    /// let first: Result<Vec<u64>, _> = squares.take(3).collect();
    /// assert_eq!(first?, [1, 4, 9]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Refused`], with the items in it: the pool is closed or has failed.
    pub fn imap<F, I>(&self, f: F, items: I) -> Result<Imap<F, Singles<I>>, Refused<Singles<I>>>
    where
        F: Function<(I::Item,), Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        self.each(f, items).imap()
    }

    /// As [`imap`](Pool::imap), but the results come as soon as they are there.
    ///
    /// # Errors
    /// As [`imap`](Pool::imap).
    #[doc(alias = "as_completed")]
    pub fn imap_unordered<F, I>(&self, f: F, items: I) -> Result<Imap<F, Singles<I>>, Refused<Singles<I>>>
    where
        F: Function<(I::Item,), Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        self.each(f, items).imap_unordered()
    }

    /// As [`map`](Pool::map), for a function of several parameters: each item is a tuple of them.
    ///
    /// ```
    /// let pool = ipc_pool::Pool::new(2)?;
    /// assert_eq!(pool.starmap(|a: u32, b: u32| a * b, [(1, 2), (3, 4)])?, [2, 12]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`map`](Pool::map).
    pub fn starmap<F, I>(&self, f: F, items: I) -> Result<Vec<F::Output>, TaskError>
    where
        F: Function<I::Item, Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        self.star_each(f, items).map()
    }

    /// As [`map_async`](Pool::map_async), for a function of several parameters: each item is a tuple of them.
    ///
    /// # Errors
    /// As [`map_async`](Pool::map_async).
    pub fn starmap_async<F, I>(
        &self,
        f: F,
        items: I,
    ) -> Result<AsyncResult<Vec<F::Output>>, Refused<I::IntoIter>>
    where
        F: Function<I::Item, Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        self.star_each(f, items).map_async()
    }

    /// Many tasks with more to say about them: the size of chunks, progress, how long each item may run, and what comes of
    /// the results: [`map`](Each::map), [`imap_unordered`](Each::imap_unordered), and so on.
    ///
    /// ```
    /// let pool = ipc_pool::Pool::new(2)?;
    /// let lengths = pool.each(|word: String| word.len(), ["a", "bun"].map(String::from)).chunk_size(1).map()?;
    /// assert_eq!(lengths, [1, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn each<F, I>(&self, f: F, items: I) -> Each<'_, F, Singles<I>>
    where
        F: Function<(I::Item,), Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        let _ = f;
        let single: fn(I::Item) -> (I::Item,) = |item| (item,);
        Each::new(&self.desk, items.into_iter().map(single))
    }

    /// As [`each`](Pool::each), for a function of several parameters: each item is a tuple of them.
    pub fn star_each<F, I>(&self, f: F, items: I) -> Each<'_, F, I::IntoIter>
    where
        F: Function<I::Item, Output: Serialize + DeserializeOwned + Send + 'static>,
        I: IntoIterator<Item: Serialize + DeserializeOwned + 'static>,
    {
        let _ = f;
        Each::new(&self.desk, items.into_iter())
    }

    /// Takes no more tasks. Those that were given are done, then the workers end.
    pub fn close(&self) {
        self.desk.with(|state| {
            if matches!(state.phase, Phase::Open) {
                state.phase = Phase::Closed;
                state.go_on();
                state.calls_warden = true;
            }
        });
    }

    /// Kills the workers. Tasks that are not done have [`TaskError::Terminated`].
    pub fn terminate(&self) {
        self.desk.with(|state| state.terminate());
    }

    /// Waits until all tasks are done, all callbacks were called, and no worker is left. A callback that joins its pool does
    /// not wait for callbacks, and what decodes or drops a result of the pool waits for nothing.
    ///
    /// # Errors
    /// The pool is open: that would be for ever.
    pub fn join(&self) -> Result<(), StillOpen> {
        self.join_until(None).map(drop)
    }

    /// As [`join`](Pool::join), at most that long; whether it has come to that.
    ///
    /// # Errors
    /// As [`join`](Pool::join).
    pub fn join_timeout(&self, timeout: Duration) -> Result<bool, StillOpen> {
        self.join_until(ipc_core::deadline(timeout))
    }

    fn join_until(&self, deadline: Option<Instant>) -> Result<bool, StillOpen> {
        if matches!(self.desk.lock().phase, Phase::Open) {
            return Err(StillOpen);
        }
        // Who delivers what is left comes to the end by itself.
        if self.desk.is_delivering_here() {
            return Ok(false);
        }
        if !self.desk.wait_until(deadline, |state| state.is_finished) {
            return Ok(false);
        }
        if !self.desk.callbacks.finish(deadline) {
            return Ok(false);
        }
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            let _ = thread.join();
        }
        Ok(true)
    }

    /// The workers that there are now. One that is killed is replaced.
    pub fn workers(&self) -> Vec<Process> {
        let state = self.desk.lock();
        let members = state.seats.iter().filter_map(|seat| seat.member.as_ref());
        members.filter_map(|member| member.process().cloned()).collect()
    }

    /// What the workers do, and did.
    pub fn insights(&self) -> Insights {
        let state = self.desk.lock();
        let members = state.seats.iter().filter_map(|seat| seat.member.as_ref());
        let workers = members.filter_map(|member| {
            let process = member.process()?;
            let busy = Duration::from_nanos(member.busy);
            let up = member.started.elapsed();
            Some(WorkerInsights {
                name: process.name().to_owned(),
                pid: process.pid(),
                tasks: member.tasks,
                given: member.given.len(),
                start_time: member.ready_after,
                busy,
                waiting: member.ready_after.map_or(Duration::ZERO, |start| up.saturating_sub(start + busy)),
            })
        });
        Insights {
            workers: workers.collect(),
            tasks: state.tasks,
            busy: Duration::from_nanos(state.busy),
            pending: state.pending(),
            restarts: state.restarts,
            slowest: state.slowest.clone(),
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.terminate();
        let _ = self.join();
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pids: Vec<_> = self.workers().iter().map(Process::pid).collect();
        f.debug_struct("Pool").field("workers", &pids).finish_non_exhaustive()
    }
}
