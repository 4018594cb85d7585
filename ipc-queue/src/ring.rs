//! Records into the regions and out of them. See `layout.rs` for what lies where.
//!
//! The two ends have a lock each. The reader finds what is there by the words in front of the records alone, so that it
//! does not take the tail away from the CPU of the writer: where nothing is yet, the word is 0, which the writer of the
//! record before has seen to. What is written becomes visible by one store of the first word, in [`Writer::commit`]; what
//! is read is given up by one store, in [`Reader::commit`]. Killed before it, a process has done nothing.
//!
//! When a region is full, the writer goes on in a larger one; the reader follows when it has read the rest, and gives
//! the region back.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use ipc_core::{Cause, Error, Result, Segment};

use crate::layout::{End, JUMP, MAX_CLASS, ONE_REGION, PRESENT, Queue};
use crate::memory;
use crate::region::{KEPT_CLASS, ROOMY_CLASS, Region, WORD, record_len};

/// A queue in its segment.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    pub(crate) queue: &'a Queue,
    pub(crate) segment: &'a Segment,
}

/// Why nothing was written.
pub(crate) enum Refused {
    Full,
    Fault(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Refused {
        Refused::Fault(error)
    }
}

impl End {
    /// Items that have passed, and the position.
    #[inline]
    fn now(&self) -> (u64, u64) {
        let state = self.state.load(Ordering::Relaxed);
        (state >> 1, self.at[(state & 1) as usize].load(Ordering::Relaxed))
    }

    /// Within the lock: moves the end.
    #[inline]
    fn set(&self, passed: u64, position: u64) {
        let other = !self.state.load(Ordering::Relaxed) & 1;
        // After the change before it: who sees this sees that `state` is another by now.
        self.at[other as usize].store(position, Ordering::Release);
        self.state.store(passed << 1 | other, Ordering::Release);
    }

    /// `state` and the position that belongs to it, without the lock; `None` if it moves all the time.
    fn snapshot(&self) -> Option<(u64, u64)> {
        (0..1000).find_map(|_| {
            let state = self.state.load(Ordering::Acquire);
            let position = self.at[(state & 1) as usize].load(Ordering::Relaxed);
            fence(Ordering::Acquire);
            (self.state.load(Ordering::Relaxed) == state).then_some((state, position))
        })
    }

    /// The position before the last change.
    fn before(&self) -> u64 {
        self.at[(!self.state.load(Ordering::Relaxed) & 1) as usize].load(Ordering::Relaxed)
    }

    /// Within the lock: the position of the next record.
    pub(crate) fn position(&self) -> u64 {
        self.now().1
    }

    /// Items that have passed.
    #[inline]
    pub(crate) fn passed(&self) -> u64 {
        self.state.load(Ordering::Acquire) >> 1
    }
}

impl<'a> Ring<'a> {
    /// Lays out an empty queue whose smallest region is `base`.
    pub(crate) fn init(self, capacity: u64, base: Region) {
        let Queue { tail, head, .. } = self.queue;
        for end in [tail, head] {
            end.at[0].store(base.start(), Ordering::Relaxed);
            end.seen_at.store(base.start(), Ordering::Relaxed);
        }
        self.queue.capacity.store(capacity, Ordering::Relaxed);
        self.queue.regions.store(base.bit(), Ordering::Relaxed);
        self.queue.base.store(base.class, Ordering::Relaxed);
    }

    #[cold]
    pub(crate) fn damaged(self, field: &'static str) -> Error {
        Error::new("use", self.segment.label(), Cause::Damaged { field })
    }

    /// The word at that position: 0 if nothing is there yet. Who sees it sees what it stands for.
    #[inline]
    fn peek(self, position: u64) -> Result<u64> {
        Ok(memory::word(self.segment, position)?.load(Ordering::Acquire))
    }

    /// Whether there is something to read, or something is wrong, without the lock.
    #[inline]
    pub(crate) fn has_items(self) -> bool {
        self.queue.head.snapshot().is_none_or(|(_, position)| self.peek(position).is_ok_and(|word| word != 0))
    }

    /// How many records there are to read at least, up to so many, without the lock: those in the region that is read. The
    /// tail would say it at once, but take its line away from the CPU of the writer.
    pub(crate) fn available(self, most: u64) -> u64 {
        let Some((_, start)) = self.queue.head.snapshot() else { return 0 };
        let Some(region) = Region::of(start) else { return 0 };
        let (mut count, mut position) = (0, start);
        // More are not there, unless somebody has spoilt them.
        while count < most.min(region.len() / WORD) {
            match self.after(position) {
                Some((more, next)) if next != position => (count, position) = (count + more, next),
                _ => break,
            }
        }
        count
    }

    #[inline]
    fn region(self, position: u64) -> Result<Region> {
        Region::of(position).ok_or_else(|| self.damaged("position"))
    }

    /// Within the tail's lock, of which the last owner did not finish: what it has made visible, it has put.
    #[cold]
    pub(crate) fn repair_tail(self) {
        let tail = &self.queue.tail;
        match self.moving(tail) {
            // Done with the new region, but maybe not with the word that leads there.
            Some(region) if Region::of(tail.now().1) == Some(region) => {
                if let Ok(word) = memory::word(self.segment, tail.before()) {
                    // If the reader has been there, it is not 0, or the memory is given back, and 0 for good.
                    let _ =
                        word.compare_exchange(0, JUMP | region.start(), Ordering::Release, Ordering::Relaxed);
                }
            }
            Some(region) => self.give_back(region),
            None => {
                let (mut passed, mut position) = tail.now();
                // As many as a batch has at most, and the jumps between them.
                for _ in 0..4096 {
                    match self.after(position) {
                        Some((_, next)) if next == position => break,
                        Some((count, next)) => (passed, position) = (passed.wrapping_add(count), next),
                        None => break,
                    }
                }
                tail.set(passed, position);
            }
        }
        tail.moving.store(0, Ordering::Release);
    }

    /// What is at that position: how many items, and where it goes on. `None` if there is nothing that could be there.
    fn after(self, position: u64) -> Option<(u64, u64)> {
        let region = Region::of(position)?;
        let word = memory::word(self.segment, position).ok()?.load(Ordering::Acquire);
        match word {
            0 => None,
            word if word & JUMP != 0 => (word & !JUMP == region.start()).then_some((0, region.start())),
            word => {
                let end = record_len(word & !PRESENT)?.checked_add(position)?;
                (end < region.end()).then_some((1, end))
            }
        }
    }

    /// Within the head's lock, of which the last owner did not finish: a region that it had left is nobody's.
    #[cold]
    pub(crate) fn repair_head(self) {
        let head = &self.queue.head;
        if let Some(region) = self.moving(head)
            && Region::of(head.now().1).is_some_and(|now| now != region)
        {
            self.give_back(region);
        }
        head.moving.store(0, Ordering::Release);
    }

    fn moving(self, end: &End) -> Option<Region> {
        1_u64.checked_shl(end.moving.load(Ordering::Relaxed)).and_then(Region::of)
    }

    /// Whether the writer can go there. One that a reader is giving back is not free before that is through: who repairs
    /// after its death does it again.
    fn is_free(self, region: Region) -> bool {
        let Queue { regions, head, .. } = self.queue;
        regions.load(Ordering::Acquire) & region.bit() == 0 && self.moving(head) != Some(region)
    }

    fn give_back(self, region: Region) {
        if region.class != self.queue.base.load(Ordering::Relaxed) {
            // If it cannot be given back it stays, and is used again.
            let _ = self.segment.release(region.start()..region.end());
        }
        self.queue.regions.fetch_and(!region.bit(), Ordering::Release);
    }

    /// To be used within the tail's lock.
    #[inline]
    pub(crate) fn writer(self) -> Writer<'a> {
        Writer { ring: self, passed: 0, position: 0, first: None }
    }

    /// To be used within the head's lock.
    #[inline]
    pub(crate) fn reader(self) -> Reader<'a> {
        Reader { ring: self, passed: 0, position: 0 }
    }
}

/// Writes records; none is there before [`commit`](Writer::commit).
pub(crate) struct Writer<'a> {
    ring: Ring<'a>,
    passed: u64,
    position: u64,
    /// The first word that is to be written, and where.
    first: Option<(u64, u64)>,
}

impl Writer<'_> {
    /// Begins where the tail is.
    #[inline]
    pub(crate) fn begin(&mut self) {
        (self.passed, self.position) = self.ring.queue.tail.now();
    }

    /// Finds room for a record and writes its head; the position of its bytes.
    #[inline(always)]
    pub(crate) fn push(&mut self, len: usize) -> Result<u64, Refused> {
        let (ring, tail) = (self.ring, &self.ring.queue.tail);
        let capacity = ring.queue.capacity.load(Ordering::Relaxed);
        // As it is counted by those who wait for room.
        let room = |seen: u64| self.passed.saturating_sub(seen >> 1) < capacity;
        if !room(tail.seen.load(Ordering::Relaxed)) && !room(self.look().0) {
            return Err(Refused::Full);
        }
        let need = record_len(len as u64).ok_or_else(|| self.too_large(len))?;
        let region = ring.region(self.position)?;
        let at = match region.place(self.position, tail.seen_at.load(Ordering::Relaxed), need) {
            Some(at) if at == self.position => at,
            place => self.place_elsewhere(region, place, need, len)?,
        };
        // Room for the word behind it, too.
        self.word(at + need)?;
        if at != self.position {
            self.write(self.position, JUMP | at)?;
        }
        self.write(at, PRESENT | len as u64)?;
        self.passed = self.passed.wrapping_add(1);
        self.position = at + need;
        Ok(at + WORD)
    }

    /// Records that have passed, with those pushed.
    #[inline]
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    #[inline]
    fn word(&self, position: u64) -> Result<&AtomicU64> {
        memory::word(self.ring.segment, position)
    }

    /// Writes a word, unless it is the first one, which lets the others be seen.
    #[inline]
    fn write(&mut self, position: u64, word: u64) -> Result<()> {
        match self.first {
            Some(_) => self.word(position)?.store(word, Ordering::Relaxed),
            None => self.first = Some((position, word)),
        }
        Ok(())
    }

    /// Makes everything pushed visible.
    #[inline]
    pub(crate) fn commit(&mut self) {
        let (Some((position, word)), tail) = (self.first.take(), &self.ring.queue.tail) else { return };
        let (Ok(first), Ok(end)) = (self.word(position), self.word(self.position)) else { return };
        // Behind the last there is nothing. It is written no earlier, since to write in the order of addresses is a third
        // faster where the lines are still with the CPU of the reader.
        end.store(0, Ordering::Relaxed);
        if tail.moving.load(Ordering::Relaxed) == 0 {
            first.store(word, Ordering::Release);
            tail.set(self.passed, self.position);
            memory::prepare_write(end);
        } else {
            // The reader may give the old region back as soon as it has seen the word. Nobody would find out then that
            // the tail has left it.
            tail.set(self.passed, self.position);
            first.store(word, Ordering::Release);
            tail.moving.store(0, Ordering::Release);
        }
    }

    /// Looks where the reader is: its state and position.
    #[inline]
    fn look(&self) -> (u64, u64) {
        let Queue { head, tail, .. } = self.ring.queue;
        if let Some((state, position)) = head.snapshot() {
            tail.seen.store(state, Ordering::Relaxed);
            tail.seen_at.store(position, Ordering::Relaxed);
        }
        // Where it was some time ago it does no harm to take it for.
        (tail.seen.load(Ordering::Relaxed), tail.seen_at.load(Ordering::Relaxed))
    }

    /// Not right behind the last record: at the start of the region, or in another.
    #[cold]
    fn place_elsewhere(
        &mut self,
        region: Region,
        place: Option<u64>,
        need: u64,
        len: usize,
    ) -> Result<u64, Refused> {
        let (state, reader) = self.look();
        let backlog = self.passed.wrapping_sub(state >> 1);
        let place = match region.place(self.position, reader, need) {
            Some(at) if at == self.position => return Ok(at),
            // At the end of a large region with little in it, go on in a smaller one.
            Some(at) if region.class > KEPT_CLASS && backlog > 0 => {
                self.smaller(region, reader, need).or(Some(at))
            }
            found => found.or(place),
        };
        match place {
            Some(at) => Ok(at),
            None if self.ring.queue.capacity.load(Ordering::Relaxed) != ONE_REGION => {
                self.enter_larger(region, need, len)
            }
            // There will be room when the rest is read: on one side of the reader, wherever that stops, is half of the region.
            None if need + WORD <= region.len() / 2 => Err(Refused::Full),
            None => match self.enter_larger(region, need, len) {
                Err(Refused::Fault(_)) if backlog > 0 => Err(Refused::Full),
                entered => entered,
            },
        }
    }

    /// A region that is much smaller, but large enough for what is in this one.
    fn smaller(&mut self, region: Region, reader: u64, need: u64) -> Option<u64> {
        let used = if Region::of(reader) == Some(region) {
            self.position.wrapping_sub(reader) % region.len()
        } else {
            return None;
        };
        let small = Region::with_len(used.checked_add(need)?.checked_mul(4)?)?;
        (small.class + 2 < region.class).then_some(())?;
        // A ring that is bound by its bytes keeps the room that was asked for.
        let class = small.class.max(KEPT_CLASS).max(self.ring.queue.base.load(Ordering::Relaxed));
        (class < region.class).then_some(())?;
        self.enter(Region { class }).ok()
    }

    fn enter_larger(&mut self, region: Region, need: u64, len: usize) -> Result<u64, Refused> {
        let least = Region::with_len(need.saturating_add(WORD));
        let least = least.ok_or_else(|| Refused::Fault(self.too_large(len)))?;
        // With room for another one of its size, unless that is much. A small one stays in the caches.
        let wanted = Region::with_len(need.saturating_mul(2)).filter(|wanted| wanted.class <= ROOMY_CLASS);
        let larger = wanted.unwrap_or(least).class.max(region.class + 1);
        match self.enter_free(larger, need) {
            // It may be there is memory for this item.
            Err(Refused::Fault(error)) => match self.enter_free(least.class, need) {
                Err(Refused::Fault(_)) => Err(Refused::Fault(error)),
                entered => entered,
            },
            entered => entered,
        }
    }

    /// The smallest free region from that class on; its start.
    fn enter_free(&mut self, class: u32, need: u64) -> Result<u64, Refused> {
        let is_free = |class: &u32| self.ring.is_free(Region { class: *class });
        let class = (class..=MAX_CLASS).find(is_free).ok_or_else(|| {
            let cause = Cause::NoMemory { asked: need, available: 0 };
            Refused::Fault(Error::new("grow", self.ring.segment.label(), cause))
        })?;
        self.enter(Region { class })
    }

    /// Sets a region aside; its start.
    fn enter(&mut self, region: Region) -> Result<u64, Refused> {
        let Ring { queue, segment } = self.ring;
        if !self.ring.is_free(region) {
            return Err(Refused::Full);
        }
        // What comes before the new region is visible before it, so that a kill forgets one region at most.
        self.commit();
        queue.tail.moving.store(region.class, Ordering::Release);
        queue.regions.fetch_or(region.bit(), Ordering::AcqRel);
        if region.class != queue.base.load(Ordering::Relaxed) {
            if let Err(error) = segment.reserve(region.start()..region.end()) {
                queue.regions.fetch_and(!region.bit(), Ordering::Release);
                queue.tail.moving.store(0, Ordering::Relaxed);
                return Err(error.into());
            }
            queue.grown.store(milliseconds(), Ordering::Relaxed);
        }
        Ok(region.start())
    }

    #[cold]
    fn too_large(&self, len: usize) -> Error {
        let cause = Cause::OutOfBounds { offset: 0, len: len as u64, size: (1 << MAX_CLASS) - 2 * WORD };
        Error::new("put into", self.ring.segment.label(), cause)
    }
}

/// Reads records; they stay until [`commit`](Reader::commit).
pub(crate) struct Reader<'a> {
    ring: Ring<'a>,
    passed: u64,
    position: u64,
}

/// A record's bytes.
#[derive(Clone, Copy)]
pub(crate) struct Record {
    pub(crate) at: u64,
    pub(crate) len: usize,
}

impl Reader<'_> {
    /// Begins where the head is.
    #[inline]
    pub(crate) fn begin(&mut self) {
        (self.passed, self.position) = self.ring.queue.head.now();
    }

    /// The next record, if there is one.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<Record>> {
        let ring = self.ring;
        let mut word = ring.peek(self.position)?;
        let mut jumps = 0;
        // More than one, if somebody was killed while it gave memory back, and the writer went on from there.
        while word & JUMP != 0 && jumps < MAX_CLASS {
            self.follow(word & !JUMP)?;
            word = ring.peek(self.position)?;
            jumps += 1;
        }
        if word == 0 {
            return Ok(None);
        }
        let (region, len) = (ring.region(self.position)?, word & !PRESENT);
        let end = record_len(len).and_then(|len| len.checked_add(self.position));
        let end = end.filter(|&end| end < region.end()).ok_or_else(|| ring.damaged("record"))?;
        let record = Record { at: self.position + WORD, len: len as usize };
        self.passed = self.passed.wrapping_add(1);
        self.position = end;
        Ok(Some(record))
    }

    #[cold]
    fn follow(&mut self, to: u64) -> Result<()> {
        let (from, region) = (self.ring.region(self.position)?, self.ring.region(to)?);
        if to != region.start() {
            return Err(self.ring.damaged("jump"));
        }
        if from == region {
            // There was something before the jump was made.
            if self.ring.peek(to)? == 0 {
                return Err(self.ring.damaged("jump"));
            }
            self.position = to;
            return Ok(());
        }
        let head = &self.ring.queue.head;
        head.moving.store(from.class, Ordering::Release);
        self.position = to;
        self.commit();
        self.ring.give_back(from);
        head.moving.store(0, Ordering::Relaxed);
        Ok(())
    }

    /// Gives up everything read.
    #[inline]
    pub(crate) fn commit(&mut self) {
        self.ring.queue.head.set(self.passed, self.position);
    }

    /// Within both locks: if nothing is left in a region that is large, both ends go back to the first one.
    #[cold]
    pub(crate) fn trim(&mut self) -> Result<()> {
        let queue = self.ring.queue;
        let mut writer = self.ring.writer();
        writer.begin();
        let region = self.ring.region(writer.position)?;
        if writer.passed != self.passed || region.class <= KEPT_CLASS {
            return Ok(());
        }
        let base = 1_u64.checked_shl(queue.base.load(Ordering::Relaxed)).and_then(Region::of);
        let base = base.ok_or_else(|| self.ring.damaged("base"))?;
        if self.position != writer.position {
            // The writer has jumped already.
            return Ok(());
        }
        let Ok(start) = writer.enter(base) else { return Ok(()) };
        writer.write(writer.position, JUMP | start)?;
        writer.position = start;
        writer.commit();
        self.follow(start)
    }
}

/// Milliseconds of the monotonic clock, which all processes share, cut off.
pub(crate) fn milliseconds() -> u32 {
    ipc_core::monotonic().as_millis() as u32
}
