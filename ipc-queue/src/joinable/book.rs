//! The books of a queue: its numbers, and the records that they tell of. For the holder of the lock.
//!
//! Every change is [`Book::commit`]: killed before its one store, a process has changed nothing; after it, everything,
//! since whoever gets the lock next writes what was still to be written.

use std::sync::atomic::{Ordering, fence};

use ipc_core::{Cause, Error, ParticipantId, Result, Segment};

use crate::joinable::layout::{
    Joinable, Kind, MIN_CLASS, NUMBERS, Numbers, RECORD_HEAD, RECORD_NUMBER, RECORD_STATE, Slot, State,
};
use crate::memory;
use crate::region::{KEPT_CLASS, Region, WORD, record_len};
use crate::ring::Record;

/// The queue, for one who has its lock.
pub(crate) struct Book<'a> {
    pub(crate) shared: &'a Joinable,
    pub(crate) segment: &'a Segment,
    pub(crate) now: Numbers,
    /// Of those that are valid: how many are ready, and how often everything was done.
    pub(crate) valid: (u64, u64),
}

/// What a change writes beside the numbers.
#[derive(Clone, Copy)]
pub(crate) enum Write {
    Nothing,
    /// A record's state.
    State(u64, State),
    /// And how many jobs a participant has.
    Both(u64, State, u64),
}

/// A record and what is known of it.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) at: u64,
    /// Where the next one is.
    pub(crate) end: u64,
    pub(crate) number: u64,
    pub(crate) state: State,
    pub(crate) bytes: Record,
}

/// Bytes that a record takes whose item has `len`; `None` if that is no number.
#[inline]
pub(crate) fn size(len: u64) -> Option<u64> {
    record_len(len)?.checked_add(RECORD_HEAD - WORD)
}

#[cold]
pub(crate) fn damaged(segment: &Segment, field: &'static str) -> Error {
    Error::new("use", segment.label(), Cause::Damaged { field })
}

/// The numbers of a slot.
#[inline(always)]
fn load(slot: &Slot) -> Numbers {
    Numbers::from_words(slot.numbers.each_ref().map(|number| number.load(Ordering::Relaxed)))
}

/// The numbers, for one who does not have the lock: all from one moment, unless they change all the time.
pub(crate) fn peek(shared: &Joinable) -> Numbers {
    for _ in 0..1000 {
        let turn = shared.turn.load(Ordering::Acquire);
        let numbers = load(&shared.slots[(turn & 1) as usize]);
        fence(Ordering::Acquire);
        if shared.turn.load(Ordering::Relaxed) == turn {
            return numbers;
        }
    }
    load(&shared.slots[(shared.turn.load(Ordering::Acquire) & 1) as usize])
}

impl<'a> Book<'a> {
    /// Lays out an empty queue whose smallest region is `base`.
    pub(crate) fn init(shared: &Joinable, segment: &Segment, capacity: u64, base: Region) {
        let at = base.start();
        let zero = Numbers::from_words([0; NUMBERS]);
        let now = Numbers { first: at, head: at, returned_from: at, fresh: at, tail: at, next: 1, ..zero };
        Book { shared, segment, now, valid: (0, 0) }.commit(Write::Nothing);
        shared.capacity.store(capacity, Ordering::Relaxed);
        shared.regions.store(base.bit(), Ordering::Relaxed);
        shared.base.store(base.class, Ordering::Relaxed);
    }

    /// What stands there, if it can be true.
    #[inline(always)]
    pub(crate) fn open(shared: &'a Joinable, segment: &'a Segment) -> Result<Book<'a>> {
        let turn = shared.turn.load(Ordering::Relaxed);
        let now = load(&shared.slots[(turn & 1) as usize]);
        let Numbers { first, head, returned_from, fresh, tail, .. } = now;
        let in_order = first <= head
            && head <= returned_from
            && returned_from <= fresh
            && fresh <= tail
            && Region::of(first).is_some_and(|region| tail <= region.end() && region.class >= MIN_CLASS)
            && (first | head | returned_from | fresh | tail).is_multiple_of(WORD);
        let valid = (now.ready, now.rounds);
        if in_order { Ok(Book { shared, segment, now, valid }) } else { Err(damaged(segment, "numbers")) }
    }

    /// The region in use.
    #[inline]
    pub(crate) fn region(&self) -> Region {
        Region { class: 63 - self.now.first.leading_zeros() }
    }

    /// Makes the numbers valid, and writes the rest.
    #[inline]
    pub(crate) fn commit(&mut self, write: Write) {
        let turn = self.shared.turn.load(Ordering::Relaxed).wrapping_add(1);
        let slot = &self.shared.slots[(turn & 1) as usize];
        // The change before this one is complete, which made the other slot valid.
        fence(Ordering::Release);
        for (number, word) in slot.numbers.iter().zip(self.now.to_words()) {
            number.store(word, Ordering::Relaxed);
        }
        let (state_at, state, cell) = match write {
            Write::Nothing => (0, 0, 0),
            Write::State(at, state) => (at + RECORD_STATE, state.word(), 0),
            Write::Both(at, state, cell) => (at + RECORD_STATE, state.word(), cell),
        };
        slot.state_at.store(state_at, Ordering::Relaxed);
        slot.state.store(state, Ordering::Relaxed);
        slot.cell.store(cell, Ordering::Relaxed);
        self.shared.turn.store(turn, Ordering::Release);
        self.valid = (self.now.ready, self.now.rounds);
        self.write(state_at, state, cell);
    }

    #[inline]
    fn write(&self, state_at: u64, state: u64, cell: u64) {
        if state_at != 0
            && let Ok(word) = memory::word(self.segment, state_at)
        {
            word.store(state, Ordering::Release);
        }
        if cell != 0
            && let Some(place) =
                ParticipantId::from_word((cell >> 32) as u32).and_then(|id| self.shared.cells.get(id.index()))
        {
            place.store(cell, Ordering::Release);
        }
    }

    /// After the death of one who had the lock: writes what it may not have written any more, and gives back a region that
    /// it may have been about to use.
    #[cold]
    pub(crate) fn repair(&self) {
        let slot = &self.shared.slots[(self.shared.turn.load(Ordering::Relaxed) & 1) as usize];
        let [state_at, state, cell] =
            [&slot.state_at, &slot.state, &slot.cell].map(|word| word.load(Ordering::Relaxed));
        self.write(state_at, state, cell);
        self.tidy();
    }

    /// Gives back the memory of large regions that are not in use.
    #[cold]
    pub(crate) fn tidy(&self) {
        let kept = ((2 << KEPT_CLASS) - 1)
            | self.region().bit()
            | 1 << (self.shared.base.load(Ordering::Relaxed) & 63);
        let regions = self.shared.regions.load(Ordering::Relaxed);
        for class in (0..u64::BITS).filter(|class| regions & !kept & 1 << class != 0) {
            if let Some(region) = Region::of(1 << class) {
                // If it cannot be given back it stays, and is used again.
                let _ = self.segment.release(region.start()..region.end());
            }
            self.shared.regions.fetch_and(!(1 << class), Ordering::Relaxed);
        }
    }

    /// The record at that position, which ends before `limit`.
    #[inline]
    pub(crate) fn at(&self, at: u64, limit: u64) -> Result<Found> {
        let word =
            |offset| Ok::<u64, Error>(memory::word(self.segment, at + offset)?.load(Ordering::Relaxed));
        let len = word(0)?;
        let end = size(len).and_then(|size| size.checked_add(at)).filter(|&end| end <= limit);
        let end = end.ok_or_else(|| damaged(self.segment, "record"))?;
        let bytes = Record { at: at + RECORD_HEAD, len: len as usize };
        let state = State::from_word(word(RECORD_STATE)?);
        Ok(Found { at, end, number: word(RECORD_NUMBER)?, state, bytes })
    }

    /// The records from one position to another, until one that cannot be.
    pub(crate) fn records(&self, from: u64, to: u64) -> impl Iterator<Item = Result<Found>> + '_ {
        let mut next = Some(from).filter(|&from| from < to);
        std::iter::from_fn(move || {
            let found = self.at(next?, to);
            next = found.as_ref().ok().map(|found| found.end).filter(|&end| end < to);
            Some(found)
        })
    }

    /// Counts a record that was live no more, and goes on to the first that still is. The state of that at `done` is not
    /// written yet.
    pub(crate) fn strike_off(&mut self, done: &Found) {
        self.now.live = self.now.live.saturating_sub(done.end - done.at);
        if self.now.head != done.at {
            return;
        }
        let mut head = done.end;
        // What is wrong with a record is told to who needs it.
        while head < self.now.fresh
            && let Ok(found) = self.at(head, self.now.fresh)
            && found.state.kind == Kind::Done
        {
            head = found.end;
        }
        self.now.head = head;
        self.now.returned_from = self.now.returned_from.max(head);
        self.now.fresh = self.now.fresh.max(head);
    }
}
