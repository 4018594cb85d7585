//! Every system call of this crate, one thin function each.
#![allow(unsafe_code)]

use std::ffi::c_int;
use std::mem;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use ipc_core::{Error, Result};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::process::{
    Resource, Rlimit, Signal, WaitId, WaitIdOptions, getrlimit, set_parent_process_death_signal, setrlimit,
    waitid,
};

/// Lets SIGINT pass without an effect. The terminal sends it to all processes of a program; it is for the first one to
/// end, and its workers end with it. Not ignored, since that would be inherited by the programs that tasks start.
pub(crate) fn ignore_interrupts() {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: all fields may be zero: no flags, no signals blocked.
    let mut action: libc::sigaction = unsafe { mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing, so that it may run at any time. The old action is not asked for.
    unsafe { libc::sigaction(libc::SIGINT, &action, std::ptr::null_mut()) };
}

/// Has this process go on if it is stopped when its parent ends, so that it can see that. The kernel sends the signal also
/// when only the thread ends that started this process: then it does no harm.
pub(crate) fn go_on_at_parents_end() {
    // Every kernel knows the signal.
    let _ = set_parent_process_death_signal(Some(Signal::CONT));
}

/// Lets this process have that many bytes of its own memory; what it shares is not counted.
pub(crate) fn limit_memory(bytes: u64) {
    let limit = getrlimit(Resource::Data);
    let bytes = limit.maximum.map_or(bytes, |maximum| maximum.min(bytes));
    // Only a limit above the present one is refused.
    let _ = setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: Some(bytes) });
}

/// Waits until something can be sent, or the other side is gone.
pub(crate) fn wait_writable(socket: BorrowedFd<'_>) {
    // Whoever waits looks again, so that an error only makes it busy.
    let _ = poll(&mut [PollFd::from_borrowed_fd(socket, PollFlags::OUT)], None);
}

/// Whether that child of this process is stopped, as by SIGSTOP.
pub(crate) fn is_stopped(pidfd: BorrowedFd<'_>) -> bool {
    // It stays to be told to others that wait for it.
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::PidFd(pidfd), options).is_ok_and(|status| status.is_some_and(|status| status.stopped()))
}

/// A descriptor that is readable after [`signal`] until [`clear`].
pub(crate) fn event() -> Result<OwnedFd> {
    let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
    made.map_err(|errno| Error::new("create", "an event", std::io::Error::from(errno)))
}

pub(crate) fn signal(event: BorrowedFd<'_>) {
    // Fails only if it is readable already.
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

pub(crate) fn clear(event: BorrowedFd<'_>) {
    // Fails only if it is not readable.
    let _ = rustix::io::read(event, &mut [0_u8; 8]);
}

/// Waits until one of them is readable, at most that long; which are.
pub(crate) fn wait_readable(fds: &[BorrowedFd<'_>], timeout: Option<Duration>) -> Vec<bool> {
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    // A timeout that cannot be expressed is longer than anybody waits.
    let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
    match poll(&mut polled, timeout.as_ref()) {
        Ok(_) => polled.iter().map(|fd| !fd.revents().is_empty()).collect(),
        Err(_) => vec![false; fds.len()],
    }
}
