//! Every system call of this crate, one thin function each, a file for each subject. EINTR is dealt with here.
//!
//! Another operating system would be a second folder with the same functions.
#![allow(unsafe_code)]

mod file;
mod futex;
mod memory;
mod process;
mod socket;

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;

pub(crate) use file::*;
pub(crate) use futex::*;
pub(crate) use memory::*;
pub(crate) use process::*;
pub(crate) use socket::*;

fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}

/// A copy of the descriptor, close-on-exec, never 0, 1 or 2.
pub(crate) fn duplicate(fd: &impl AsFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
}

/// Runs `f` while this thread takes no signals; they come afterwards.
fn without_signals<R>(f: impl FnOnce() -> R) -> R {
    let (mut all, mut before) = (MaybeUninit::uninit(), MaybeUninit::uninit());
    // SAFETY: it initialises the set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: `all` was initialised above; the old mask is written to `before`. It cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    let result = f();
    // SAFETY: `before` was initialised by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    result
}

/// Starts a thread that takes no signals; `None` if there can be none.
pub(crate) fn start_thread(name: &str, f: impl FnOnce() + Send + 'static) -> Option<()> {
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(128 * 1024);
    without_signals(|| builder.spawn(f)).ok().map(drop)
}

/// Has `f` called when the process exits, other than by a kill.
pub(crate) fn at_exit(f: extern "C" fn()) {
    // SAFETY: a function of the program is valid for as long as the process runs. Fails only for want of memory.
    let _ = unsafe { libc::atexit(f) };
}

/// Has `before` called in whoever forks, and `after` in both processes.
pub(crate) fn at_fork(before: extern "C" fn(), after: extern "C" fn()) {
    // The C library's type says `unsafe`, which a safe function may stand for.
    let (before, after): (unsafe extern "C" fn(), unsafe extern "C" fn()) = (before, after);
    // SAFETY: functions of the program are valid for as long as the process runs. Fails only for want of memory.
    let _ = unsafe { libc::pthread_atfork(Some(before), Some(after), Some(after)) };
}

pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}
