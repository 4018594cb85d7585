//! Words of this process alone: the kernel sets them to 0 in a forked child, which so learns that it is another
//! process. To ask costs a load.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::error::{Cause, os};
use crate::{fork, sys};

/// Those that nobody uses, all 0.
static FREE: Mutex<Vec<&'static AtomicU32>> = Mutex::new(Vec::new());

pub(crate) fn free() -> MutexGuard<'static, Vec<&'static AtomicU32>> {
    fork::prepare();
    FREE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A word, 0 at first.
pub(crate) struct OwnWord(&'static AtomicU32);

impl OwnWord {
    pub(crate) fn new() -> Result<OwnWord, Cause> {
        let mut free = free();
        if free.is_empty() {
            free.extend(sys::page_wiped_on_fork().map_err(os)?);
        }
        Ok(OwnWord(free.pop().expect("a page has words")))
    }
}

impl Deref for OwnWord {
    type Target = AtomicU32;

    #[inline]
    fn deref(&self) -> &AtomicU32 {
        self.0
    }
}

impl Drop for OwnWord {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
        free().push(self.0);
    }
}
