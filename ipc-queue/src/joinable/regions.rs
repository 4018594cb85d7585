//! Where the records are when there is no room behind them, or far too much.

use std::sync::atomic::Ordering;

use ipc_core::{Cause, Error, Result};

use crate::joinable::book::{Book, Write, damaged};
use crate::joinable::layout::{INDEX_ENTRY, Kind, MAX_BASE, MIN_CLASS};
use crate::layout::MAX_CLASS;
use crate::memory;
use crate::region::{KEPT_CLASS, Region, WORD};
use crate::ring::milliseconds;

/// A large region is given up for a smaller one not sooner after it was taken, in milliseconds.
const TRIM_AFTER: u32 = 100;

impl Book<'_> {
    /// With no records: begins anew at the start of the region.
    #[inline]
    pub(crate) fn rewind(&mut self) {
        let at = self.region().start();
        if self.now.tail != at {
            self.begin(at, at);
        }
    }

    /// Where no record is yet.
    fn begin(&mut self, first: u64, tail: u64) {
        let now = &mut self.now;
        [now.first, now.head, now.returned_from, now.fresh] = [first; 4];
        [now.ready, now.returned, now.leased, now.rejected, now.live] = [0; 5];
        now.tail = tail;
        now.epoch = now.epoch.wrapping_add(1);
    }

    /// Copies the records that still count into another region, with room for `need` bytes behind them, and about as much
    /// as they take themselves: so the next time is as far away as this costs.
    #[cold]
    pub(crate) fn collect(&mut self, need: u64) -> Result<()> {
        // A region that is given back may not be needed by what is not committed.
        self.commit(Write::Nothing);
        let (mut live, mut leased) = (0_u64, 0_u64);
        for found in self.records(self.now.head, self.now.tail) {
            let found = found?;
            live += if found.state.kind == Kind::Done { 0 } else { found.end - found.at };
            leased += u64::from(found.state.kind == Kind::Leased);
        }
        let region = self.reserve(live + leased * INDEX_ENTRY, need)?;
        let copied = self.copy_to(region, leased);
        self.tidy();
        copied
    }

    /// Another region with room for that.
    fn reserve(&self, live: u64, need: u64) -> Result<Region> {
        let base = self.shared.base.load(Ordering::Relaxed).clamp(MIN_CLASS, MAX_BASE);
        let needed = live.saturating_add(need);
        let with_len = |len| Region::with_len(len).map(|region| Region { class: region.class.max(base) });
        let wanted = with_len(needed.saturating_add(live.max(need)));
        let larger = wanted.map(|region| Region { class: region.class + 1 });
        let regions = [wanted, larger, with_len(needed)].into_iter().flatten();
        let mut refused = None;
        // If there is no memory for much, there may be for less.
        for region in regions.filter(|&region| region != self.region() && region.class <= MAX_CLASS) {
            self.shared.regions.fetch_or(region.bit(), Ordering::Relaxed);
            match self.segment.reserve(region.start()..region.end()) {
                Ok(()) => {
                    self.shared.grown.store(milliseconds(), Ordering::Relaxed);
                    return Ok(region);
                }
                Err(error) => {
                    self.tidy();
                    refused.get_or_insert(error);
                }
            }
        }
        Err(refused.unwrap_or_else(|| {
            let cause = Cause::NoMemory { asked: needed, available: 1 << MAX_CLASS };
            Error::new("grow", self.segment.label(), cause)
        }))
    }

    fn copy_to(&mut self, region: Region, leased: u64) -> Result<()> {
        let (from, before) = (self.now.head, self.now);
        let first = region.start() + leased * INDEX_ENTRY;
        let fits = |end: u64, limit| if end <= limit { Ok(()) } else { Err(damaged(self.segment, "record")) };
        let mut after = Book { now: before, ..*self };
        after.begin(first, first);
        let mut index = region.start();
        for found in self.records(from, before.tail) {
            let found = found?;
            let (at, size) = (after.now.tail, found.end - found.at);
            match found.state.kind {
                Kind::Done => continue,
                Kind::Ready => after.now.ready += 1,
                Kind::Rejected => after.now.rejected += 1,
                Kind::Leased => {
                    fits(index + INDEX_ENTRY, first)?;
                    memory::word(self.segment, index)?.store(found.number, Ordering::Relaxed);
                    memory::word(self.segment, index + WORD)?.store(at, Ordering::Relaxed);
                    index += INDEX_ENTRY;
                    after.now.leased += 1;
                }
            }
            fits(at + size, region.end())?;
            memory::copy(self.segment, found.at, at, size as usize)?;
            after.now.tail = at + size;
            after.now.live += size;
            if found.at < before.fresh {
                after.now.fresh = after.now.tail;
                after.now.returned += u64::from(found.state.kind == Kind::Ready);
            }
        }
        after.commit(Write::Nothing);
        self.now = after.now;
        Ok(())
    }

    /// Where the record with that number was copied to, if somebody had it then.
    #[cold]
    pub(crate) fn moved_to(&self, number: u64) -> Option<u64> {
        let start = self.region().start();
        let entry = |index: u64, offset| {
            let word = memory::word(self.segment, start + index * INDEX_ENTRY + offset);
            word.ok().map(|word| word.load(Ordering::Relaxed))
        };
        let (mut low, mut high) = (0, (self.now.first - start) / INDEX_ENTRY);
        while low < high {
            let middle = low + (high - low) / 2;
            let found = entry(middle, 0)?;
            if found == number {
                return entry(middle, WORD);
            }
            if found < number { low = middle + 1 } else { high = middle }
        }
        None
    }

    /// Gives the memory of a large backlog back when it is gone, but not ten times a second.
    pub(crate) fn trim(&mut self) {
        let region = self.region();
        let is_due = || milliseconds().wrapping_sub(self.shared.grown.load(Ordering::Relaxed)) > TRIM_AFTER;
        if region.class > KEPT_CLASS && self.now.live < region.len() / 8 && is_due() {
            // What cannot be given back is used on.
            let _ = self.collect(0);
        }
    }
}
