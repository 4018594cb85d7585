//! The process-shared mutexes of the C library, as subjects whose behaviour at a kill is known.

#![allow(unsafe_code)]

use std::cell::UnsafeCell;
use std::mem::{self, MaybeUninit};
use std::sync::atomic::AtomicU64;

use ipc_crash_test::{ProcessShared, SharedBox};
use nix::libc;

/// A process-shared mutex, robust or not, and two counters that it keeps equal. It never moves.
pub(crate) struct Mutex {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    pub(crate) pair: [AtomicU64; 2],
}

// SAFETY: a process-shared mutex is made to be used by many threads and processes.
unsafe impl Sync for Mutex {}
// SAFETY: it is process-shared; its pointers are those of the robust list, which each owner sets for itself.
unsafe impl ProcessShared for Mutex {}

/// The owner before died with the mutex locked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OwnerDied;

impl Mutex {
    pub(crate) fn new(robust: bool) -> SharedBox<Self> {
        // SAFETY: a mutex is plain data; it is initialised below, at its final place.
        let unset = unsafe { mem::zeroed() };
        let pair = [const { AtomicU64::new(0) }; 2];
        let mutex = SharedBox::new(Self { mutex: UnsafeCell::new(unset), pair });
        let robustness = if robust { libc::PTHREAD_MUTEX_ROBUST } else { libc::PTHREAD_MUTEX_STALLED };
        let mut attributes = MaybeUninit::<libc::pthread_mutexattr_t>::uninit();
        let attributes = attributes.as_mut_ptr();
        // SAFETY: `attributes` points to a local.
        assert_eq!(unsafe { libc::pthread_mutexattr_init(attributes) }, 0);
        // SAFETY: the attributes are initialised.
        let shared = unsafe { libc::pthread_mutexattr_setpshared(attributes, libc::PTHREAD_PROCESS_SHARED) };
        assert_eq!(shared, 0);
        // SAFETY: the attributes are initialised.
        assert_eq!(unsafe { libc::pthread_mutexattr_setrobust(attributes, robustness) }, 0);
        // SAFETY: nobody uses the mutex yet, and the attributes are initialised.
        assert_eq!(unsafe { libc::pthread_mutex_init(mutex.mutex.get(), attributes) }, 0);
        mutex
    }

    pub(crate) fn lock(&self) -> Result<(), OwnerDied> {
        // SAFETY: `new` initialised the mutex.
        match unsafe { libc::pthread_mutex_lock(self.mutex.get()) } {
            0 => Ok(()),
            libc::EOWNERDEAD => Err(OwnerDied),
            error => panic!("pthread_mutex_lock: {error}"),
        }
    }

    /// Marks the mutex, locked by the caller with `OwnerDied`, as usable again.
    pub(crate) fn make_consistent(&self) {
        // SAFETY: `new` initialised the mutex.
        assert_eq!(unsafe { libc::pthread_mutex_consistent(self.mutex.get()) }, 0);
    }

    pub(crate) fn unlock(&self) {
        // SAFETY: `new` initialised the mutex.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.mutex.get()) }, 0);
    }
}
