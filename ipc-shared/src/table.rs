//! Hash tables of bytes to bytes, one for each domain of a dictionary.
//!
//! A table is a [`Part`] of three words, and a block of 2^n slots. A slot is 0, or [`GONE`] where an entry was removed, or
//! the position of an entry's block, divided by 8, with 24 bits of its key's hash above. They are looked at one after the
//! other from the place that the hash gives, up to one that is 0. The slots that are not 0 never fill more than seven
//! eighths of the table.
//!
//! An entry is a block: its header, the bytes of the key and those of the value.

use std::ops::ControlFlow;

use ipc_core::{Cause, Result, Segment};

use crate::layout::{self, DOMAINS, lengths};
use crate::memory;
use crate::store::Store;
use crate::transaction::Transaction;

/// Where an entry was removed, and others may follow.
pub(crate) const GONE: u64 = 1;
/// Bits of the hash in a slot.
const TAG_BITS: u32 = 24;
/// Slots of a table: 2^this at first, and at most.
const FIRST: u32 = 3;
const MOST: u32 = TAG_BITS;
/// Entries are changed in place if no more than so many words differ.
const IN_PLACE: usize = 16;

/// What a dictionary has in a domain: the position of its slots | their number's logarithm << 56, or 0; how many entries it
/// has; how many slots are not 0.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part {
    pub(crate) at: u64,
}

/// Bytes of a part; the fourth word is 0.
pub(crate) const PART: u64 = 32;

/// The slots of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slots {
    pub(crate) block: u64,
    pub(crate) log: u32,
}

/// Where a key is, or could be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found {
    /// The slot's position, and the entry.
    Entry(u64, Entry),
    /// The first slot that is free, and whether an entry was removed from it; `None` without a table.
    Free(Option<(u64, bool)>),
}

/// An entry's block, and the lengths in its header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) block: u64,
    pub(crate) key: usize,
    pub(crate) value: usize,
}

impl Entry {
    /// Bytes of the block.
    pub(crate) fn len(self) -> u64 {
        8 + self.key as u64 + self.value as u64
    }

    /// The block that a slot leads to.
    pub(crate) fn block_of(slot: u64) -> u64 {
        (slot & ((1 << (64 - TAG_BITS)) - 1)) << 3
    }
}

impl Slots {
    /// Those that the first word of a part stands for, if it has a table.
    #[inline]
    pub(crate) fn of(store: &Store, word: u64) -> Result<Option<Slots>> {
        let slots = Slots { block: word & ((1 << 56) - 1), log: (word >> 56) as u32 };
        if slots.log > MOST {
            Err(store.damaged("size of a table"))
        } else {
            Ok((slots.block != 0).then_some(slots))
        }
    }

    fn word(self) -> u64 {
        self.block | u64::from(self.log) << 56
    }

    pub(crate) fn count(self) -> u64 {
        1 << self.log
    }

    /// Bytes of the block.
    pub(crate) fn len(self) -> u64 {
        8 + 8 * self.count()
    }

    /// Where the slot is that is looked at first for a hash.
    #[inline]
    pub(crate) fn place(self, hash: u64) -> u64 {
        self.slot(tag_of(hash) & (self.count() - 1))
    }

    #[inline]
    pub(crate) fn slot(self, index: u64) -> u64 {
        self.block + 8 + 8 * index
    }
}

/// The domain that a hash belongs to.
#[inline]
pub(crate) fn domain_of(hash: u64) -> usize {
    (hash >> 58) as usize % DOMAINS
}

#[inline]
pub(crate) fn tag_of(hash: u64) -> u64 {
    hash & ((1 << TAG_BITS) - 1)
}

/// Looks a key up. `word` reads a position.
#[inline]
pub(crate) fn find(
    store: &Store,
    part: Part,
    hash: u64,
    key: &[u8],
    word: impl Fn(u64) -> Result<u64>,
) -> Result<Found> {
    let Some(slots) = Slots::of(store, word(part.at)?)? else { return Ok(Found::Free(None)) };
    let (tag, mask) = (tag_of(hash), slots.count() - 1);
    let mut index = tag & mask;
    let mut gone = None;
    for _ in 0..=mask {
        let position = slots.slot(index);
        match word(position)? {
            0 => {
                let free = gone.map_or((position, false), |gone| (gone, true));
                return Ok(Found::Free(Some(free)));
            }
            GONE => gone = gone.or(Some(position)),
            slot if slot >> (64 - TAG_BITS) == tag => {
                let block = Entry::block_of(slot);
                let (key_len, value) = lengths(word(block)?);
                if key_len == key.len() && memory::equals(store.segment(), block + 8, key)? {
                    return Ok(Found::Entry(position, Entry { block, key: key_len, value }));
                }
            }
            _ => {}
        }
        index = (index + 1) & mask;
    }
    Err(store.damaged("table without a free slot"))
}

/// Copies an entry's value into the buffer; says where in it it begins.
#[inline]
pub(crate) fn read_value(segment: &Segment, entry: Entry, to: &mut Vec<u8>) -> Result<usize> {
    memory::read(segment, entry.block + 8, entry.key, entry.key + entry.value, to)
}

/// A copy of an entry's key and value.
pub(crate) fn read_entry(segment: &Segment, entry: Entry) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    memory::read(segment, entry.block + 8, 0, entry.key + entry.value, &mut bytes)?;
    Ok(bytes)
}

/// Goes through the entries of a part.
pub(crate) fn each(
    store: &Store,
    part: Part,
    word: impl Fn(u64) -> Result<u64>,
    mut f: impl FnMut(u64, Entry) -> Result<ControlFlow<()>>,
) -> Result<()> {
    let Some(slots) = Slots::of(store, word(part.at)?)? else { return Ok(()) };
    for index in 0..slots.count() {
        let slot = word(slots.slot(index))?;
        if slot != 0 && slot != GONE {
            let block = Entry::block_of(slot);
            let (key, value) = lengths(word(block)?);
            if f(slots.slot(index), Entry { block, key, value })?.is_break() {
                break;
            }
        }
    }
    Ok(())
}

impl Transaction<'_> {
    /// Looks a key up in a part whose domain is locked.
    #[inline]
    pub(crate) fn find(&self, part: Part, hash: u64, key: &[u8]) -> Result<Found> {
        find(self.store(), part, hash, key, |position| self.get(position))
    }

    /// Gives a key the value; `bytes` are those of both.
    #[inline]
    pub(crate) fn put(
        &mut self,
        part: Part,
        domain: usize,
        hash: u64,
        (bytes, key): (&[u8], usize),
        found: Found,
    ) -> Result<()> {
        let header = layout::header(key, bytes.len() - key);
        match found {
            Found::Entry(slot, old) => {
                if self.put_in_place(old, bytes, header)? {
                    return Ok(());
                }
                let block = self.new_block(domain, bytes, header)?;
                self.set(slot, block >> 3 | tag_of(hash) << (64 - TAG_BITS));
                self.free(domain, old.block, old.len());
            }
            Found::Free(free) => {
                let used = self.get(part.at + 16)?;
                let slots = Slots::of(self.store(), self.get(part.at)?)?;
                let (slot, was_gone) = match (free, slots) {
                    (Some(free), Some(slots)) if free.1 || used < slots.count() / 8 * 7 => free,
                    _ => (self.rebuild(part, domain, hash)?, false),
                };
                let block = self.new_block(domain, bytes, header)?;
                self.set(slot, block >> 3 | tag_of(hash) << (64 - TAG_BITS));
                let (count, used) = (self.get(part.at + 8)?, self.get(part.at + 16)?);
                self.set(part.at + 8, count.wrapping_add(1));
                self.set(part.at + 16, used.wrapping_add(u64::from(!was_gone)));
            }
        }
        Ok(())
    }

    /// Changes an entry's words where they are, if they are few and its block is of the right size.
    #[inline]
    fn put_in_place(&mut self, old: Entry, bytes: &[u8], header: u64) -> Result<bool> {
        let same_size = crate::heap::class_of(old.len())
            .is_some_and(|class| crate::heap::class_of(8 + bytes.len() as u64) == Some(class));
        if !same_size {
            return Ok(false);
        }
        // The key is the same.
        let first = old.key / 8;
        let words = bytes[8 * first..].chunks(8).map(memory::word_of);
        if words.len() > IN_PLACE {
            return Ok(false);
        }
        let start = old.block + 8 + 8 * first as u64;
        for (position, word) in (start..).step_by(8).zip(words) {
            if self.get(position)? != word {
                self.set(position, word);
            }
        }
        if header != layout::header(old.key, old.value) {
            self.set(old.block, header);
        }
        Ok(true)
    }

    #[inline]
    fn new_block(&mut self, domain: usize, bytes: &[u8], header: u64) -> Result<u64> {
        let block = self.allocate(domain, 8 + bytes.len() as u64)?;
        memory::write(self.segment(), block + 8, bytes)?;
        self.set(block, header);
        Ok(block)
    }

    /// Takes the key's entry away.
    pub(crate) fn remove(&mut self, part: Part, domain: usize, slot: u64, entry: Entry) -> Result<()> {
        let Some(slots) = Slots::of(self.store(), self.get(part.at)?)? else {
            return Err(self.store().damaged("table"));
        };
        // If nothing follows, nobody has to look further.
        let index = (slot - slots.slot(0)) / 8;
        let next = self.get(slots.slot((index + 1) & (slots.count() - 1)))?;
        let (count, used) = (self.get(part.at + 8)?, self.get(part.at + 16)?);
        self.set(slot, if next == 0 { 0 } else { GONE });
        self.set(part.at + 8, count.wrapping_sub(1));
        if next == 0 {
            self.set(part.at + 16, used.wrapping_sub(1));
        }
        self.free(domain, entry.block, entry.len());
        Ok(())
    }

    /// A table of the right size, in which there is room for one entry more, in place of the old one; the free slot for
    /// that hash.
    #[cold]
    fn rebuild(&mut self, part: Part, domain: usize, hash: u64) -> Result<u64> {
        let old = Slots::of(self.store(), self.get(part.at)?)?;
        let count = self.get(part.at + 8)?.min(1 << MOST);
        // Half full at most, so that it is some time to the next; small ones less, since what they leave is used by others
        // of their size only.
        let room = if count < 256 { 4 } else { 2 };
        let log = ((count + 1) * room).next_power_of_two().trailing_zeros().max(FIRST);
        if log > MOST {
            let cause = Cause::OutOfBounds { offset: 0, len: count + 1, size: 1 << (MOST - 1) };
            return Err(self.store().error("add to a table of", cause));
        }
        let new = Slots { block: 0, log };
        let new = Slots { block: self.allocate(domain, new.len())?, log };
        let slots = self.segment().slice::<std::sync::atomic::AtomicU64>(new.slot(0), 1 << log)?;
        let order = std::sync::atomic::Ordering::Relaxed;
        slots.iter().for_each(|slot| slot.store(0, order));
        let mask = new.count() - 1;
        let free = |tag: u64| {
            let places = (0..=mask).map(|step| (tag + step) & mask);
            places.into_iter().find(|&index| slots[index as usize].load(order) == 0)
        };
        let damaged = || self.store().damaged("number of entries");
        let mut used = 0;
        for index in 0..old.map_or(0, Slots::count) {
            let slot = self.get(old.map_or(0, |old| old.slot(index)))?;
            if slot != 0 && slot != GONE {
                let place = free(slot >> (64 - TAG_BITS)).filter(|_| used < mask).ok_or_else(damaged)?;
                slots[place as usize].store(slot, order);
                used += 1;
            }
        }
        let place = free(tag_of(hash)).ok_or_else(damaged)?;
        self.set(new.block, layout::header(0, 8 << log));
        self.set(part.at, new.word());
        self.set(part.at + 16, used);
        if let Some(old) = old {
            self.free(domain, old.block, old.len());
        }
        Ok(new.slot(place))
    }

    /// Takes all entries and the table away.
    pub(crate) fn clear(&mut self, part: Part, domain: usize) -> Result<()> {
        let Some(slots) = Slots::of(self.store(), self.get(part.at)?)? else { return Ok(()) };
        self.discard_table(domain, slots.block, slots.count());
        (0..3).for_each(|word| self.set(part.at + 8 * word, 0));
        Ok(())
    }
}
