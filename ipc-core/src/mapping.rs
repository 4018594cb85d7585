//! A file in memory: its pages reserved, its header checked.
#![allow(unsafe_code)]

use std::os::fd::BorrowedFd;
use std::slice;

use memmap2::MmapRaw;
use rustix::io::Errno;

use crate::error::{Cause, os};
use crate::header::{self, Shape};
use crate::layout::{Header, Slot};
use crate::{name, sys};

/// A mapped file whose header was checked.
pub(crate) struct Mapping {
    pub(crate) map: MmapRaw,
    pub(crate) shape: Shape,
}

impl Mapping {
    pub(crate) fn new(fd: BorrowedFd<'_>, shape: Shape) -> Result<Mapping, Cause> {
        // It fits: at most isize::MAX, by `Spec::check` and `header::check`.
        Ok(Mapping { map: sys::map(fd, (shape.data + shape.max_len) as usize)?, shape })
    }

    /// Maps a file of which nothing is known.
    pub(crate) fn check(fd: BorrowedFd<'_>) -> Result<Mapping, Cause> {
        let is_sealed = sys::cannot_shrink(fd);
        // Only now: before the seal its length may have been another.
        let stat = sys::stat(fd).map_err(os)?;
        // A descriptor may come from anybody. Only the user's own named files, which cannot be sealed, may lack the seal.
        if !is_sealed && (stat.uid != sys::user() || !stat.is_private || !name::is_at_home(fd)) {
            return Err(Cause::NotSealed);
        }
        // Huge pages may be mapped without being there.
        if sys::has_huge_pages(fd) || stat.len < size_of::<Header>() as u64 {
            return Err(Cause::NotASegment);
        }
        let unknown = Shape { data: size_of::<Header>() as u64, max_len: 0, slots: 0 };
        let shape = header::check(Mapping::new(fd, unknown)?.header(), stat.len)?;
        let mapping = Mapping::new(fd, shape)?;
        if !is_sealed && header::name(mapping.header()).is_empty() {
            return Err(Cause::NotSealed);
        }
        Ok(mapping)
    }

    pub(crate) fn header(&self) -> &Header {
        // SAFETY: a mapping begins at a page and has at least a header, which `reserve` or `check` made sure of; a
        // Header is a SharedLayout.
        unsafe { &*self.map.as_ptr().cast::<Header>() }
    }

    pub(crate) fn slots(&self) -> &[Slot] {
        let start = self.map.as_ptr().wrapping_add(size_of::<Header>());
        // SAFETY: the number of slots was checked against the length of the file, and is kept outside of shared
        // memory since; 512 bytes behind a page's start is aligned; a Slot is a SharedLayout.
        unsafe { slice::from_raw_parts(start.cast::<Slot>(), self.shape.slots as usize) }
    }
}

/// Makes `fd` `len` bytes long, of which it has `have`, or says how much memory there is.
pub(crate) fn reserve(fd: BorrowedFd<'_>, have: u64, len: u64) -> Result<(), Cause> {
    check_size(have, len)?;
    sys::reserve(fd, have, len).map_err(|errno| match errno {
        Errno::NOSPC | Errno::NOMEM => Cause::NoMemory {
            asked: len - have,
            available: sys::free_space(fd).or_else(sys::available_memory).unwrap_or(0),
        },
        errno => os(errno),
    })
}

/// Whether a file of `have` bytes can become `len` bytes long. The kernel would kill this process for a file above its
/// limit, and some process rather than refuse a large request that the machine cannot meet.
pub(crate) fn check_size(have: u64, len: u64) -> Result<(), Cause> {
    const SMALL: u64 = 1 << 20;
    if let Some(limit) = sys::file_limit().filter(|limit| len > *limit) {
        return Err(Cause::FileLimit { asked: len, limit });
    }
    let asked = len - have;
    if asked <= SMALL {
        return Ok(());
    }
    match sys::available_memory() {
        Some(available) if available < asked => Err(Cause::NoMemory { asked, available }),
        _ => Ok(()),
    }
}
