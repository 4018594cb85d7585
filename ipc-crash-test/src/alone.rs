//! Processes for tests: a test in a process of its own, and children of that.
#![allow(unsafe_code)]

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, getrlimit, kill_process,
    setrlimit, waitid, waitpid,
};

use crate::table::WIDE_STEPS;

/// Set in the processes that [`alone`] starts.
const ALONE: &str = "IPC_TEST_ALONE";
/// A test that hangs is ended by the kernel.
const DEADLINE_SECONDS: u32 = 600;

/// Nothing here takes that long, unless it hangs.
pub const LONG: Duration = Duration::from_secs(30);
/// Long enough for somebody to fall asleep, short enough to wait for in vain.
pub const SHORT: Duration = Duration::from_millis(20);

/// A deadline that has passed.
pub fn past() -> Instant {
    Instant::now().checked_sub(Duration::from_secs(1)).unwrap()
}

/// Asks until it is so.
pub fn until(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LONG, "{what}");
        std::thread::yield_now();
    }
}

/// Runs a test in a process of its own, in which no other thread runs: it may fork and change its limits. Nothing may be
/// left behind: no child, no descriptor, no file.
pub fn alone(test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        watched(test);
        return;
    }
    let name = std::thread::current().name().expect("tests run in threads of their name").to_owned();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .envs([WIDE_STEPS])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{name}: {}\n{text}", run.status);
    assert!(text.contains("1 passed"), "{name} did not run\n{text}");
    print!("{text}");
}

fn watched(test: impl FnOnce()) {
    set_alarm();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let before = descriptors();
    test();
    until("descriptors were left behind", || descriptors() == before);
    match waitpid(None, WaitOptions::NOHANG) {
        Err(Errno::CHILD) => {}
        other => panic!("a child was left behind: {other:?}"),
    }
    let files = own_files();
    assert!(files.is_empty(), "left behind in /dev/shm: {files:?}");
}

fn set_alarm() {
    // SAFETY: sets a timer; the default action of its signal ends the process.
    unsafe { libc::alarm(DEADLINE_SECONDS) };
}

/// How many descriptors this process has.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Runs `f` while no file of this process, and so no segment, can become longer than that. For tests that run [`alone`].
pub fn with_file_limit(bytes: u64, f: impl FnOnce()) {
    let old = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(bytes), ..old }).unwrap();
    f();
    setrlimit(Resource::Fsize, old).unwrap();
}

/// A name that no other test or run uses.
pub fn unique(name: &str) -> String {
    format!("{}{name}", prefix())
}

fn prefix() -> String {
    // Its children use the names of the test's own process.
    static TEST: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    format!("test-{}-", TEST.get_or_init(std::process::id))
}

/// The names of this test that are there.
pub fn own_files() -> Vec<String> {
    let names = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.contains(&prefix())).collect()
}

/// A forked child. Ended and reaped when dropped.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    ended: Option<WaitStatus>,
}

/// Runs `body` in a forked child, which then ends without running the destructors of what it has from its parent.
/// For tests that run [`alone`].
pub fn fork(body: impl FnOnce()) -> Child {
    assert!(std::env::var_os(ALONE).is_some(), "other threads may hold locks");
    let _ = unique("");
    // SAFETY: this process has one thread that does anything, so the child may do what its parent might.
    let pid = unsafe { libc::fork() };
    if pid != 0 {
        return Child { pid: Pid::from_raw(pid).expect("fork failed"), ended: None };
    }
    set_alarm();
    let good = catch_unwind(AssertUnwindSafe(body)).is_ok();
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(if good { 0 } else { 101 }) }
}

/// A forked child that runs `body` up to its end, and then stays until it is killed.
pub fn fork_and_stay(body: impl FnOnce()) -> Child {
    let ready = Gate::new();
    let child = fork(|| {
        body();
        ready.open();
        forever();
    });
    ready.pass();
    child
}

impl Child {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Stops it, and waits until it is.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        waitid(WaitId::Pid(self.pid), WaitIdOptions::STOPPED).unwrap();
    }

    /// Whether it sleeps in the kernel.
    pub fn is_asleep(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit(')').next().is_some_and(|fields| fields.starts_with(" S"))
    }

    /// Kills it, and leaves a zombie.
    pub fn kill(&self) {
        self.signal(Signal::KILL);
        waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    }

    /// Waits for its end, and reaps it.
    pub fn wait(&mut self) -> WaitStatus {
        *self.ended.get_or_insert_with(|| waitpid(Some(self.pid), WaitOptions::empty()).unwrap().unwrap().1)
    }

    /// Waits for it, and for nothing to have failed in it.
    pub fn join(mut self) {
        let status = self.wait();
        assert_eq!(status.exit_status(), Some(0), "the child failed: {status:?}");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
            self.wait();
        }
    }
}

/// One process waits at it until another has opened it.
#[derive(Debug)]
pub struct Gate(PipeReader, PipeWriter);

impl Gate {
    /// A closed one.
    #[expect(clippy::new_without_default, reason = "it takes descriptors")]
    pub fn new() -> Gate {
        let (reader, writer) = pipe().unwrap();
        Gate(reader, writer)
    }

    /// Lets one through.
    pub fn open(&self) {
        (&self.1).write_all(&[1]).unwrap();
    }

    /// Waits until one is let through.
    pub fn pass(&self) {
        (&self.0).read_exact(&mut [0]).unwrap();
    }
}

/// Sleeps until killed.
pub fn forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// Has SIGINT end this process, and those that it starts, also if the shell that the tests were started by ignores it for
/// its jobs.
pub fn heed_interrupts() {
    // SAFETY: the default action needs no function.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// Ends the test's process here, well, without looking at what is left: for those that leave something on purpose.
pub fn leave() -> ! {
    println!("test result: ok. 1 passed");
    std::process::exit(0)
}
