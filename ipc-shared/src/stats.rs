//! What a store's memory is used for.

use std::sync::atomic::Ordering;

use ipc_core::Result;

use crate::arena::Run;
use crate::layout::{self, PAGE, SIZES};
use crate::map::ALL;
use crate::object::{DATA, ID, KIND, Kind, NEXT, Object};
use crate::store::Store;
use crate::transaction::Transaction;

/// The state of a store: see [`Dict::stats`](crate::Dict::stats). Sizes are in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// What can be used at most: address space, not memory.
    pub capacity: u64,
    /// Memory of blocks that are in use, filled up to their size classes.
    pub used: u64,
    /// Memory of small blocks that are free, and wait for others of their size.
    pub free_blocks: u64,
    /// Memory of pages that are free for anything.
    pub free_pages: u64,
    /// Entries of dictionaries, namespaces and tables of names.
    pub entries: u64,
    /// Objects: dictionaries, lists, values, arrays, ...
    pub objects: u64,
}

impl Stats {
    /// Memory that the store has taken from the system.
    pub fn memory(&self) -> u64 {
        self.used + self.free_blocks + self.free_pages
    }

    /// How much of its memory is free, but only for blocks of some sizes: 0 to 1.
    pub fn fragmentation(&self) -> f64 {
        if self.memory() == 0 { 0.0 } else { self.free_blocks as f64 / self.memory() as f64 }
    }
}

impl Store {
    pub(crate) fn stats(&self) -> Result<Stats> {
        let mut transaction = self.begin(ALL)?;
        transaction.lock_arena()?;
        let mut stats = Stats { capacity: self.pages() * PAGE, ..Stats::default() };
        let mut page = 0;
        while page < self.pages() {
            let pages = match transaction.run_at(page)? {
                Run::Inner => return Err(self.damaged("page")),
                Run::Free { order, bare } => {
                    stats.free_pages += if bare { 0 } else { PAGE << order };
                    1 << order
                }
                Run::Slab { order, .. } => {
                    stats.used += PAGE << order;
                    1 << order
                }
                Run::Large { pages } => {
                    stats.used = stats.used.saturating_add(pages.saturating_mul(PAGE));
                    pages
                }
            };
            page += pages;
        }
        for free in self.root().domains.iter().map(|domain| &domain.free) {
            for (class, first) in free.iter().enumerate() {
                let (mut block, mut left) = (first.load(Ordering::Relaxed), stats.used / SIZES[class] + 1);
                while block != 0 {
                    left = left.checked_sub(1).ok_or_else(|| self.damaged("list of free blocks"))?;
                    stats.free_blocks += SIZES[class];
                    block = transaction.get(block)?;
                }
            }
        }
        stats.used = stats.used.saturating_sub(stats.free_blocks);
        for object in self.objects(&transaction)? {
            stats.objects += 1;
            if object.word(KIND)? == Kind::Dict as u64 {
                stats.entries += (0..layout::DOMAINS).try_fold(0_u64, |sum, domain| {
                    Ok::<_, ipc_core::Error>(sum.wrapping_add(transaction.get(object.part(domain).at + 8)?))
                })?;
            }
        }
        Ok(stats)
    }

    /// All objects, in a transaction that holds the lock of domain 0.
    pub(crate) fn objects(&self, transaction: &Transaction<'_>) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        let mut at = transaction.get(layout::FIRST_OBJECT)?;
        // There is no room for more.
        let most = self.segment().len() / DATA;
        while at != 0 {
            if objects.len() as u64 > most || !self.is_in_arena(at) {
                return Err(self.damaged("list of objects"));
            }
            let id = transaction.get(at + ID)?;
            objects.push(Object { store: self.clone(), at, id });
            at = transaction.get(at + NEXT)?;
        }
        Ok(objects)
    }
}
