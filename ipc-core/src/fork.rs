//! A forked process has a copy of every lock as it was, and only one thread to give it back. So whoever forks takes all
//! locks of the library that belong to the process before, and gives them back on both sides.

use std::any::Any;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::bell::{self, Ringer};
use crate::segment::{self, OpenTable};
use crate::watch::{self, OpenedTable};
use crate::{own, sys};

/// A mutex in a static, for the tables of a process: it is free in a forked child, whatever other threads had it at the
/// fork. Who has it neither forks nor takes another `ForkMutex`.
#[derive(Debug)]
pub struct ForkMutex<T> {
    mutex: Mutex<T>,
    is_known: AtomicBool,
}

/// Locks one of them, and keeps it locked as long as what is returned.
type Take = Arc<dyn Fn() -> Box<dyn Any> + Send + Sync>;

/// How to take each `ForkMutex` that was locked before.
static OTHERS: Mutex<Vec<Take>> = Mutex::new(Vec::new());

fn others() -> MutexGuard<'static, Vec<Take>> {
    OTHERS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T: Send + 'static> ForkMutex<T> {
    /// One with that in it.
    pub const fn new(value: T) -> ForkMutex<T> {
        ForkMutex { mutex: Mutex::new(value), is_known: AtomicBool::new(false) }
    }

    /// Waits for it. That its last owner panicked is passed over.
    pub fn lock(&'static self) -> MutexGuard<'static, T> {
        self.make_known();
        self.take()
    }

    /// The same, if nobody has it.
    pub fn try_lock(&'static self) -> Option<MutexGuard<'static, T>> {
        self.make_known();
        match self.mutex.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn take(&'static self) -> MutexGuard<'static, T> {
        self.mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn make_known(&'static self) {
        if !self.is_known.load(Ordering::Acquire) {
            prepare();
            let mut others = others();
            if !self.is_known.load(Ordering::Acquire) {
                others.push(Arc::new(|| Box::new(self.take())));
                self.is_known.store(true, Ordering::Release);
            }
        }
    }
}

/// In the order in which they are taken, here and elsewhere.
struct Locks {
    _taken: Vec<Box<dyn Any>>,
    _others: MutexGuard<'static, Vec<Take>>,
    _open: MutexGuard<'static, OpenTable>,
    _opened: MutexGuard<'static, OpenedTable>,
    _ringer: MutexGuard<'static, Option<Ringer>>,
    _free: MutexGuard<'static, Vec<&'static AtomicU32>>,
}

thread_local! {
    /// Those of the thread that forks.
    static TAKEN: Cell<Option<Locks>> = const { Cell::new(None) };
}

/// Called before one of the locks is taken for the first time.
#[inline]
pub(crate) fn prepare() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.load(Ordering::Relaxed) && !DONE.swap(true, Ordering::Relaxed) {
        sys::at_fork(take, give_back);
    }
}

/// Takes all that there are, also those that become known meanwhile.
fn take_others() -> (Vec<Box<dyn Any>>, MutexGuard<'static, Vec<Take>>) {
    let mut taken = Vec::new();
    loop {
        let others = others();
        let Some(next) = others.get(taken.len()).cloned() else { return (taken, others) };
        // Whoever has it may be waiting to make another known.
        drop(others);
        taken.push(next());
    }
}

extern "C" fn take() {
    let (taken, others) = take_others();
    let locks = Locks {
        _taken: taken,
        _others: others,
        _open: segment::open_table(),
        _opened: watch::opened_table(),
        _ringer: bell::lock(),
        _free: own::free(),
    };
    // A thread that is about to end has no place for them any more, and forks without.
    let _ = TAKEN.try_with(|taken| taken.set(Some(locks)));
}

extern "C" fn give_back() {
    let _ = TAKEN.try_with(Cell::take);
}
