//! What the locks are compared with: the C library's own, in shared memory, and how much CPU this process has used.
//!
//! **R1** A handle holds its segment, so its memory stays mapped; the segment is large enough, which was checked when
//! the handle was made, and its start is aligned to more than any of these types needs.
//! **R2** What lies there was initialised by `new`, before there was a second handle, and is never destroyed.
#![allow(unsafe_code)]

use std::mem::{MaybeUninit, offset_of};
use std::ptr::NonNull;
use std::time::Duration;

use ipc_core::{Segment, Spec};
use serde::{Deserialize, Serialize};

/// Zeroed memory for a `T`, which several processes share.
struct Shared<T> {
    segment: Segment,
    at: NonNull<T>,
}

impl<T> Shared<T> {
    fn new() -> Shared<T> {
        let spec = Spec::new("bench-peer", 1).len(size_of::<T>() as u64);
        Shared::at(Segment::anonymous(&spec).expect("there is memory"))
    }

    fn at(segment: Segment) -> Shared<T> {
        let at = segment.bytes(0, size_of::<T>()).expect("it is large enough").cast::<T>();
        assert!(at.is_aligned());
        Shared { at: NonNull::new(at).expect("a mapping is never at 0"), segment }
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared { segment: self.segment.clone(), at: self.at }
    }
}

/// A handle's parts that do not depend on what it is to.
macro_rules! shared {
    ($name:ident) => {
        impl From<Segment> for $name {
            fn from(segment: Segment) -> $name {
                $name(Shared::at(segment))
            }
        }

        impl From<$name> for Segment {
            fn from(handle: $name) -> Segment {
                handle.0.segment
            }
        }

        // SAFETY: the functions that get the pointer are made for threads of any process; the rest is a Segment.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}
    };
}

fn check(result: i32, what: &str) {
    assert_eq!(result, 0, "{what} fails");
}

#[repr(C)]
struct MutexAndCounter {
    mutex: libc::pthread_mutex_t,
    /// On the cache line of the mutex, which is the best place for it.
    counter: u64,
}

/// A process-shared robust pthread mutex around a counter.
#[derive(Clone, Serialize, Deserialize)]
#[serde(from = "Segment", into = "Segment")]
pub(crate) struct RobustMutex(Shared<MutexAndCounter>);

shared!(RobustMutex);

impl RobustMutex {
    pub(crate) fn new() -> RobustMutex {
        let this = RobustMutex(Shared::new());
        let mut attributes = MaybeUninit::uninit();
        let at = attributes.as_mut_ptr();
        // SAFETY: initialises what the pointer goes to.
        check(unsafe { libc::pthread_mutexattr_init(at) }, "pthread_mutexattr_init");
        // SAFETY: initialised in the line above.
        check(unsafe { libc::pthread_mutexattr_setpshared(at, libc::PTHREAD_PROCESS_SHARED) }, "setpshared");
        // SAFETY: as above.
        check(unsafe { libc::pthread_mutexattr_setrobust(at, libc::PTHREAD_MUTEX_ROBUST) }, "setrobust");
        // SAFETY: R1; the memory is fresh, and nobody else has a handle yet.
        check(unsafe { libc::pthread_mutex_init(this.mutex(), at) }, "pthread_mutex_init");
        // SAFETY: initialised above, and not used any more.
        check(unsafe { libc::pthread_mutexattr_destroy(at) }, "pthread_mutexattr_destroy");
        this
    }

    #[inline]
    fn mutex(&self) -> *mut libc::pthread_mutex_t {
        self.0.at.as_ptr().cast()
    }

    /// Waits for the lock; whether the owner died.
    #[inline]
    pub(crate) fn lock(&self) -> bool {
        // SAFETY: R1, R2.
        match unsafe { libc::pthread_mutex_lock(self.mutex()) } {
            0 => false,
            libc::EOWNERDEAD => {
                // SAFETY: R1, R2, and this thread was just given the lock.
                check(unsafe { libc::pthread_mutex_consistent(self.mutex()) }, "pthread_mutex_consistent");
                true
            }
            error => panic!("pthread_mutex_lock fails: {error}"),
        }
    }

    /// Waits for the lock that long at most; whether it was got.
    pub(crate) fn lock_timeout(&self, timeout: Duration) -> bool {
        let mut until = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: writes a timespec.
        check(unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut until) }, "clock_gettime");
        until.tv_sec += timeout.as_secs() as libc::time_t;
        // SAFETY: R1, R2, and `until` is a time.
        unsafe { libc::pthread_mutex_timedlock(self.mutex(), &raw const until) == 0 }
    }

    #[inline]
    pub(crate) fn unlock(&self) {
        // SAFETY: R1, R2; only called by who has the lock.
        check(unsafe { libc::pthread_mutex_unlock(self.mutex()) }, "pthread_mutex_unlock");
    }

    #[inline]
    fn counter(&self) -> *mut u64 {
        self.0.at.as_ptr().cast::<u8>().wrapping_add(offset_of!(MutexAndCounter, counter)).cast()
    }

    /// Adds 1 to the counter, under the lock.
    #[inline]
    pub(crate) fn add(&self) {
        self.lock();
        // SAFETY: R1, and the lock keeps all others away.
        unsafe { *self.counter() += 1 };
        self.unlock();
    }

    pub(crate) fn value(&self) -> u64 {
        self.lock();
        // SAFETY: R1, and the lock keeps all others away.
        let value = unsafe { *self.counter() };
        self.unlock();
        value
    }
}

/// A process-shared `sem_t`.
pub(crate) struct Sem(Shared<libc::sem_t>);

impl Sem {
    pub(crate) fn new(permits: u32) -> Sem {
        let this = Sem(Shared::new());
        // SAFETY: R1; the memory is fresh, and nobody else has a handle yet.
        check(unsafe { libc::sem_init(this.0.at.as_ptr(), 1, permits) }, "sem_init");
        this
    }

    #[inline]
    pub(crate) fn acquire(&self) {
        // SAFETY: R1, R2.
        while unsafe { libc::sem_wait(self.0.at.as_ptr()) } != 0 {}
    }

    #[inline]
    pub(crate) fn release(&self) {
        // SAFETY: R1, R2.
        check(unsafe { libc::sem_post(self.0.at.as_ptr()) }, "sem_post");
    }
}

/// The CPU time of all threads of this process.
pub(crate) fn cpu_time() -> Duration {
    let mut usage = MaybeUninit::<libc::rusage>::uninit();
    // SAFETY: writes an rusage.
    check(unsafe { libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()) }, "getrusage");
    // SAFETY: written in the line above.
    let usage = unsafe { usage.assume_init() };
    let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
    time(usage.ru_utime) + time(usage.ru_stime)
}
