//! What the tests share.

use std::fs::{self, File};
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use ipc_core::Fd;
use ipc_process::{Child, Function, JoinError, spawn};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, WaitId, WaitIdOptions, getrlimit, setrlimit};
use serde::de::DeserializeOwned;

/// Nothing here takes that long, unless it hangs.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Joins a child that must not hang.
pub(crate) fn join<R: DeserializeOwned>(child: &mut Child<R>) -> Result<R, JoinError> {
    child.join_timeout(LONG).transpose().unwrap_or_else(|| {
        child.kill().unwrap();
        panic!("{:?} hangs", child.process())
    })
}

/// Runs `f` in a process of its own, where other tests are not in the way. Its panics are this test's.
pub(crate) fn alone<F: Function<(), Output = ()>>(f: F) {
    join(&mut spawn(f, ()).unwrap()).unwrap();
}

/// Waits until the process behind a pidfd has ended, or the other end of a pipe is gone or has written.
pub(crate) fn wait_for(fd: impl AsFd) {
    let start = Instant::now();
    while !is_readable(&fd, Duration::from_secs(1)) {
        assert!(start.elapsed() < LONG, "nothing happens");
    }
}

/// Whether the descriptor is readable within that time.
pub(crate) fn is_readable(fd: impl AsFd, within: Duration) -> bool {
    let mut fds = [PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)];
    let timeout = Timespec::try_from(within).unwrap();
    poll(&mut fds, Some(&timeout)).is_ok_and(|ready| ready > 0)
}

/// A pipe whose ends are arguments.
pub(crate) fn pipe() -> (Fd<PipeReader>, Fd<PipeWriter>) {
    let (reader, writer) = std::io::pipe().unwrap();
    (Fd(reader), Fd(writer))
}

/// Waits for the end of the pipe: until the last writer is gone.
pub(crate) fn wait_for_end(mut pipe: Fd<PipeReader>) {
    let mut rest = Vec::new();
    pipe.0.read_to_end(&mut rest).unwrap();
}

/// Sends a number through a pipe.
pub(crate) fn tell(pipe: &mut Fd<PipeWriter>, number: u32) {
    pipe.0.write_all(&number.to_ne_bytes()).unwrap();
}

/// Receives what [`tell`] sent; `None` at the end.
pub(crate) fn hear(pipe: &mut Fd<PipeReader>) -> Option<u32> {
    wait_for(&pipe.0);
    let mut bytes = [0; 4];
    pipe.0.read_exact(&mut bytes).ok()?;
    Some(u32::from_ne_bytes(bytes))
}

/// How many descriptors this process has.
pub(crate) fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Whether this process has a child that has ended and was not reaped.
pub(crate) fn has_zombie() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(rustix::process::waitid(WaitId::All, options), Ok(Some(_)))
}

/// Whether this process has any child at all.
pub(crate) fn has_children() -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    rustix::process::waitid(WaitId::All, options).is_ok()
}

/// Lets this process have as many descriptors as it may.
pub(crate) fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
}

/// A small file without a name that holds `text`.
pub(crate) fn file(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// A command that runs one of the ignored tests of a program that is this one, or a copy of it.
pub(crate) fn helper(program: impl Into<PathBuf>, name: &str) -> Command {
    let mut command = Command::new(program.into());
    command.args(["--exact", name, "--ignored", "--nocapture"]).env(HELPER, name);
    command
}

const HELPER: &str = "IPC_PROCESS_TEST_HELPER";

/// Whether this test was run by [`helper`], and not because somebody asked for all ignored ones.
pub(crate) fn is_helper(name: &str) -> bool {
    std::env::var_os(HELPER).is_some_and(|value| value == name)
}

/// Runs the command, which must succeed.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}
