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

/// At most 8 bytes as a word, zeroes behind them. Without a loop or a call: most keys and values end in such.
#[inline]
pub(crate) fn word_of(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    let byte = |at: usize| u64::from(bytes[at]) << (8 * at);
    if let Some(all) = bytes.first_chunk() {
        u64::from_le_bytes(*all)
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
    } else if len > 0 {
        byte(0) | byte(len / 2) | byte(len - 1)
    } else {
        0
    }
}

/// Whether those bytes lie there.
#[inline]
pub(crate) fn equals(segment: &Segment, position: u64, bytes: &[u8]) -> Result<bool> {
    let words = words(segment, position, bytes.len())?;
    let mut pairs = words.iter().zip(bytes.chunks(WORD));
    Ok(pairs.all(|(word, bytes)| {
        let unused = 8 * (WORD - bytes.len());
        (word.load(Ordering::Relaxed) ^ word_of(bytes)) << unused == 0
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
        to.extend_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
    }
    to.truncate(len - first * WORD);
    Ok(skip - first * WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_has_its_bytes_and_zeroes() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        for len in 0..=8 {
            let mut all = [0; 8];
            all[..len].copy_from_slice(&bytes[..len]);
            assert_eq!(word_of(&bytes[..len]), u64::from_le_bytes(all));
        }
    }
}
