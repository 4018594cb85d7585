//! Threads that take turns, and wait for it no longer than they are ready to.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipc_queue::raw::Patient;

/// What only one thread has at a time.
pub(crate) struct Turn<T> {
    free: Mutex<Option<T>>,
    freed: Condvar,
}

impl<T> Turn<T> {
    pub(crate) fn new(value: T) -> Turn<T> {
        Turn { free: Mutex::new(Some(value)), freed: Condvar::new() }
    }

    /// Takes the turn; `None` if somebody else had it all the time.
    pub(crate) fn take(&self, patient: Patient) -> Option<Held<'_, T>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(value) = free.take() {
                return Some(Held { value: Some(value), turn: self });
            }
            let Patient::Until(deadline) = patient else { return None };
            let left =
                deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return None;
            }
            free = self.freed.wait_timeout(free, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    pub(crate) fn give(&self, value: T) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
        self.freed.notify_one();
    }
}

/// The turn, given back when dropped.
pub(crate) struct Held<'a, T> {
    value: Option<T>,
    turn: &'a Turn<T>,
}

impl<T> Held<'_, T> {
    pub(crate) fn get(&mut self) -> &mut T {
        self.value.as_mut().expect("it is taken when this ends")
    }

    /// Keeps the turn from others until it is given back by hand.
    pub(crate) fn keep(mut self) -> T {
        self.value.take().expect("it is taken when this ends")
    }
}

impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.turn.give(value);
        }
    }
}
