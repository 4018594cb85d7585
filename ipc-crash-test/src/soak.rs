//! What the soaks have in common: processes at work that are killed at random.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Numbers that look random: the same ones for the same seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// The seed is not 0.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// One that no other run begins with.
    pub fn of_this_run() -> Random {
        Random(0x9e37_79b9_7f4a_7c15 ^ u64::from(std::process::id()))
    }

    /// Any number.
    #[expect(clippy::should_implement_trait, reason = "it has no end")]
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}

/// Starts a process that does `work` until it is killed; its id. This process has one thread.
pub fn start(work: impl FnOnce()) -> i32 {
    // SAFETY: this process has one thread, so the child may do what its parent might.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "no process can be forked");
    if pid > 0 {
        return pid;
    }
    // SAFETY: takes integers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let _ = catch_unwind(AssertUnwindSafe(work));
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(101) }
}

/// Whether it was this process's kill that ended the child.
pub fn kill_and_reap(pid: i32) -> bool {
    // SAFETY: takes integers; it is not reaped yet, so that the number is its own.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let mut status = 0;
    // SAFETY: `status` lives through the call.
    let mut reap = || unsafe { libc::waitpid(pid, &mut status, 0) };
    while reap() != pid {}
    libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGKILL
}

/// How many entries a folder has.
pub fn entries(path: &str) -> usize {
    std::fs::read_dir(path).map_or(0, Iterator::count)
}

/// The number after `--seconds` on the command line, or 20.
///
/// # Panics
/// It is no number.
pub fn seconds() -> u64 {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().position(|argument| argument == "--seconds") {
        Some(at) => {
            arguments.get(at + 1).and_then(|text| text.parse().ok()).expect("--seconds takes a number")
        }
        None => 20,
    }
}
