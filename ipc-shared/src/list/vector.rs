//! A list of bytes: a vector of positions, and a block for each element. All of it belongs to one domain.

use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::Result;

use crate::layout::{self, DOMAINS};
use crate::memory;
use crate::object::{DATA, Kind, Object};
use crate::store::Store;
use crate::transaction::Transaction;

/// So many elements move up when one before them is taken away; if there are more, a new vector is cheaper.
const FEW: u64 = 500;

/// What a list has: three words, from [`DATA`] on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Vector {
    /// The block of positions; 0 if there is none.
    pub(crate) block: u64,
    /// How many it has room for.
    pub(crate) capacity: u64,
    pub(crate) len: u64,
}

impl Vector {
    /// Bytes of the block.
    pub(crate) fn bytes(self) -> u64 {
        8 + 8 * self.capacity
    }

    /// Where the position of that element stands.
    #[inline]
    pub(crate) fn slot(self, index: u64) -> u64 {
        self.block.wrapping_add(8).wrapping_add(index.wrapping_mul(8))
    }
}

impl Object {
    pub(crate) fn create_list(store: &Store, type_name: &str) -> Result<Object> {
        Object::create(store, Kind::List, type_name, 24, |_, _| Ok(()))
    }

    /// The domain that a list belongs to.
    pub(crate) fn list_domain(&self) -> usize {
        (self.at / 16) as usize % DOMAINS
    }

    /// The list's words. `word` reads a position.
    pub(crate) fn vector(&self, word: impl Fn(u64) -> Result<u64>) -> Result<Vector> {
        let words = [0, 8, 16].map(|offset| word(self.at + DATA + offset));
        let [block, capacity, len] = words;
        let vector = Vector { block: block?, capacity: capacity?, len: len? };
        // So that no sum of them overflows.
        let is_sound = vector.capacity < 1 << 40 && vector.len <= vector.capacity && vector.block < 1 << 60;
        if is_sound { Ok(vector) } else { Err(self.store.damaged("length of a list")) }
    }

    /// Locks a list, and other domains.
    pub(crate) fn lock_list(&self, domains: u64) -> Result<(Transaction<'_>, Vector)> {
        let transaction = self.store.begin(domains | 1 << self.list_domain())?;
        self.check_there()?;
        let vector = self.vector(|position| transaction.get(position))?;
        Ok((transaction, vector))
    }

    /// Reads something of a list, as it is at one moment.
    pub(crate) fn read_list<R>(&self, mut read: impl FnMut(Vector) -> Result<R>) -> Result<R> {
        let mut read = || {
            self.check_there()?;
            read(self.vector(|position| self.now(position))?)
        };
        let domain = 1 << self.list_domain();
        if let Some(found) = self.store.read(domain, &mut read)? {
            return Ok(found);
        }
        let _transaction = self.store.begin(domain)?;
        read()
    }

    /// How many bytes an element has.
    pub(crate) fn element_len(&self, block: u64) -> Result<usize> {
        Ok(layout::lengths(self.segment().at::<AtomicU64>(block)?.load(Ordering::Relaxed)).1)
    }

    /// Copies an element into the buffer.
    pub(crate) fn read_element(&self, block: u64, to: &mut Vec<u8>) -> Result<()> {
        let len = self.element_len(block)?;
        memory::read(self.segment(), block.saturating_add(8), 0, len, to).map(drop)
    }

    pub(crate) fn new_element(&self, transaction: &mut Transaction<'_>, bytes: &[u8]) -> Result<u64> {
        let block = transaction.allocate(self.list_domain(), 8 + bytes.len() as u64)?;
        memory::write(self.segment(), block + 8, bytes)?;
        transaction.set(block, layout::header(0, bytes.len()));
        Ok(block)
    }

    pub(crate) fn free_element(&self, transaction: &mut Transaction<'_>, block: u64) -> Result<()> {
        let len = self.element_len(block)?;
        transaction.free(self.list_domain(), block, 8 + len as u64);
        Ok(())
    }

    /// Has another element in that slot.
    pub(crate) fn replace(&self, transaction: &mut Transaction<'_>, slot: u64, bytes: &[u8]) -> Result<()> {
        let old = transaction.get(slot)?;
        let block = self.new_element(transaction, bytes)?;
        transaction.set(slot, block);
        self.free_element(transaction, old)
    }

    /// Takes an element out of the vector, where it is if few follow.
    pub(crate) fn take_out(
        &self,
        transaction: &mut Transaction<'_>,
        vector: Vector,
        index: u64,
    ) -> Result<()> {
        if vector.len - index > FEW {
            let mut positions = self.positions(transaction, vector)?;
            positions.remove(index as usize);
            return self.rebuild(transaction, vector, &positions);
        }
        for index in index..vector.len - 1 {
            let next = transaction.get(vector.slot(index + 1))?;
            transaction.set(vector.slot(index), next);
        }
        self.set_len(transaction, vector.len - 1);
        Ok(())
    }

    pub(crate) fn set_len(&self, transaction: &mut Transaction<'_>, len: u64) {
        transaction.set(self.at + DATA + 16, len);
    }

    pub(crate) fn push(&self, transaction: &mut Transaction<'_>, vector: Vector, bytes: &[u8]) -> Result<()> {
        let block = self.new_element(transaction, bytes)?;
        if vector.len < vector.capacity {
            transaction.set(vector.slot(vector.len), block);
            self.set_len(transaction, vector.len + 1);
            return Ok(());
        }
        let mut positions = self.positions(transaction, vector)?;
        positions.push(block);
        self.rebuild(transaction, vector, &positions)
    }

    /// The positions of all elements.
    pub(crate) fn positions(&self, transaction: &Transaction<'_>, vector: Vector) -> Result<Vec<u64>> {
        (0..vector.len).map(|index| transaction.get(vector.slot(index))).collect()
    }

    /// Has those elements, in a new vector with room for some more.
    pub(crate) fn rebuild(
        &self,
        transaction: &mut Transaction<'_>,
        old: Vector,
        positions: &[u64],
    ) -> Result<()> {
        let len = positions.len() as u64;
        let capacity = (len + len / 2).max(4);
        let mut new = Vector { block: 0, capacity, len };
        new.block = transaction.allocate(self.list_domain(), new.bytes())?;
        let slots = self.segment().slice::<AtomicU64>(new.slot(0), positions.len())?;
        for (slot, position) in slots.iter().zip(positions) {
            slot.store(*position, Ordering::Relaxed);
        }
        transaction.set(new.block, layout::header(0, 8 * capacity as usize));
        for (offset, word) in [(0, new.block), (8, capacity), (16, len)] {
            transaction.set(self.at + DATA + offset, word);
        }
        if old.capacity > 0 {
            transaction.free(self.list_domain(), old.block, old.bytes());
        }
        Ok(())
    }

    pub(crate) fn clear_list(&self, transaction: &mut Transaction<'_>, vector: Vector) {
        if vector.capacity > 0 {
            transaction.discard_vector(self.list_domain(), vector.block, vector.len);
        }
        [0, 8, 16].into_iter().for_each(|offset| transaction.set(self.at + DATA + offset, 0));
    }
}
