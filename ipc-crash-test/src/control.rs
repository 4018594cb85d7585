//! What a child tells the tracer: a page of shared memory with its stage, its times and the message of its panic.

use std::fmt;
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64};
use std::sync::{Arc, Once, OnceLock};
use std::time::Duration;

use nix::sys::ptrace;
use nix::time::{ClockId, clock_gettime};
use nix::unistd::getpid;

use crate::shared::{ProcessShared, SharedBox};
use crate::sys;

const NEW: u32 = 0;
const STARTED: u32 = 1;
const DONE: u32 = 2;
const PANICKED: u32 = 3;

/// Bytes of a panic's message that are kept.
const MESSAGE: usize = 2048;

/// One child's report to the tracer, used by one child after the other.
#[derive(Clone)]
pub(crate) struct Control {
    page: Arc<SharedBox<Page>>,
}

struct Page {
    stage: AtomicU32,
    /// Bytes used in `message`.
    message_len: AtomicU32,
    /// Monotonic nanoseconds.
    started: AtomicU64,
    ended: AtomicU64,
    message: [AtomicU8; MESSAGE],
}

// SAFETY: the page consists of atomics.
#[allow(unsafe_code)]
unsafe impl ProcessShared for Page {}

impl Control {
    pub(crate) fn new() -> Self {
        let page = SharedBox::new(Page {
            stage: AtomicU32::new(NEW),
            message_len: AtomicU32::new(0),
            started: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            message: [const { AtomicU8::new(0) }; MESSAGE],
        });
        Self { page: Arc::new(page) }
    }

    /// Prepares for the next child.
    pub(crate) fn reset(&self) {
        self.page.stage.store(NEW, Relaxed);
        self.page.message_len.store(0, Relaxed);
    }

    pub(crate) fn start(&self) {
        self.page.started.store(nanos(), Relaxed);
        self.page.stage.store(STARTED, Release);
    }

    /// Marks the end with a single store, which a stepped process can afford.
    pub(crate) fn finish(&self) {
        self.page.stage.store(DONE, Release);
    }

    /// Marks the end and records its time.
    pub(crate) fn finish_timed(&self) {
        self.page.ended.store(nanos(), Relaxed);
        self.finish();
    }

    pub(crate) fn is_started(&self) -> bool {
        self.page.stage.load(Acquire) != NEW
    }

    /// Neither done nor panicked.
    pub(crate) fn is_running(&self) -> bool {
        self.page.stage.load(Acquire) <= STARTED
    }

    pub(crate) fn is_done(&self) -> bool {
        self.page.stage.load(Acquire) == DONE
    }

    pub(crate) fn is_panicked(&self) -> bool {
        self.page.stage.load(Acquire) == PANICKED
    }

    /// The time from `start` to `finish_timed`.
    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed_since(self.page.started.load(Relaxed))
    }

    /// The time from `since`, a value of [`nanos`], to `finish_timed`.
    pub(crate) fn elapsed_since(&self, since: u64) -> Duration {
        Duration::from_nanos(self.page.ended.load(Relaxed).saturating_sub(since))
    }

    /// The message of the child's panic, if it had one.
    pub(crate) fn panic_message(&self) -> Option<String> {
        let len = self.page.message_len.load(Acquire) as usize;
        let bytes: Vec<u8> = self.page.message.iter().take(len).map(|byte| byte.load(Relaxed)).collect();
        (len > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Changes the stage first, so that the tracer need not step through all that a panic does.
    fn record_panic(&self, info: &PanicHookInfo<'_>) {
        self.page.stage.store(PANICKED, Release);
        let text = info.payload_as_str().unwrap_or("a panic without a message");
        let place = info.location().map(|at| format!(" ({}:{})", at.file(), at.line())).unwrap_or_default();
        let bytes = text.bytes().take(MESSAGE.saturating_sub(place.len())).chain(place.bytes());
        let len = bytes.zip(&self.page.message).map(|(byte, to)| to.store(byte, Relaxed)).count();
        self.page.message_len.store(len as u32, Release);
    }

    /// Makes this process, a child, record its panics here instead of printing them.
    pub(crate) fn attach(&self) {
        let _ = CHILD.set(self.clone());
    }
}

/// Set in a forked child only.
static CHILD: OnceLock<Control> = OnceLock::new();

/// Makes panics in children go to their control page; those of this process go where they went before.
///
/// The hook is set once and before any fork: setting it in the child takes a lock that a thread of the parent,
/// panicking at that moment, holds.
pub(crate) fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| match CHILD.get() {
            Some(control) => control.record_panic(info),
            None => previous(info),
        }));
    });
}

/// The monotonic clock, which all processes share.
pub(crate) fn nanos() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("Linux has a monotonic clock");
    Duration::from(now).as_nanos() as u64
}

/// Given to a victim or a recoverer, to mark the operation at whose instructions it is killed.
#[derive(Debug)]
#[must_use = "a victim that never calls `run` is reported as an error"]
pub struct Step<'a> {
    control: &'a Control,
}

impl<'a> Step<'a> {
    pub(crate) fn new(control: &'a Control) -> Self {
        Self { control }
    }

    /// Runs `operation` one instruction at a time, until the tracer kills this process.
    ///
    /// What comes before it runs at full speed, and what comes after it is not reached. The operation must not panic:
    /// that is an error, even when the operation catches it.
    ///
    /// # Panics
    /// When the system does not permit ptrace.
    pub fn run<R>(self, operation: impl FnOnce() -> R) -> R {
        let pid = getpid();
        if let Err(error) = ptrace::traceme() {
            panic!("ptrace is not permitted here: {error}");
        }
        self.control.start();
        sys::stop_self(pid);
        let result = operation();
        self.control.finish();
        result
    }
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control").field("started", &self.is_started()).field("done", &self.is_done()).finish()
    }
}
