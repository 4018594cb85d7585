//! A forked process has a copy of every lock as it was, and only one thread to give it back. So whoever forks takes all
//! locks of this crate that belong to the process before, and gives them back on both sides.

use std::cell::Cell;
use std::sync::MutexGuard;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::bell::{self, Ringer};
use crate::segment::{self, OpenTable};
use crate::watch::{self, OpenedTable};
use crate::{own, sys};

/// In the order in which they are taken, here and elsewhere.
struct Locks {
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

extern "C" fn take() {
    let locks = Locks {
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
