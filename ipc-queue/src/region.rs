//! Positions in the segment, and the regions that they lie in.

use crate::layout::{MAX_CLASS, MIN_CLASS};

/// Bytes of a record's first word, and what records are aligned to.
pub(crate) const WORD: u64 = 8;

/// Regions up to this size, 1 MiB, are kept when they are empty.
pub(crate) const KEPT_CLASS: u32 = 20;

/// Regions up to this size, 64 MiB, have room for another item of the size that they were made for.
pub(crate) const ROOMY_CLASS: u32 = 26;

/// A part of the segment from 2^class to 2^(class+1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Region {
    pub(crate) class: u32,
}

impl Region {
    /// The region in which a record at that position, read from shared memory, could begin.
    #[inline]
    pub(crate) fn of(position: u64) -> Option<Region> {
        let class = 63_u32.wrapping_sub(position.leading_zeros());
        let region = Region { class };
        // The check of the class comes first: without it the end may be no number.
        ((MIN_CLASS..=MAX_CLASS).contains(&class) && position.is_multiple_of(WORD)).then_some(region)
    }

    /// The smallest region with `len` bytes, if there is one so large.
    pub(crate) fn with_len(len: u64) -> Option<Region> {
        let class = len.checked_next_power_of_two()?.trailing_zeros().max(MIN_CLASS);
        (class <= MAX_CLASS).then_some(Region { class })
    }

    #[inline]
    pub(crate) fn start(self) -> u64 {
        1 << self.class
    }

    #[inline]
    pub(crate) fn end(self) -> u64 {
        2 << self.class
    }

    pub(crate) fn len(self) -> u64 {
        1 << self.class
    }

    pub(crate) fn bit(self) -> u64 {
        1 << self.class
    }

    /// Where a record of `need` bytes can be put after `tail`, so that a word for a jump still fits behind it. `reader` is
    /// the position up to which nothing may be written, if it is in this region; if not, everything from the start of
    /// the region to `tail` is unread.
    #[inline]
    pub(crate) fn place(self, tail: u64, reader: u64, need: u64) -> Option<u64> {
        let need = need.checked_add(WORD)?;
        if reader > tail && reader < self.end() {
            return (need <= reader - tail).then_some(tail);
        }
        if need <= self.end() - tail {
            return Some(tail);
        }
        (reader >= self.start() && reader <= tail && need <= reader - self.start()).then(|| self.start())
    }
}

/// Bytes that a record of `len` bytes takes; `None` if that is no number.
#[inline]
pub(crate) fn record_len(len: u64) -> Option<u64> {
    len.checked_next_multiple_of(WORD)?.checked_add(WORD)
}
