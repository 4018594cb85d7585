//! Looks at every word of a store.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use ipc_core::Result;

use crate::arena::Run;
use crate::heap::class_of;
use crate::layout::{self, DOMAINS, ORDERS, PAGE, SIZES};
use crate::map::ALL;
use crate::memory;
use crate::object::{DATA_LEN, ID, KIND, Kind, Object, PREVIOUS};
use crate::store::Store;
use crate::table::{Found, GONE, Slots, domain_of, each, find};
use crate::transaction::Transaction;

/// All blocks that somebody has: each once.
struct Census<'a> {
    store: &'a Store,
    transaction: Transaction<'a>,
    /// The slabs and large blocks, by position.
    runs: HashMap<u64, Run>,
    owned: HashSet<u64>,
}

impl Store {
    /// Looks at everything; nobody can change it meanwhile.
    pub(crate) fn check(&self) -> Result<()> {
        let mut transaction = self.begin(ALL)?;
        transaction.lock_arena()?;
        let mut census = Census { store: self, transaction, runs: HashMap::new(), owned: HashSet::new() };
        census.pages()?;
        census.free_blocks()?;
        census.objects()?;
        census.all_are_owned()
    }
}

impl<'a> Census<'a> {
    fn holds(&self, what: &'static str, it_does: bool) -> Result<()> {
        if it_does { Ok(()) } else { Err(self.store.damaged(what)) }
    }

    /// Runs lie one behind the other, and the free ones are on their lists.
    fn pages(&mut self) -> Result<()> {
        let mut free = HashSet::new();
        let mut page = 0;
        while page < self.store.pages() {
            let run = self.transaction.run_at(page)?;
            let pages = match run {
                Run::Inner => return Err(self.store.damaged("pages that belong to nothing")),
                Run::Free { order, .. } => {
                    self.holds("free pages that are not aligned", page.is_multiple_of(1 << order))?;
                    free.insert((order, page));
                    1 << order
                }
                Run::Slab { order, .. } => 1 << order,
                Run::Large { pages } => pages,
            };
            if !matches!(run, Run::Free { .. }) {
                self.runs.insert(self.store.pages_at(page), run);
            }
            page = page.checked_add(pages).ok_or_else(|| self.store.damaged("number of pages"))?;
        }
        self.holds("pages beyond the end", page == self.store.pages())?;
        for order in 0..ORDERS as u32 {
            let (mut next, mut previous) = (self.transaction.get(layout::free_run(order))?, 0);
            while next != 0 {
                self.holds("list of free pages", free.remove(&(order, next - 1)))?;
                let links = self.transaction.get(layout::page(next - 1) + 8)?;
                self.holds("way back on a list of free pages", u64::from(links as u32) == previous)?;
                (next, previous) = (links >> 32, next);
            }
        }
        self.holds("free pages that are on no list", free.is_empty())
    }

    /// Somebody has that block, of so many bytes, and nobody else.
    fn own(&mut self, domain: usize, block: u64, len: u64) -> Result<()> {
        let is_block = match class_of(len) {
            Some(class) => self.is_in_slab(domain, block, class),
            None => self.runs.get(&block) == Some(&Run::Large { pages: len.div_ceil(PAGE) }),
        };
        self.holds("block that is none, or another's", is_block)?;
        let first = self.owned.insert(block);
        self.holds("block that is owned twice", first)
    }

    /// Whether a block of the class begins there, in a slab of the domain.
    fn is_in_slab(&self, domain: usize, block: u64, class: usize) -> bool {
        let Some(offset) = block.checked_sub(self.store.pages_at(0)) else { return false };
        // No slab has more pages than this.
        (0..8).filter_map(|back| (offset / PAGE).checked_sub(back)).any(|page| {
            let start = self.store.pages_at(page);
            matches!(self.runs.get(&start), Some(Run::Slab { class: its, domain: owner, order })
                if (*its, *owner) == (class, domain)
                    && (block - start).is_multiple_of(SIZES[class])
                    && block - start + SIZES[class] <= PAGE << *order)
        })
    }

    fn free_blocks(&mut self) -> Result<()> {
        for domain in 0..DOMAINS {
            let version =
                self.store.root().domains[domain].version.load(std::sync::atomic::Ordering::Relaxed);
            self.holds("version", version.is_multiple_of(2))?;
            for (class, size) in SIZES.iter().enumerate() {
                let mut block = self.transaction.get(layout::free_block(domain, class))?;
                while block != 0 {
                    self.own(domain, block, *size)?;
                    block = self.transaction.get(block)?;
                }
            }
        }
        Ok(())
    }

    fn objects(&mut self) -> Result<()> {
        let mut previous = 0;
        for object in self.store.objects(&self.transaction)? {
            let header = self.transaction.get(object.at)?;
            let (_, len) = layout::lengths(header);
            self.own(0, object.at, 8 + len as u64)?;
            let before = self.transaction.get(object.at + PREVIOUS)?;
            self.holds("way back on the list of objects", before == previous)?;
            self.holds("number of an object", self.transaction.get(object.at + ID)? != 0)?;
            let data = self.transaction.get(object.at + DATA_LEN)?;
            self.holds("length of an object", data <= len as u64)?;
            previous = object.at;
            match object.word(KIND)? {
                kind if kind == Kind::Dict as u64 => self.dict(&object)?,
                kind if kind == Kind::List as u64 => self.list(&object)?,
                kind => self.holds("kind of an object", (1..=5).contains(&kind))?,
            }
        }
        Ok(())
    }

    /// Each entry is found by its key, and only once.
    fn dict(&mut self, object: &Object) -> Result<()> {
        for domain in 0..DOMAINS {
            let part = object.part(domain);
            let [word, count, used] = [0, 8, 16].map(|offset| self.transaction.get(part.at + offset));
            let (word, count, used) = (word?, count?, used?);
            let Some(slots) = Slots::of(self.store, word)? else {
                self.holds("entries without a table", (count, used) == (0, 0))?;
                continue;
            };
            self.own(domain, slots.block, slots.len())?;
            let header = self.transaction.get(slots.block)?;
            self.holds("header of a table", header == layout::header(0, 8 << slots.log))?;
            let mut entries = Vec::new();
            each(
                self.store,
                part,
                |position| self.transaction.get(position),
                |slot, entry| {
                    entries.push((slot, entry));
                    Ok(ControlFlow::Continue(()))
                },
            )?;
            self.holds("number of entries", entries.len() as u64 == count)?;
            let mut gone = 0;
            for index in 0..slots.count() {
                gone += u64::from(self.transaction.get(slots.slot(index))? == GONE);
            }
            self.holds("number of used slots", count + gone == used && used * 8 <= slots.count() * 7)?;
            for (slot, entry) in entries {
                self.own(domain, entry.block, entry.len())?;
                let mut key = Vec::new();
                memory::read(self.store.segment(), entry.block + 8, 0, entry.key, &mut key)?;
                let hash = self.store.hash(&key);
                self.holds("entry in another's domain", domain_of(hash) == domain)?;
                let found = find(self.store, part, hash, &key, |position| self.transaction.get(position))?;
                let is_it = matches!(found, Found::Entry(place, _) if place == slot);
                self.holds("entry that is not found by its key, or is there twice", is_it)?;
            }
        }
        Ok(())
    }

    /// Each element has its block.
    fn list(&mut self, object: &Object) -> Result<()> {
        let vector = object.vector(|position| self.transaction.get(position))?;
        let domain = object.list_domain();
        if vector.capacity > 0 {
            self.own(domain, vector.block, vector.bytes())?;
        }
        self.holds("length of a list", vector.len <= vector.capacity)?;
        for index in 0..vector.len {
            let block = self.transaction.get(vector.slot(index))?;
            let (key, value) = layout::lengths(self.transaction.get(block)?);
            self.holds("element with a key", key == 0)?;
            self.own(domain, block, 8 + value as u64)?;
        }
        Ok(())
    }

    /// Every block of a slab is owned, and every large one.
    fn all_are_owned(&self) -> Result<()> {
        for (start, run) in &self.runs {
            let lost = match run {
                Run::Slab { class, order, .. } => {
                    let blocks = (PAGE << order) / SIZES[*class];
                    (0..blocks).any(|block| !self.owned.contains(&(start + block * SIZES[*class])))
                }
                _ => !self.owned.contains(start),
            };
            self.holds("block that nobody owns", !lost)?;
        }
        Ok(())
    }
}
