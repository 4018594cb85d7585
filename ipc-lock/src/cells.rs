//! A counter for each process, which dies with it.
//!
//! Every participant has a cell of its own, found by the index within its identity, and only its threads raise it.
//! What a dead process counted is found by going through the cells, and taken back by setting them to 0.

use std::iter;

use ipc_core::ParticipantId;

use crate::layout::{BLOCK, CAPACITY, Cells};
use crate::sync::{AtomicU64, Ordering};

fn index(id: u32) -> usize {
    // An identity that cannot exist has no cell; it gets one that does no harm.
    ParticipantId::from_word(id).map_or(0, |id| id.index() % CAPACITY)
}

fn belongs(id: u32, place: usize) -> bool {
    ParticipantId::from_word(id).is_some_and(|known| known.index() == place && known.word() == id)
}

fn entry(id: u32, count: u32) -> u64 {
    u64::from(id) << 32 | u64::from(count)
}

fn count_in(word: u64, id: u32) -> u32 {
    if (word >> 32) as u32 == id { word as u32 } else { 0 }
}

/// Whether that was counted by another than `me`, who is gone.
fn is_left(word: u64, me: u32) -> bool {
    word as u32 != 0 && (word >> 32) as u32 != me
}

impl Cells {
    /// Adds 1 to the cell of `me`; whether it still had what another counted that had the cell before and is gone.
    #[inline]
    pub(crate) fn raise(&self, me: u32) -> bool {
        let (cell, word) = self.own(me);
        is_left(change(cell, word, me, |count| count.wrapping_add(1)), me)
    }

    /// The same, where all who change cells do so within a lock. An atomic operation less doubles the speed.
    #[inline]
    pub(crate) fn raise_locked(&self, me: u32) -> bool {
        let (cell, word) = self.own(me);
        cell.store(entry(me, count_in(word, me).wrapping_add(1)), Ordering::Relaxed);
        is_left(word, me)
    }

    /// The cell of `me`, and what is in it.
    #[inline]
    fn own(&self, me: u32) -> (&AtomicU64, u64) {
        let index = index(me);
        // Before the cell is not 0, those who go through them have to know that it is used.
        let block = 1 << (index / BLOCK);
        if self.used.load(Ordering::Relaxed) & block == 0 {
            self.used.fetch_or(block, Ordering::SeqCst);
        }
        (&self.cells[index], self.cells[index].load(Ordering::Relaxed))
    }

    /// Takes 1 off the cell of `me`, unless it is 0; the old value.
    #[inline]
    pub(crate) fn lower(&self, me: u32) -> u32 {
        let cell = &self.cells[index(me)];
        count_in(change(cell, cell.load(Ordering::Relaxed), me, |count| count.saturating_sub(1)), me)
    }

    /// The same, where all who change cells do so within a lock.
    #[inline]
    pub(crate) fn lower_locked(&self, me: u32) -> u32 {
        let cell = &self.cells[index(me)];
        let count = count_in(cell.load(Ordering::Relaxed), me);
        if count > 0 {
            cell.store(entry(me, count - 1), Ordering::Relaxed);
        }
        count
    }

    /// What `id` has counted.
    pub(crate) fn get(&self, id: u32) -> u32 {
        count_in(self.cells[index(id)].load(Ordering::Relaxed), id)
    }

    /// Everybody whose cell is not 0, with its value. What does not stand where it belongs was put there by somebody
    /// who does not keep to this, and counts for nobody: it could not be cleared.
    pub(crate) fn all(&self) -> impl Iterator<Item = (u32, u32)> {
        let mut used = self.used.load(Ordering::SeqCst);
        let blocks = iter::from_fn(move || {
            let block = used.trailing_zeros() as usize;
            used &= used.checked_sub(1)?;
            Some(block * BLOCK)
        });
        // Processes take places by their pids, so that most blocks are empty.
        let places = blocks.flat_map(|first| first..(first + BLOCK).min(CAPACITY));
        places.filter_map(|place| {
            let word = self.cells[place].load(Ordering::Acquire);
            let (id, count) = ((word >> 32) as u32, word as u32);
            (count != 0 && belongs(id, place)).then_some((id, count))
        })
    }

    /// Takes back what a dead process has counted.
    pub(crate) fn clear(&self, dead: u32) {
        let cell = &self.cells[index(dead)];
        let word = cell.load(Ordering::Relaxed);
        if (word >> 32) as u32 == dead {
            // If it has changed, the cell is another's by now.
            let _ = cell.compare_exchange(word, 0, Ordering::SeqCst, Ordering::Relaxed);
        }
    }
}

#[inline]
fn change(cell: &AtomicU64, mut word: u64, me: u32, f: impl Fn(u32) -> u32) -> u64 {
    loop {
        let count = count_in(word, me);
        match cell.compare_exchange(word, entry(me, f(count)), Ordering::SeqCst, Ordering::Relaxed) {
            Ok(_) => return word,
            Err(now) => word = now,
        }
    }
}

#[cfg(all(test, loom))]
#[path = "models/cells.rs"]
mod loom_models;
