//! Processes for tests: a test of its own, and children of that.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use ipc_core::transfer::Parcel;
use ipc_core::{ParticipantId, Segment, Spec};
use rustix::io::Errno;
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, WaitOptions, WaitStatus, kill_process, waitid, waitpid,
};
use serde::Deserialize;
use serde::de::IntoDeserializer;

/// Set in the processes that [`alone`] starts.
const ALONE: &str = "IPC_CORE_TEST_ALONE";
/// Nothing here takes that long; a test that hangs is ended by the kernel.
const DEADLINE_SECONDS: u32 = 600;

/// Runs a test in a process of its own, in which no other thread runs: it may fork, count its descriptors, and
/// change its limits. Nothing may be left behind: no child, no descriptor, no file, no memory that could be one.
pub(crate) fn alone(test: impl FnOnce()) {
    if std::env::var_os(ALONE).is_some() {
        watched(test);
        return;
    }
    let name = std::thread::current().name().expect("tests run in threads of their name").to_owned();
    let run = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&run.stdout) + String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{name}: {}\n{text}", run.status);
    assert!(text.contains("1 passed"), "{name} did not run\n{text}");
}

fn watched(test: impl FnOnce()) {
    set_alarm();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    let before = descriptors();
    test();
    assert_eq!(descriptors(), before, "descriptors were left behind");
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

/// What the descriptors of this process refer to.
pub(crate) fn descriptors() -> Vec<String> {
    let mut found: Vec<String> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| entry.ok())
        .filter_map(|entry| Some(format!("{:?} {:?}", entry.file_name(), fs::read_link(entry.path()).ok()?)))
        // That of this look itself.
        .filter(|line| !line.contains("/proc/"))
        .collect();
    found.sort();
    found
}

/// How many threads this process has.
pub(crate) fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Waits for the condition.
pub(crate) fn until(condition: impl Fn() -> bool) {
    while !condition() {
        std::thread::yield_now();
    }
}

/// A name that no other test or run uses.
pub(crate) fn unique(name: &str) -> String {
    format!("{}{name}", prefix())
}

fn prefix() -> String {
    // Its children use the names of the test's own process.
    static TEST: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    format!("it-{}-", TEST.get_or_init(std::process::id))
}

/// Where a name stands.
pub(crate) fn path(name: &str) -> String {
    format!("/dev/shm/ipc-{}-{name}", rustix::process::geteuid().as_raw())
}

pub(crate) fn exists(name: &str) -> bool {
    fs::symlink_metadata(path(name)).is_ok()
}

/// The names of this test that are there.
pub(crate) fn own_files() -> Vec<String> {
    let names = fs::read_dir("/dev/shm").unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).filter(|name| name.contains(&prefix())).collect()
}

/// A forked child. Ended and reaped when dropped.
pub(crate) struct Child {
    pid: Pid,
    ended: Option<WaitStatus>,
}

/// Runs `body` in a forked child, which then ends without running the destructors of what it has from its parent.
/// For tests that run [`alone`].
pub(crate) fn fork(body: impl FnOnce()) -> Child {
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

impl Child {
    pub(crate) fn pid(&self) -> u32 {
        self.pid.as_raw_nonzero().get() as u32
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    /// Waits for its end without reaping it.
    pub(crate) fn until_zombie(&self) {
        waitid(WaitId::Pid(self.pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
    }

    /// Whether it has ended and was not reaped.
    pub(crate) fn is_zombie(&self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(self.pid), options).unwrap().is_some()
    }

    /// Waits until it is stopped.
    pub(crate) fn until_stopped(&self) {
        waitid(WaitId::Pid(self.pid), WaitIdOptions::STOPPED).unwrap();
    }

    /// Kills it, and leaves a zombie.
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
        self.until_zombie();
    }

    pub(crate) fn wait(&mut self) -> WaitStatus {
        *self.ended.get_or_insert_with(|| waitpid(Some(self.pid), WaitOptions::empty()).unwrap().unwrap().1)
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = waitpid(Some(self.pid), WaitOptions::NOHANG).unwrap().map(|(_, status)| status);
        }
        self.ended.is_some()
    }

    /// Waits for it, and for nothing to have failed in it.
    pub(crate) fn join(mut self) {
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
pub(crate) struct Gate(PipeReader, PipeWriter);

impl Gate {
    pub(crate) fn new() -> Gate {
        let (reader, writer) = pipe().unwrap();
        Gate(reader, writer)
    }

    /// Lets one through.
    pub(crate) fn open(&self) {
        (&self.1).write_all(&[1]).unwrap();
    }

    /// Whether one was let through; does not wait.
    pub(crate) fn passes(&self) -> bool {
        let mut ready = [rustix::event::PollFd::new(&self.0, rustix::event::PollFlags::IN)];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut ready, Some(&now)).unwrap() == 1
    }

    /// Waits until one is let through.
    pub(crate) fn pass(&self) {
        (&self.0).read_exact(&mut [0]).unwrap();
    }
}

/// Sleeps until killed.
pub(crate) fn forever() -> ! {
    loop {
        std::thread::park();
    }
}

/// A process that takes part until it is killed, and its identity.
pub(crate) fn participant(segment: &Segment) -> (Child, ParticipantId) {
    let ready = Gate::new();
    let word = segment.at::<AtomicU32>(0).unwrap();
    let child = fork(|| {
        word.store(segment.me().unwrap().word(), Ordering::Release);
        ready.open();
        forever()
    });
    ready.pass();
    (child, ParticipantId::from_word(word.load(Ordering::Acquire)).unwrap())
}

/// A process of so many threads that takes part, and has so many bytes of memory that its end takes its time.
pub(crate) fn large(segment: &Segment, bytes: usize, threads: usize) -> (Child, ParticipantId) {
    let word = segment.at::<AtomicU32>(0).unwrap();
    let ready = Gate::new();
    let child = fork(|| {
        let mut memory = vec![0_u8; bytes];
        memory.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        std::hint::black_box(&memory);
        (1..threads).for_each(|_| drop(std::thread::spawn(|| forever())));
        word.store(segment.me().unwrap().word(), Ordering::Release);
        ready.open();
        forever()
    });
    ready.pass();
    (child, ParticipantId::from_word(word.load(Ordering::Acquire)).unwrap())
}

pub(crate) fn spec() -> Spec<'static> {
    Spec::new("test", 1).type_name("u64").len(64).participants(16)
}

/// A memory file with those bytes, sealed against shrinking if `sealed`.
pub(crate) fn memfd(bytes: &[u8], sealed: bool) -> OwnedFd {
    use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
    let fd = memfd_create("test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).unwrap();
    let mut file = fs::File::from(fd);
    file.write_all(bytes).unwrap();
    if sealed {
        fcntl_add_seals(&file, SealFlags::SHRINK).unwrap();
    }
    file.into()
}

/// Takes the descriptor for a `T`, as if it had come from another process. The error is its text.
pub(crate) fn received<T: for<'de> Deserialize<'de>>(fd: OwnedFd) -> Result<T, String> {
    let parcel = Parcel::pack(|| postcard::to_allocvec(&ipc_core::Fd(fd))).unwrap();
    let handle: serde::de::value::U32Deserializer<serde::de::value::Error> = 0_u32.into_deserializer();
    parcel.unpack(|_| T::deserialize(handle)).map_err(|error| error.to_string())
}

/// All bytes of a segment's file.
pub(crate) fn bytes_of(segment: &Segment) -> Vec<u8> {
    let mut bytes = vec![0; rustix::fs::fstat(segment).unwrap().st_size as usize];
    let read = rustix::io::pread(segment, &mut bytes[..], 0).unwrap();
    assert_eq!(read, bytes.len());
    bytes
}

/// Sets the soft limit of descriptors; gives the old one back.
pub(crate) fn limit_descriptors(limit: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let old = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum: old.maximum }).unwrap();
    old.current.unwrap()
}

/// Limits this process to so many more descriptors than it has; gives the old limit back.
pub(crate) fn leave_descriptors(more: usize) -> u64 {
    let is_free = |fd: &i32| {
        // SAFETY: asks about a number, whatever it stands for.
        unsafe { libc::fcntl(*fd, libc::F_GETFD) == -1 }
    };
    let first_too_many = (0..).filter(is_free).nth(more).unwrap();
    limit_descriptors(first_too_many as u64)
}
