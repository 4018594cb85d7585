//! Every system call of this crate, one thin function each. EINTR is dealt with here.
//!
//! Another operating system would be a second file with the same functions.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::ptr;
use std::sync::atomic::AtomicU32;
use std::time::{Duration, Instant};

use memmap2::{Mmap, MmapOptions, MmapRaw};
use rustix::fs::{AtFlags, CWD, FallocateFlags, MemfdFlags, Mode, OFlags, SealFlags};
use rustix::io::{Errno, retry_on_intr};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};
use rustix::process::Pid;
use rustix::thread::futex;
use rustix::time::{ClockId, Timespec};

use crate::futex::Wake;

// ---- files and memory

/// A nameless file in memory, close-on-exec, open for seals. `label` is what /proc shows.
pub(crate) fn memfd(label: &str) -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Without NOEXEC_SEAL (Linux 6.3) some hardened systems refuse; older kernels refuse the flag itself.
    match rustix::fs::memfd_create(label, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => rustix::fs::memfd_create(label, flags),
        other => other,
    }
    .and_then(above_stdio)
}

/// Makes `fd`, of `have` bytes, at least `len` bytes long with every page in place, or changes nothing.
pub(crate) fn reserve(fd: BorrowedFd<'_>, have: u64, len: u64) -> Result<(), Errno> {
    // Before Linux 6.0 any signal undoes it, so that under a timer a long one would never end.
    without_signals(|| retry_on_intr(|| rustix::fs::fallocate(fd, FallocateFlags::empty(), have, len - have)))
}

/// Gives the pages of that part of the file back. Who looks there finds zeroes.
pub(crate) fn release(fd: BorrowedFd<'_>, offset: u64, len: u64) -> Result<(), Errno> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    retry_on_intr(|| rustix::fs::fallocate(fd, flags, offset, len))
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

/// The file can never shrink again, nor (unless `growable`) grow.
pub(crate) fn seal_size(fd: BorrowedFd<'_>, growable: bool) -> Result<(), Errno> {
    let fixed = if growable { SealFlags::empty() } else { SealFlags::GROW };
    rustix::fs::fcntl_add_seals(fd, SealFlags::SHRINK | SealFlags::SEAL | fixed)
}

/// The file can never change again.
pub(crate) fn seal_contents(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    rustix::fs::fcntl_add_seals(fd, SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL)
}

/// Whether the file can never be cut off.
pub(crate) fn cannot_shrink(fd: BorrowedFd<'_>) -> bool {
    rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::SHRINK))
}

/// Whether the file consists of huge pages. Nobody reserves those here.
pub(crate) fn has_huge_pages(fd: BorrowedFd<'_>) -> bool {
    const HUGETLBFS: i64 = 0x9584_58f6;
    rustix::fs::fstatfs(fd).is_ok_and(|stat| stat.f_type == HUGETLBFS)
}

/// What fstat says of a file.
pub(crate) struct Stat {
    /// Device and inode: the same file has the same.
    pub(crate) id: (u64, u64),
    pub(crate) len: u64,
    pub(crate) uid: u32,
    pub(crate) is_file: bool,
    /// Nobody but its owner may open it.
    pub(crate) is_private: bool,
}

pub(crate) fn stat(fd: BorrowedFd<'_>) -> Result<Stat, Errno> {
    let stat = rustix::fs::fstat(fd)?;
    Ok(Stat {
        id: (stat.st_dev, stat.st_ino),
        len: u64::try_from(stat.st_size).unwrap_or(0),
        uid: stat.st_uid,
        is_file: rustix::fs::FileType::from_raw_mode(stat.st_mode).is_file(),
        is_private: !Mode::from_raw_mode(stat.st_mode).intersects(Mode::RWXG | Mode::RWXO),
    })
}

/// Device and inode of what stands at `path`, if anything.
pub(crate) fn file_at(path: &Path) -> Option<(u64, u64)> {
    rustix::fs::lstat(path).ok().map(|stat| (stat.st_dev, stat.st_ino))
}

/// Maps `len` bytes of `fd` for reading and writing, also those that the file does not have yet.
pub(crate) fn map(fd: BorrowedFd<'_>, len: usize) -> io::Result<MmapRaw> {
    MmapOptions::new().len(len).no_reserve_swap().map_raw(fd.as_raw_fd())
}

/// Maps a file that can never change for reading; `None` if it can.
pub(crate) fn map_frozen(fd: BorrowedFd<'_>) -> io::Result<Option<Mmap>> {
    let sealed = SealFlags::SHRINK | SealFlags::WRITE;
    if !rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(sealed)) {
        return Ok(None);
    }
    // Only now: before the seals its length may have been another.
    let len = usize::try_from(stat(fd)?.len).map_err(|_| Errno::OVERFLOW)?;
    // SAFETY: the file is sealed against writing and shrinking for good, so the bytes never change or vanish.
    // A private mapping, because kernels before 6.7 refuse a shared one of a file sealed against writing.
    unsafe { MmapOptions::new().len(len).map_copy_read_only(fd.as_raw_fd()) }.map(Some)
}

/// A nameless file in the directory, to be given a name by [`link`].
pub(crate) fn unnamed_file(directory: &Path) -> Result<OwnedFd, Errno> {
    let mode = Mode::RUSR | Mode::WUSR;
    let file = rustix::fs::open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode)?;
    rustix::fs::fchmod(&file, mode)?;
    above_stdio(file)
}

/// Gives the nameless file a name; `EXIST` if there is one of that name.
pub(crate) fn link(file: BorrowedFd<'_>, path: &Path) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, proc_path(file), CWD, path, AtFlags::SYMLINK_FOLLOW)
}

pub(crate) fn open_file(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    retry_on_intr(|| rustix::fs::open(path, flags, Mode::empty())).and_then(above_stdio)
}

/// A second, independent opening of the same file.
pub(crate) fn reopen(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    rustix::fs::open(proc_path(file), OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).and_then(above_stdio)
}

/// The first bytes of the file, without moving its position.
pub(crate) fn first_bytes(file: BorrowedFd<'_>) -> Result<[u8; 8], Errno> {
    let mut bytes = [0; 8];
    retry_on_intr(|| rustix::io::pread(file, &mut bytes, 0))?;
    Ok(bytes)
}

fn proc_path(file: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("digits have no NUL")
}

pub(crate) fn unlink(path: &Path) -> Result<(), Errno> {
    rustix::fs::unlink(path)
}

/// Has the kernel lock that byte for this opening of the file, until [`unlock`] or the end of the descriptor's last
/// copy.
pub(crate) fn try_lock(file: BorrowedFd<'_>, byte: u32) -> bool {
    lock_call(file, byte, libc::F_OFD_SETLK, libc::F_WRLCK).is_ok()
}

/// As [`try_lock`], but others may have it at the same time in this way.
pub(crate) fn try_share(file: BorrowedFd<'_>, byte: u32) -> bool {
    lock_call(file, byte, libc::F_OFD_SETLK, libc::F_RDLCK).is_ok()
}

pub(crate) fn unlock(file: BorrowedFd<'_>, byte: u32) {
    // Nothing can be wrong with giving up.
    let _ = lock_call(file, byte, libc::F_OFD_SETLK, libc::F_UNLCK);
}

/// Whether the byte is locked for another opening of the file.
pub(crate) fn is_locked(file: BorrowedFd<'_>, byte: u32) -> io::Result<bool> {
    let found = lock_call(file, byte, libc::F_OFD_GETLK, libc::F_WRLCK)?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

fn lock_call(file: BorrowedFd<'_>, byte: u32, command: i32, kind: i32) -> io::Result<libc::flock> {
    // SAFETY: plain numbers, for which zero is valid.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    // Counted from the start of the file: SEEK_SET is 0, and so is the pid that the kernel asks for.
    (lock.l_type, lock.l_start, lock.l_len) = (kind as _, byte.into(), 1);
    // SAFETY: the command reads and writes the structure that it is given, which lives until it returns.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, &mut lock) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(lock),
    }
}

/// Bytes left in the file system of the file; `None` if it has no bound.
pub(crate) fn free_space(file: BorrowedFd<'_>) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(file).ok().filter(|stat| stat.f_blocks > 0)?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Has `f` called when the process exits, other than by a kill.
pub(crate) fn at_exit(f: extern "C" fn()) {
    // SAFETY: a function of the program is valid for as long as the process runs. Fails only for want of memory.
    let _ = unsafe { libc::atexit(f) };
}

pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Bytes of memory that could be had now, by the machine's and the control group's account; `None` if neither says.
pub(crate) fn available_memory() -> Option<u64> {
    let machine = || {
        let text = fs::read_to_string("/proc/meminfo").ok()?;
        let kib = |name: &str| number_after(&text, name);
        Some((kib("MemAvailable:")? + kib("SwapFree:").unwrap_or(0)) * 1024)
    };
    match (machine(), group_memory()) {
        (Some(machine), Some(group)) => Some(machine.min(group)),
        (machine, group) => machine.or(group),
    }
}

/// What the tightest control group (v2) around this process leaves.
fn group_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/cgroup").ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Path::new("/sys/fs/cgroup")
        .join(path)
        .ancestors()
        .take_while(|group| group.starts_with("/sys/fs/cgroup"))
        .filter_map(|group| {
            let read = |file: &str| fs::read_to_string(group.join(file)).ok();
            let max: u64 = read("memory.max")?.trim().parse().ok()?;
            let used: u64 = read("memory.current")?.trim().parse().ok()?;
            let stat = read("memory.stat")?;
            let cached = |name| number_after(&stat, name).unwrap_or(0);
            let reclaimable = cached("inactive_file ") + cached("active_file ");
            Some(max.saturating_sub(used.saturating_sub(reclaimable)))
        })
        .min()
}

fn number_after(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

// ---- processes

/// This process as others can recognise it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) pid: u32,
    /// Clock ticks from boot to its start; 0 if /proc does not tell.
    pub(crate) start: u64,
}

/// Pid and start time of this process.
pub(crate) fn life() -> Life {
    let pid = rustix::process::getpid().as_raw_nonzero().get().unsigned_abs();
    Life { pid, start: read_stat(pid).map_or(0, |stat| stat.start) }
}

/// A page of words, 0 at first, that the kernel sets to 0 in a forked child. It stays for good.
pub(crate) fn page_wiped_on_fork() -> Result<&'static [AtomicU32], Errno> {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous};
    let len = rustix::param::page_size();
    let protection = ProtFlags::READ | ProtFlags::WRITE;
    // SAFETY: a fresh private mapping at an address of the kernel's choice touches nothing that exists.
    let page = unsafe { mmap_anonymous(ptr::null_mut(), len, protection, MapFlags::PRIVATE) }?;
    // SAFETY: the page was just made, nobody refers to it yet.
    unsafe { madvise(page, len, Advice::LinuxWipeOnFork) }?;
    // SAFETY: a page is aligned, has room for that many, is never unmapped, and zero bytes are valid atomics.
    Ok(unsafe { std::slice::from_raw_parts(page.cast::<AtomicU32>(), len / size_of::<AtomicU32>()) })
}

/// Whether that very process still runs. A zombie does not; one that is stopped does.
pub(crate) fn is_alive(life: Life, start_is_known: bool) -> bool {
    let Some(pid) = i32::try_from(life.pid).ok().and_then(Pid::from_raw) else { return false };
    let exists = || rustix::process::test_kill_process(pid) != Err(Errno::SRCH);
    exists()
        && match read_stat(life.pid) {
            Ok(stat) => !stat.ended && (!start_is_known || life.start == 0 || stat.start == life.start),
            // It ended just now; or /proc hides it, which says nothing about it.
            Err(_) => exists(),
        }
}

/// A descriptor for the process that has that pid now; `None` if there is no such process or no descriptor left.
pub(crate) fn pidfd(pid: u32) -> Option<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).and_then(above_stdio).ok()
}

/// Which of the descriptors are readable now, which a pidfd is from the end of its process on.
pub(crate) fn readable_now(fds: &[BorrowedFd<'_>]) -> Vec<bool> {
    readable(fds, Some(&Timespec::default())).unwrap_or_else(|_| vec![false; fds.len()])
}

/// Waits until one of the descriptors is readable; which are.
pub(crate) fn wait_readable(fds: &[BorrowedFd<'_>]) -> Result<Vec<bool>, Errno> {
    readable(fds, None)
}

fn readable(fds: &[BorrowedFd<'_>], timeout: Option<&Timespec>) -> Result<Vec<bool>, Errno> {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut polled: Vec<_> = fds.iter().map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
    retry_on_intr(|| poll(&mut polled, timeout))?;
    Ok(polled.iter().map(|fd| !fd.revents().is_empty()).collect())
}

/// A descriptor that is readable after [`signal`] until [`clear`].
pub(crate) fn event() -> Result<OwnedFd, Errno> {
    use rustix::event::{EventfdFlags, eventfd};
    eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).and_then(above_stdio)
}

pub(crate) fn signal(event: BorrowedFd<'_>) {
    // Fails only if it is readable already.
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

pub(crate) fn clear(event: BorrowedFd<'_>) {
    // Fails only if it is not readable.
    let _ = rustix::io::read(event, &mut [0_u8; 8]);
}

/// Starts a thread that takes no signals; `None` if there can be none.
pub(crate) fn start_thread(name: &str, f: impl FnOnce() + Send + 'static) -> Option<()> {
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(128 * 1024);
    without_signals(|| builder.spawn(f)).ok().map(drop)
}

struct ProcStat {
    ended: bool,
    start: u64,
}

/// Reads the fields that matter of /proc/PID/stat.
fn read_stat(pid: u32) -> io::Result<ProcStat> {
    let text = fs::read(format!("/proc/{pid}/stat"))?;
    parse_stat(&text).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

fn parse_stat(text: &[u8]) -> Option<ProcStat> {
    // The second field is the name, in parentheses, and may contain any byte.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(&text[end + 1..]).ok()?.split_ascii_whitespace().collect();
    let threads: u64 = fields.get(17)?.parse().ok()?;
    // The first thread of a process may have ended while others run on.
    let ended = matches!(*fields.first()?, "Z" | "X" | "x") && threads <= 1;
    Some(ProcStat { ended, start: fields.get(19)?.parse().ok()? })
}

/// The name that the kernel has for the process, for diagnostics.
pub(crate) fn process_name(pid: u32) -> Option<String> {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(name.trim_end().to_owned())
}

/// Inodes of this process's pid and time namespace; 0 where /proc does not tell.
pub(crate) fn namespaces() -> (u64, u64) {
    let inode = |name: &str| rustix::fs::stat(format!("/proc/self/ns/{name}")).map_or(0, |stat| stat.st_ino);
    (inode("pid"), inode("time"))
}

// ---- futexes

pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, deadline: Option<Instant>) -> Wake {
    let until = match deadline.map(absolute).transpose() {
        Ok(until) => until,
        Err(wake) => return wake,
    };
    loop {
        // No private flag: the word may be waited for by another process.
        return match futex::wait_bitset(word, futex::Flags::empty(), expected, until.as_ref(), ANY_BIT) {
            Err(Errno::INTR) => continue,
            Err(Errno::TIMEDOUT) => Wake::TimedOut,
            // AGAIN: the word has changed already. Nothing else can happen to a valid word.
            _ => Wake::Woken,
        };
    }
}

pub(crate) fn futex_wait_timeout(word: &AtomicU32, expected: u32, timeout: Duration) -> Wake {
    // A timeout that cannot be expressed is longer than anybody waits.
    let timeout = Timespec::try_from(timeout).ok();
    match futex::wait(word, futex::Flags::empty(), expected, timeout.as_ref()) {
        Err(Errno::TIMEDOUT) => Wake::TimedOut,
        _ => Wake::Woken,
    }
}

const ANY_BIT: std::num::NonZeroU32 = std::num::NonZeroU32::MAX;

pub(crate) fn futex_wait_any(words: &[(&AtomicU32, u32)], deadline: Option<Instant>) -> io::Result<Wake> {
    let until = match deadline.map(absolute).transpose() {
        Ok(until) => until,
        Err(wake) => return Ok(wake),
    };
    let waits: Vec<futex::Wait> = words
        .iter()
        .map(|(word, expected)| {
            let mut wait = futex::Wait::new();
            wait.val = u64::from(*expected);
            wait.uaddr = futex::WaitPtr::new(word.as_ptr().cast());
            wait.flags = futex::WaitFlags::SIZE_U32;
            wait
        })
        .collect();
    loop {
        let flags = futex::WaitvFlags::empty();
        return match futex::waitv(&waits, flags, until.as_ref(), ClockId::Monotonic) {
            Err(Errno::INTR) => continue,
            Err(Errno::TIMEDOUT) => Ok(Wake::TimedOut),
            // PERM: what some sandboxes say to a call that they do not know.
            Err(Errno::NOSYS | Errno::PERM) => Err(io::ErrorKind::Unsupported.into()),
            Ok(_) | Err(Errno::AGAIN) => Ok(Wake::Woken),
            Err(error) => Err(error.into()),
        };
    }
}

pub(crate) fn futex_wake(word: &AtomicU32, count: u32) -> usize {
    // Fails only for an address that is not mapped, and a reference is.
    futex::wake(word, futex::Flags::empty(), count).unwrap_or(0)
}

/// The moment as the kernel wants it. `Instant` is the same clock but hides its value.
fn absolute(deadline: Instant) -> Result<Timespec, Wake> {
    let now = rustix::time::clock_gettime(ClockId::Monotonic);
    let left = deadline.checked_duration_since(Instant::now()).filter(|left| *left > Duration::ZERO);
    let left = left.and_then(|left| Timespec::try_from(left).ok()).ok_or(Wake::TimedOut)?;
    Ok(now.checked_add(left).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 }))
}

pub(crate) fn monotonic() -> Duration {
    since_boot(ClockId::Monotonic)
}

pub(crate) fn monotonic_coarse() -> Duration {
    since_boot(ClockId::MonotonicCoarse)
}

fn since_boot(clock: ClockId) -> Duration {
    let now = rustix::time::clock_gettime(clock);
    // It counts up from 0.
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

// ---- sockets

/// Two connected sockets that keep the boundaries of messages; close-on-exec, and never 0, 1 or 2.
pub(crate) fn socket_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let kind = SocketType::SEQPACKET;
    let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)?;
    Ok((above_stdio(a)?, above_stdio(b)?))
}

fn above_stdio(fd: OwnedFd) -> Result<OwnedFd, Errno> {
    if fd.as_raw_fd() > 2 { Ok(fd) } else { rustix::io::fcntl_dupfd_cloexec(&fd, 3) }
}

/// The most descriptors that the kernel takes in one message.
pub(crate) const MAX_FDS: usize = 253;

/// Sends one message, whole or not at all; never waits, never raises SIGPIPE.
pub(crate) fn send(socket: BorrowedFd<'_>, parts: [&[u8]; 2], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::TOOMANYREFS);
    }
    let parts = parts.map(io::IoSlice::new);
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    past_reset(|| rustix::net::sendmsg(socket, &parts, &mut control, flags)).map(drop)
}

/// That the peer went before it had read everything is reported once, and before what it had sent. What matters
/// shows at the next call: its messages, then the end.
fn past_reset<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    match retry_on_intr(&mut call) {
        Err(Errno::CONNRESET) => retry_on_intr(call),
        other => other,
    }
}

/// What [`receive`] found.
pub(crate) struct Received {
    /// Bytes of the message; 0 at the end.
    pub(crate) len: usize,
    pub(crate) fds: Vec<OwnedFd>,
    /// Bytes were lost for want of room.
    pub(crate) cut_off: bool,
    /// Descriptors were lost, because this process may not open more.
    pub(crate) fds_lost: bool,
}

/// Receives one message without waiting.
pub(crate) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received, Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
    let mut parts = [io::IoSliceMut::new(buffer)];
    let message = past_reset(|| rustix::net::recvmsg(socket, &mut parts, &mut control, flags))?;
    let mut fds: Vec<OwnedFd> = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    let fds = fds.into_iter().map(above_stdio).collect::<Result<_, _>>()?;
    Ok(Received {
        len: message.bytes,
        fds,
        cut_off: message.flags.contains(ReturnFlags::TRUNC),
        fds_lost: message.flags.contains(ReturnFlags::CTRUNC),
    })
}

/// A copy of the descriptor, close-on-exec, never 0, 1 or 2.
pub(crate) fn duplicate(fd: &impl AsFd) -> Result<OwnedFd, Errno> {
    rustix::io::fcntl_dupfd_cloexec(fd, 3)
}

pub(crate) fn write_all(fd: BorrowedFd<'_>, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let written = retry_on_intr(|| rustix::io::write(fd, bytes))?;
        bytes = &bytes[written..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse_the_parser() {
        let text = b"42 (a) Z (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 1 18 777 20";
        let stat = parse_stat(text).unwrap();
        assert!(!stat.ended);
        assert_eq!(stat.start, 777);
    }

    #[test]
    fn a_first_thread_that_ended_before_the_others_is_not_the_end_of_the_process() {
        let line =
            |threads: u32| format!("42 (x) Z 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 18 777 20");
        assert!(!parse_stat(line(2).as_bytes()).unwrap().ended);
        assert!(parse_stat(line(1).as_bytes()).unwrap().ended);
    }
}
