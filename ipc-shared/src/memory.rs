//! Bytes in and out of blocks, word by word: others may look at a block while it is written, or write to one that is
//! being looked at.

use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Cause, Error, Result, Segment};

/// Bytes of a word.
const WORD: usize = 8;

/// The words from there on that so many bytes take.
#[inline]
fn words(segment: &Segment, position: u64, len: usize) -> Result<&[AtomicU64]> {
    segment.slice(position, len.div_ceil(WORD))
}

/// Writes bytes, and zeroes up to the next word.
#[inline]
pub(crate) fn write(segment: &Segment, position: u64, bytes: &[u8]) -> Result<()> {
    for (word, bytes) in words(segment, position, bytes.len())?.iter().zip(bytes.chunks(WORD)) {
        word.store(word_of(bytes), Ordering::Relaxed);
    }
    Ok(())
}

/// The bytes, as a word; zeroes behind them.
#[inline]
pub(crate) fn word_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(bytes) => u64::from_ne_bytes(*bytes),
        None => {
            let mut word = [0; WORD];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_ne_bytes(word)
        }
    }
}

/// Whether those bytes lie there.
#[inline]
pub(crate) fn equals(segment: &Segment, position: u64, bytes: &[u8]) -> Result<bool> {
    let words = words(segment, position, bytes.len())?;
    let mut pairs = words.iter().zip(bytes.chunks(WORD));
    Ok(pairs.all(|(word, bytes)| {
        let word = word.load(Ordering::Relaxed);
        match bytes.first_chunk() {
            Some(bytes) => word == u64::from_ne_bytes(*bytes),
            None => word.to_ne_bytes()[..bytes.len()] == *bytes,
        }
    }))
}

/// Replaces what is in the buffer with the bytes from `skip` to `len` that lie there; says where in the buffer they begin.
#[inline]
pub(crate) fn read(
    segment: &Segment,
    position: u64,
    skip: usize,
    len: usize,
    to: &mut Vec<u8>,
) -> Result<usize> {
    to.clear();
    let first = skip / WORD;
    let words = words(segment, position, len)?.get(first..).unwrap_or_default();
    let no_memory = |_| {
        let cause = Cause::NoMemory { asked: len as u64, available: 0 };
        Error::new("copy a value out of", segment.label(), cause)
    };
    to.try_reserve(words.len() * WORD).map_err(no_memory)?;
    for word in words {
        to.extend_from_slice(&word.load(Ordering::Relaxed).to_ne_bytes());
    }
    to.truncate(len - first * WORD);
    Ok(skip - first * WORD)
}
