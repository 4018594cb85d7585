//! What is left of containers that were cleared: a block of slots, and a block for each of these, all of them to be freed.
//!
//! To clear a container is to leave its slots to the domain, which takes few changes however many entries there were, and
//! no memory. Whoever locks the domain next frees them, some at a time, before anything else.

use ipc_core::Result;

use crate::heap::class_of;
use crate::layout::{self, lengths};
use crate::table::{Entry, GONE};
use crate::transaction::Transaction;

/// Set in [`Domain::trash`](layout::Domain::trash) if the slots are those of a table.
const TABLE: u64 = 1;
/// So many blocks are freed at once: their changes have room in the domain's log.
const SOME: usize = 24;
/// So many slots are looked at for them.
const LOOKED_AT: usize = 1000;

impl Transaction<'_> {
    /// Leaves a table to its domain.
    pub(crate) fn discard_table(&mut self, domain: usize, block: u64, slots: u64) {
        self.discard_vector(domain, block | TABLE, slots);
    }

    /// Leaves a list's vector to its domain.
    pub(crate) fn discard_vector(&mut self, domain: usize, block: u64, slots: u64) {
        let [trash, left] = layout::trash(domain);
        self.set(trash, block);
        self.set(left, slots);
    }

    /// Frees all that was left to a domain.
    #[cold]
    pub(crate) fn sweep(&mut self, domain: usize) -> Result<()> {
        while self.get(layout::trash(domain)[0])? != 0 {
            self.sweep_some(domain)?;
            self.apply()?;
        }
        Ok(())
    }

    fn sweep_some(&mut self, domain: usize) -> Result<()> {
        let [trash, slots] = layout::trash(domain);
        let (word, mut left) = (self.get(trash)?, self.get(slots)?);
        let (block, is_table) = (word & !TABLE, word & TABLE != 0);
        let (_, len) = lengths(self.get(block)?);
        if left > len as u64 / 8 {
            return Err(self.store().damaged("number of slots"));
        }
        if left == 0 {
            self.free(domain, block, 8 + len as u64);
            self.set(trash, 0);
            return Ok(());
        }
        let (mut freed, mut looked_at) = (0, 0);
        while left > 0 && freed < SOME && looked_at < LOOKED_AT {
            let slot = self.get(block + 8 * left)?;
            left -= 1;
            looked_at += 1;
            if is_table && (slot == 0 || slot == GONE) {
                continue;
            }
            let block = if is_table { Entry::block_of(slot) } else { slot };
            let (key, value) = lengths(self.get(block)?);
            let len = 8 + key as u64 + value as u64;
            self.free(domain, block, len);
            // A large one has many changes.
            freed += if class_of(len).is_some() { 1 } else { SOME };
        }
        self.set(slots, left);
        Ok(())
    }
}
