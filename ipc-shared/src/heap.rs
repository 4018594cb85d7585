//! Blocks: small ones from slabs, which belong to a domain, large ones from the arena.

use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Cause, Result};

use crate::arena::Run;
use crate::layout::{self, PAGE, SIZES};
use crate::transaction::Transaction;

/// The longest block: its header has 32 bits for each of two lengths.
const LONGEST: u64 = u32::MAX as u64;

/// The size class for so many bytes; `None` for those that have pages of their own.
#[inline]
pub(crate) fn class_of(len: u64) -> Option<usize> {
    match len {
        0..=128 => Some((len.max(1) as usize - 1) / 16),
        129..=4096 => {
            // Four classes for each doubling.
            let order = (len - 1).ilog2();
            let quarter = (len - 1 - (1 << order)) >> (order - 2);
            Some(8 + (order as usize - 7) * 4 + quarter as usize)
        }
        _ => None,
    }
}

/// How many pages a slab of the class has, as a power of two.
fn slab_order(class: usize) -> u32 {
    match SIZES[class] {
        0..=256 => 0,
        257..=1024 => 1,
        _ => 2,
    }
}

impl Transaction<'_> {
    /// A block of that many bytes, header included, out of the domain's memory. Nobody can reach it; all but its first
    /// word may be written.
    #[inline]
    pub(crate) fn allocate(&mut self, domain: usize, len: u64) -> Result<u64> {
        let Some(class) = class_of(len) else { return self.allocate_pages(len) };
        let list = layout::free_block(domain, class);
        let block = match self.get(list)? {
            0 => self.new_slab(domain, class)?,
            block => block,
        };
        // The list is another process's word for it: what it leads to has to lie in the arena.
        if !block.is_multiple_of(16) || !self.store().is_in_arena(block) {
            return Err(self.store().damaged("list of free blocks"));
        }
        let next = self.get(block)?;
        self.set(list, next);
        Ok(block)
    }

    #[cold]
    fn allocate_pages(&mut self, len: u64) -> Result<u64> {
        if len > LONGEST {
            let cause = Cause::OutOfBounds { offset: 0, len, size: LONGEST };
            return Err(self.store().error("store a value in", cause));
        }
        let pages = len.div_ceil(PAGE);
        let page = self.take(pages, Run::Large { pages })?;
        Ok(self.store().pages_at(page))
    }

    /// Cuts a new slab into blocks, each leading to the next; the first.
    #[cold]
    fn new_slab(&mut self, domain: usize, class: usize) -> Result<u64> {
        let order = slab_order(class);
        let page = self.take(1 << order, Run::Slab { class, domain, order })?;
        let start = self.store().pages_at(page);
        let size = SIZES[class];
        let count = (PAGE << order) / size;
        for block in 0..count {
            let next = if block + 1 < count { start + (block + 1) * size } else { 0 };
            self.segment().at::<AtomicU64>(start + block * size)?.store(next, Ordering::Relaxed);
        }
        Ok(start)
    }

    /// Frees a block of that many bytes: part of the commit.
    pub(crate) fn free_now(&mut self, domain: usize, position: u64, len: u64) -> Result<()> {
        match class_of(len) {
            Some(class) => {
                let list = layout::free_block(domain, class);
                let next = self.get(list)?;
                self.set(position, next);
                self.set(list, position);
                Ok(())
            }
            None => {
                let first = self.store().page_of(position).ok_or_else(|| self.store().damaged("block"))?;
                self.give(first, len.div_ceil(PAGE))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_has_the_smallest_class_that_it_fits_into() {
        for len in 1..=4096 {
            let best = SIZES.iter().position(|size| *size >= len);
            assert_eq!(class_of(len), best, "{len}");
        }
        assert_eq!(class_of(4097), None);
    }
}
