//! The bytes of items, in and out. No reference to them is ever made, since other processes may be writing there.
#![allow(unsafe_code)]

use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Cause, Error, Result, Segment};

use crate::ring::Record;

/// The word at that position.
#[inline]
pub(crate) fn word(segment: &Segment, position: u64) -> Result<&AtomicU64> {
    segment.at(position)
}

/// What CPUs fetch from each other at once, in bytes.
#[cfg(target_arch = "x86_64")]
const LINE: usize = 64;

/// Up to so many bytes are written word by word. `memcpy` writes them in stores that are as wide as the machine has, cross
/// lines and overlap, each of which waits for lines that are still with the CPU of the reader: between two CPUs, 64 bytes
/// take 1.45 times as long, 128 bytes 1.15 times, and 1024 bytes 1.06 times.
const SMALL: usize = 1024;

/// Copies bytes into the segment.
#[inline]
pub(crate) fn write(segment: &Segment, position: u64, bytes: &[u8]) -> Result<()> {
    let to = segment.bytes(position, bytes.len())?;
    let is_small = bytes.len() <= SMALL && to.cast::<AtomicU64>().is_aligned();
    let (words, rest) = if is_small { bytes.as_chunks() } else { (&[][..], bytes) };
    for (index, &word) in words.iter().enumerate() {
        // SAFETY: within the bytes at `to`, whose number was just checked.
        let to = unsafe { to.cast::<u64>().add(index) };
        // SAFETY: aligned, as was just checked, and in shared memory, where nobody has references to anything but atomics.
        unsafe { AtomicU64::from_ptr(to) }.store(u64::from_ne_bytes(word), Ordering::Relaxed);
    }
    if rest.is_empty() {
        return Ok(());
    }
    // SAFETY: as above.
    let to = unsafe { to.add(bytes.len() - rest.len()) };
    // SAFETY: `to` has room for what is left, and is in shared memory, where no `&mut` of this process is. Another process
    // that writes there at the same time can spoil the bytes, and nothing else.
    unsafe { ptr::copy_nonoverlapping(rest.as_ptr(), to, rest.len()) };
    Ok(())
}

/// Has the CPU fetch the line behind the one of that word, which is about to be written and which the CPU of the reader may
/// have. To wait for it as late as in the next write costs a stream of small items a quarter of its speed: all of them have
/// to be there before the lock for the next one can be taken.
#[inline]
pub(crate) fn prepare_write(word: &AtomicU64) {
    #[cfg(target_arch = "x86_64")]
    {
        let behind = word.as_ptr().wrapping_byte_add(LINE);
        // SAFETY: it changes nothing but caches, whatever is there or if nothing is. CPUs that do not know it do nothing.
        unsafe { std::arch::asm!("prefetchw [{}]", in(reg) behind, options(nostack, preserves_flags)) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = word;
}

/// Appends bytes of the segment.
#[inline]
pub(crate) fn read(segment: &Segment, record: Record, to: &mut Vec<u8>) -> Result<()> {
    let Record { at, len } = record;
    let from = segment.bytes(at, len)?;
    let no_memory = |_| {
        let cause = Cause::NoMemory { asked: len as u64, available: 0 };
        Error::new("copy an item out of", segment.label(), cause)
    };
    to.try_reserve(len).map_err(no_memory)?;
    let end = to.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    // SAFETY: `from` has that many bytes and `end` room for them, which was just seen to, and they do not overlap: one is
    // shared memory, the other the allocator's.
    unsafe { ptr::copy_nonoverlapping(from, end, len) };
    // SAFETY: so many more bytes are initialised by now.
    unsafe { to.set_len(to.len() + len) };
    Ok(())
}

/// Copies bytes of the segment into a buffer, which gives their number.
#[inline]
pub(crate) fn read_into(segment: &Segment, position: u64, to: &mut [u8]) -> Result<()> {
    let from = segment.bytes(position, to.len())?;
    // SAFETY: as in `read`.
    unsafe { ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
    Ok(())
}

/// Copies bytes of the segment to elsewhere in it.
pub(crate) fn copy(segment: &Segment, from: u64, to: u64, len: usize) -> Result<()> {
    let (from, to) = (segment.bytes(from, len)?, segment.bytes(to, len)?);
    // SAFETY: both have that many bytes, which was just checked, and may overlap. What other processes write there at the
    // same time can spoil the bytes, and nothing else.
    unsafe { ptr::copy(from, to, len) };
    Ok(())
}
