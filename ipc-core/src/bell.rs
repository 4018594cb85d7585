//! Waking those who wait for a process when it dies: one thread of this process sleeps until one of the processes that
//! somebody waits for has ended, and wakes the word that he sleeps on.
//!
//! The thread exists only while somebody waits for long. It is a convenience: who waits looks again all the same, only
//! less often, so that nothing depends on it.

use std::iter;
use std::mem;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::futex;
use crate::own::OwnWord;
use crate::participant::Opened;
use crate::place::Place;
use crate::{fork, sys};

/// Wakes its word when its process dies; until it is dropped.
pub(crate) struct Bell(Arc<Task>);

struct Task {
    opened: Arc<Opened>,
    word: Place<AtomicU32>,
}

/// What the thread works on.
pub(crate) struct Ringer {
    tasks: Vec<Arc<Task>>,
    /// Tells the thread that the tasks have changed.
    changed: Arc<OwnedFd>,
    /// 1; 0 in a forked child, which has no such thread.
    mine: OwnWord,
}

/// `None` while there is no thread.
static RINGER: Mutex<Option<Ringer>> = Mutex::new(None);

pub(crate) fn lock() -> MutexGuard<'static, Option<Ringer>> {
    fork::prepare();
    RINGER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ringer() -> MutexGuard<'static, Option<Ringer>> {
    let mut ringer = lock();
    if ringer.as_ref().is_some_and(|ringer| ringer.mine.load(Ordering::Relaxed) == 0) {
        // The tasks are those of the parent's threads. Their drop would take the lock again.
        mem::forget(ringer.take());
    }
    ringer
}

impl Bell {
    /// `None` if there are no means for it.
    pub(crate) fn new(opened: &Arc<Opened>, word: Place<AtomicU32>) -> Option<Bell> {
        opened.pidfd.as_ref()?;
        let task = Arc::new(Task { opened: Arc::clone(opened), word });
        let mut ringer = ringer();
        match ringer.as_mut() {
            Some(ringer) => ringer.tasks.push(Arc::clone(&task)),
            None => *ringer = Some(start(&task)?),
        }
        sys::signal(ringer.as_ref()?.changed.as_fd());
        Some(Bell(task))
    }
}

impl Drop for Bell {
    fn drop(&mut self) {
        if let Some(ringer) = ringer().as_mut() {
            ringer.tasks.retain(|task| !Arc::ptr_eq(task, &self.0));
            sys::signal(ringer.changed.as_fd());
        }
    }
}

/// Starts the thread. It waits for the lock that the caller has.
fn start(task: &Arc<Task>) -> Option<Ringer> {
    let changed = Arc::new(sys::event().ok()?);
    let mine = OwnWord::new().ok()?;
    mine.store(1, Ordering::Relaxed);
    let seen = Arc::clone(&changed);
    sys::start_thread("ipc-bell", move || while ring(&seen) {})?;
    Some(Ringer { tasks: vec![Arc::clone(task)], changed, mine })
}

/// Waits for a death or a change, and does what is to be done; false when there are no more tasks.
fn ring(changed: &OwnedFd) -> bool {
    let mut ringer = ringer();
    let tasks = ringer.as_ref().map_or(Vec::new(), |ringer| ringer.tasks.clone());
    if tasks.is_empty() {
        // Whoever comes next starts another thread.
        *ringer = None;
        return false;
    }
    drop(ringer);
    let fds: Vec<_> = iter::once(changed.as_fd())
        .chain(tasks.iter().filter_map(|task| Some(task.opened.pidfd.as_ref()?.as_fd())))
        .collect();
    let Ok(ready) = sys::wait_readable(&fds) else {
        // More than this process may have open. Who waits looks again by himself.
        *self::ringer() = None;
        return false;
    };
    sys::clear(changed.as_fd());
    let dead: Vec<_> =
        tasks.iter().zip(&ready[1..]).filter(|(_, ready)| **ready).map(|(task, _)| task).collect();
    if let Some(ringer) = self::ringer().as_mut() {
        // Rung once, they are done.
        ringer.tasks.retain(|task| !dead.iter().any(|dead| Arc::ptr_eq(dead, task)));
    }
    for task in dead {
        futex::wake_all(&task.word);
    }
    true
}
