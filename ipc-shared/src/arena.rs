//! Runs of pages: a buddy allocator whose every change is part of a transaction.
//!
//! A free run has 2^order pages and begins at a multiple of that; two that make a larger one are joined. A run in use has
//! any number of pages. Memory is set aside when a run is first taken, and that of large runs given back when they are
//! freed; a free run that may be without memory says so.

use ipc_core::{Cause, Result};

use crate::layout::{self, ORDERS, PAGE};
use crate::store::Store;
use crate::transaction::Transaction;

/// Memory is set aside for so many pages at least, 2^GRAIN, and given back for no less.
pub(crate) const GRAIN: u32 = 6;

/// The memory of free runs that are joined to larger ones of 2^KEPT pages is given back, too.
const KEPT: u32 = 9;

/// So many places are looked at for one where several free runs together will do.
const HOLES: usize = 1000;

/// Its first page, and its free runs: their orders, and whether they are bare.
type Hole = (u64, Vec<(u32, bool)>);

/// What a page begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// Nothing.
    Inner,
    Free {
        order: u32,
        bare: bool,
    },
    /// Blocks of a size class, which belong to a domain.
    Slab {
        class: usize,
        domain: usize,
        order: u32,
    },
    /// One block.
    Large {
        pages: u64,
    },
}

impl Run {
    pub(crate) fn word(self) -> u64 {
        match self {
            Run::Inner => 0,
            Run::Free { order, bare } => 1 | u64::from(order) << 8 | u64::from(bare) << 16,
            Run::Slab { class, domain, order } => {
                2 | (class as u64) << 8 | (domain as u64) << 16 | u64::from(order) << 24
            }
            Run::Large { pages } => 3 | pages << 8,
        }
    }

    /// `None`: no honest process writes that.
    pub(crate) fn from_word(word: u64) -> Option<Run> {
        let run = match word & 0xff {
            0 => Run::Inner,
            1 => Run::Free { order: (word >> 8) as u8 as u32, bare: word >> 16 & 1 != 0 },
            2 => Run::Slab {
                class: (word >> 8) as u8 as usize,
                domain: (word >> 16) as u8 as usize,
                order: (word >> 24) as u8 as u32,
            },
            _ => Run::Large { pages: word >> 8 },
        };
        let good = match run {
            Run::Inner => true,
            Run::Free { order, .. } => (order as usize) < ORDERS,
            Run::Slab { class, domain, order } => {
                class < layout::SIZES.len() && domain < layout::DOMAINS && (order as usize) < ORDERS
            }
            Run::Large { pages } => pages > 0,
        };
        (good && run.word() == word).then_some(run)
    }
}

impl Store {
    /// Where those pages begin.
    pub(crate) fn pages_at(&self, page: u64) -> u64 {
        layout::arena(self.pages()) + page * PAGE
    }

    /// Divides pages that nobody uses into free runs, and has memory for what says so; for a fresh store.
    pub(crate) fn free_pages(&self) -> Result<()> {
        let mut transaction = self.begin(1)?;
        let mut page = 0;
        while page < self.pages() {
            // The first are small, so that what is said of them lies together.
            let order = match page {
                0 => GRAIN,
                page => page.trailing_zeros(),
            };
            let order = order.min((self.pages() - page).ilog2()).min(ORDERS as u32 - 1);
            self.reserve_entry(page)?;
            transaction.push(order, page, true)?;
            page += 1 << order;
        }
        transaction.commit()
    }

    /// Has memory for what is said of that page.
    fn reserve_entry(&self, page: u64) -> Result<()> {
        let entry = layout::page(page);
        self.segment().reserve(entry..entry + size_of::<layout::Page>() as u64)
    }
}

impl Transaction<'_> {
    /// What that page begins.
    pub(crate) fn run_at(&self, page: u64) -> Result<Run> {
        let word = self.get(layout::page(page))?;
        Run::from_word(word).ok_or_else(|| self.store().damaged("page"))
    }

    fn links(&self, page: u64) -> Result<(u64, u64)> {
        let word = self.get(layout::page(page) + 8)?;
        Ok((word >> 32, u64::from(word as u32)))
    }

    fn set_links(&mut self, page: u64, next: u64, previous: u64) {
        self.set(layout::page(page) + 8, next << 32 | previous);
    }

    /// Puts a free run on its list.
    fn push(&mut self, order: u32, page: u64, bare: bool) -> Result<()> {
        let list = layout::free_run(order);
        let next = self.get(list)?;
        self.set_links(page, next, 0);
        if next != 0 {
            let (after, _) = self.links(next - 1)?;
            self.set_links(next - 1, after, page + 1);
        }
        self.set(list, page + 1);
        self.set(layout::page(page), Run::Free { order, bare }.word());
        Ok(())
    }

    /// Takes a free run off its list.
    fn unlink(&mut self, order: u32, page: u64) -> Result<()> {
        let (next, previous) = self.links(page)?;
        if next != 0 {
            let (after, _) = self.links(next - 1)?;
            self.set_links(next - 1, after, previous);
        }
        if previous == 0 {
            self.set(layout::free_run(order), next);
        } else {
            let (_, before) = self.links(previous - 1)?;
            self.set_links(previous - 1, next, before);
        }
        self.set(layout::page(page), 0);
        Ok(())
    }

    /// A run of that many pages, with memory.
    pub(crate) fn take(&mut self, pages: u64, run: Run) -> Result<u64> {
        self.lock_arena()?;
        let wanted = pages.next_power_of_two().trailing_zeros();
        let Some((mut order, page)) = self.first_free(wanted)? else {
            return self.take_hole(wanted, pages, run);
        };
        let bare = match self.run_at(page)? {
            Run::Free { order: found, bare } if found == order => bare,
            _ => return Err(self.store().damaged("list of free pages")),
        };
        if !page.is_multiple_of(1 << order) || page + (1 << order) > self.store().pages() {
            return Err(self.store().damaged("list of free pages"));
        }
        self.unlink(order, page)?;
        let mut bare = bare;
        while order > wanted {
            if bare && order <= GRAIN {
                self.back(page, 1 << order)?;
                bare = false;
            }
            order -= 1;
            if bare {
                self.store().reserve_entry(page + (1 << order))?;
            }
            self.push(order, page + (1 << order), bare)?;
        }
        if bare {
            self.back(page, pages)?;
        }
        self.push_pieces(page + pages, page + (1 << order), bare)?;
        self.set(layout::page(page), run.word());
        Ok(page)
    }

    /// The first free run of that order or the next one that has any.
    fn first_free(&self, wanted: u32) -> Result<Option<(u32, u64)>> {
        for order in wanted..ORDERS as u32 {
            match self.get(layout::free_run(order))? {
                0 => {}
                page if page <= self.store().pages() => return Ok(Some((order, page - 1))),
                _ => return Err(self.store().damaged("list of free pages")),
            }
        }
        Ok(None)
    }

    /// That many pages out of several free runs, if no single one has them: where a block of as many was.
    #[cold]
    fn take_hole(&mut self, wanted: u32, pages: u64, run: Run) -> Result<u64> {
        let Some((page, runs)) = self.first_hole(wanted, pages)? else {
            return Err(self.store().error("grow", Cause::NoMemory { asked: pages * PAGE, available: 0 }));
        };
        let mut end = page;
        for (order, bare) in runs {
            self.unlink(order, end)?;
            if bare {
                self.back(end, 1 << order)?;
            }
            end += 1 << order;
        }
        self.push_pieces(page + pages, end, false)?;
        self.set(layout::page(page), run.word());
        Ok(page)
    }

    /// Where free runs lie one behind the other, the largest first, that have so many pages together.
    fn first_hole(&self, wanted: u32, pages: u64) -> Result<Option<Hole>> {
        let Some(order) = wanted.checked_sub(1) else { return Ok(None) };
        let mut first = self.get(layout::free_run(order))?;
        for _ in 0..HOLES {
            let Some(page) = first.checked_sub(1) else { break };
            let (mut end, mut runs) = (page, Vec::new());
            while end < page.saturating_add(pages).min(self.store().pages()) {
                let Run::Free { order, bare } = self.run_at(end)? else { break };
                runs.push((order, bare));
                end += 1 << order;
            }
            if end >= page.saturating_add(pages) {
                return Ok(Some((page, runs)));
            }
            first = self.links(page)?.0;
        }
        Ok(None)
    }

    /// Sets memory aside for pages that have none.
    fn back(&self, page: u64, pages: u64) -> Result<()> {
        let entries = layout::page(page)..layout::page(page + pages);
        self.segment().reserve(entries)?;
        let start = self.store().pages_at(page);
        self.segment().reserve(start..start + pages * PAGE)
    }

    /// Puts pages on the lists, in runs as large as can be; their neighbours are not free.
    fn push_pieces(&mut self, mut page: u64, end: u64, bare: bool) -> Result<()> {
        while page < end {
            let order = page.trailing_zeros().min((end - page).ilog2());
            if bare {
                self.store().reserve_entry(page)?;
            }
            self.push(order, page, bare)?;
            page += 1 << order;
        }
        Ok(())
    }

    /// Gives a run back.
    pub(crate) fn give(&mut self, first: u64, pages: u64) -> Result<()> {
        self.lock_arena()?;
        let end = first.checked_add(pages).filter(|end| *end <= self.store().pages());
        let end = end.ok_or_else(|| self.store().damaged("pages of a block"))?;
        let is_large = pages >= 1 << GRAIN;
        if is_large {
            self.released.push(self.store().pages_at(first)..self.store().pages_at(end));
        }
        self.set(layout::page(first), 0);
        let mut page = first;
        while page < end {
            let most = if page == 0 { ORDERS as u32 - 1 } else { page.trailing_zeros() };
            let order = most.min((end - page).ilog2());
            self.join(order, page, is_large)?;
            page += 1 << order;
        }
        Ok(())
    }

    /// Puts a run on the lists, together with the free ones that it can be joined with.
    fn join(&mut self, mut order: u32, mut page: u64, mut bare: bool) -> Result<()> {
        let mut has_memory = !bare;
        while (order as usize) < ORDERS - 1 {
            let buddy = page ^ (1 << order);
            if buddy + (1 << order) > self.store().pages() {
                break;
            }
            match self.run_at(buddy)? {
                Run::Free { order: other, bare: is_bare } if other == order => {
                    self.unlink(order, buddy)?;
                    bare |= is_bare;
                    has_memory |= !is_bare;
                    page = page.min(buddy);
                    order += 1;
                }
                _ => break,
            }
        }
        if has_memory && order >= KEPT {
            bare = true;
            self.released.push(self.store().pages_at(page)..self.store().pages_at(page + (1 << order)));
        }
        self.push(order, page, bare)
    }
}
