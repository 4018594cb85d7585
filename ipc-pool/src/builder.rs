//! Making a pool.

use std::fmt;
use std::num::NonZero;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use ipc_core::codec;
use ipc_core::transfer::Parcel;
use ipc_process::Function;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::entry::{self, caught};
use crate::error::{PoolError, Refusal};
use crate::pool::Pool;
use crate::wire::{self, INITIALIZER, Order};

/// A pool to be.
///
/// ```
/// use std::time::Duration;
///
/// let pool = ipc_pool::Builder::new()
///     .workers(2)
///     .name("cook")
///     .initializer(|kitchen: String| println!("{kitchen} is open"), ("Luigi's".to_string(),))
///     .retries(1)
///     .timeout(Duration::from_secs(60))
///     .build()?;
/// assert_eq!(pool.apply(|| ipc_process::current().name().starts_with("cook-"), ())?, true);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a Builder starts nothing by itself"]
pub struct Builder {
    settings: Settings,
    /// Why there will be no pool.
    error: Option<PoolError>,
}

/// What a pool is asked to be.
pub(crate) struct Settings {
    pub(crate) workers: usize,
    pub(crate) name: String,
    pub(crate) initializer: Option<Initializer>,
    /// The number of the exit function.
    pub(crate) exit: Option<usize>,
    pub(crate) max_tasks: Option<u32>,
    /// In bytes.
    pub(crate) memory: Option<u64>,
    pub(crate) nested: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) retries: u32,
    /// Tasks of a lazy map that are under way, for each worker.
    pub(crate) window: usize,
}

/// What each worker does first.
pub(crate) struct Initializer {
    pub(crate) function: usize,
    /// With its arguments.
    pub(crate) parcel: Parcel,
}

impl Default for Settings {
    fn default() -> Settings {
        static POOLS: AtomicU32 = AtomicU32::new(0);
        let number = POOLS.fetch_add(1, Ordering::Relaxed) + 1;
        Settings {
            workers: thread::available_parallelism().map_or(1, NonZero::get),
            name: format!("Pool-{number}"),
            initializer: None,
            exit: None,
            max_tasks: None,
            memory: None,
            nested: false,
            timeout: None,
            retries: 0,
            window: 4,
        }
    }
}

impl Settings {
    /// The functions that every worker has to know.
    pub(crate) fn introduced(&self) -> Vec<usize> {
        self.initializer.iter().map(|initializer| initializer.function).chain(self.exit).collect()
    }
}

/// What an initializer may return: nothing, or a `Result`, whose error fails the pool.
pub trait Initialized {
    /// The error in words.
    fn into_result(self) -> Result<(), String>;
}

impl Initialized for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: fmt::Display> Initialized for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| error.to_string())
    }
}

impl Default for Builder {
    fn default() -> Builder {
        Builder::new()
    }
}

impl Builder {
    /// A pool with a worker for each CPU that this process may use.
    pub fn new() -> Builder {
        Builder { settings: Settings::default(), error: None }
    }

    /// How many workers there are.
    #[doc(alias = "processes")]
    pub fn workers(mut self, workers: usize) -> Builder {
        self.settings.workers = workers;
        self
    }

    /// What the workers are called, with a number behind it: `cook-1`, `cook-2`. Without it, `Pool-1-1`.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.settings.name = name.into();
        self
    }

    /// What each worker does before its first task, with copies of these arguments, handles included. If it panics, or
    /// returns an error, there is no pool, and [`build`](Builder::build) says so; if it does so in a worker that replaces
    /// another, the pool fails, and all tasks have that error.
    #[doc(alias = "initargs")]
    pub fn initializer<F, Args>(mut self, f: F, args: Args) -> Builder
    where
        F: Function<Args, Output: Initialized>,
        Args: Serialize + DeserializeOwned + 'static,
    {
        match prepare(move |args: Args| f.call(args).into_result(), &(args,)) {
            Ok(initializer) => self.settings.initializer = Some(initializer),
            Err(why) => self.error = Some(PoolError::InitializerFailed(why)),
        }
        self
    }

    /// What each worker does after its last task, when the pool is closed or the worker has done as many tasks as it may.
    /// Not when it is killed: by [`terminate`](Pool::terminate), or for a timeout.
    pub fn exit<F: Function<(), Output = ()>>(mut self, f: F) -> Builder {
        let _ = f;
        self.settings.exit = entry::offset::<F, ()>();
        if self.settings.exit.is_none() {
            self.error = Some(PoolError::Start(Refusal::NotInProgram.to_string()));
        }
        self
    }

    /// A worker ends after so many tasks, and a fresh one takes its place: against what leaks. A chunk of a map is one
    /// task. 0 is taken for 1.
    #[doc(alias = "maxtasksperchild")]
    pub fn max_tasks_per_child(mut self, tasks: u32) -> Builder {
        self.settings.max_tasks = Some(tasks.max(1));
        self
    }

    /// How many bytes of memory of its own each worker may have (`RLIMIT_DATA`). A task that needs more aborts its worker:
    /// it has [`TaskError::WorkerDied`](crate::TaskError::WorkerDied) with signal 6, and the machine is not brought down.
    /// What is shared, as a [`Blob`](ipc_core::Blob) or a queue, is not counted.
    pub fn memory_limit(mut self, bytes: u64) -> Builder {
        self.settings.memory = Some(bytes);
        self
    }

    /// Whether tasks may have pools, and start other daemons, of their own, which end with their worker.
    #[doc(alias = "daemon")]
    pub fn nested(mut self, nested: bool) -> Builder {
        self.settings.nested = nested;
        self
    }

    /// How long a task may run: then its worker is killed and replaced, and the task has
    /// [`TaskError::TimedOut`](crate::TaskError::TimedOut). In a map it is each item that may run so long.
    pub fn timeout(mut self, timeout: Duration) -> Builder {
        self.settings.timeout = Some(timeout);
        self
    }

    /// How often a task is begun anew if its worker dies while it runs. Not by default: it may have had effects already.
    /// In a map that holds for each item; of a chunk, those items are begun anew that had been begun and whose results
    /// have not come, which is the one that ran, and what the worker did in the milliseconds before.
    pub fn retries(mut self, retries: u32) -> Builder {
        self.settings.retries = retries;
        self
    }

    /// How many tasks of an [`imap`](Pool::imap) are under way for each worker, running, waiting, or done and not fetched:
    /// its input is pulled no further. 0 is taken for 1; 4 by default.
    #[doc(alias = "buffersize")]
    pub fn window(mut self, tasks: usize) -> Builder {
        self.settings.window = tasks.max(1);
        self
    }

    /// Starts the workers. With an initializer, waits until one of them is done with it.
    ///
    /// # Errors
    /// [`PoolError`] says why there is no pool, and nothing is left of it.
    pub fn build(self) -> Result<Pool, PoolError> {
        match self.error {
            Some(error) => Err(error),
            None => Pool::start(self.settings),
        }
    }
}

fn prepare<F, Args>(f: F, args: &Args) -> Result<Initializer, String>
where
    F: Function<Args, Output: Serialize>,
    Args: Serialize + DeserializeOwned,
{
    let _ = f;
    let function = entry::offset::<F, Args>().ok_or_else(|| Refusal::NotInProgram.to_string())?;
    let order = Order { number: INITIALIZER, function: function as u64, items: 1, flags: 0 };
    let parcel = Parcel::pack(|| {
        let mut bytes = order.to_bytes().to_vec();
        wire::push(&mut bytes, |bytes| caught(|| codec::encode(args, bytes), "encoded"))?;
        Ok::<_, String>(bytes)
    })?;
    Ok(Initializer { function, parcel })
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("workers", &self.settings.workers)
            .field("name", &self.settings.name)
            .field("error", &self.error)
            .finish_non_exhaustive()
    }
}
