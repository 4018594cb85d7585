//! Memory: mapped, and to be had.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::path::Path;
use std::ptr;
use std::sync::atomic::AtomicU32;

use memmap2::{Advice, Mmap, MmapOptions, MmapRaw};
use rustix::fs::SealFlags;
use rustix::io::Errno;

use super::stat;

/// Maps `len` bytes of `fd` for reading and writing, also those that the file does not have yet.
pub(crate) fn map(fd: BorrowedFd<'_>, len: usize) -> io::Result<MmapRaw> {
    let map = MmapOptions::new().len(len).no_reserve_swap().map_raw(fd.as_raw_fd())?;
    // A process that crashes has not ended before its dump is written, for which the kernel looks at every page, be it there
    // or not: 4 s for 16 GiB. Meanwhile it would keep its locks.
    map.advise(Advice::DontDump)?;
    Ok(map)
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

/// Bytes left in the file system of the file; `None` if it has no bound.
pub(crate) fn free_space(file: BorrowedFd<'_>) -> Option<u64> {
    let stat = rustix::fs::fstatvfs(file).ok().filter(|stat| stat.f_blocks > 0)?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
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
