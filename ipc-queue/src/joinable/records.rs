//! What happens to records: they are put, handed out, and then done, returned or rejected.

use std::sync::atomic::Ordering;

use ipc_core::{Cause, Error, ParticipantId, Result};

use crate::joinable::book::{Book, Found, Write, damaged, size};
use crate::joinable::layout::{Kind, RECORD_HEAD, RECORD_NUMBER, RECORD_STATE, State};
use crate::layout::MAX_CLASS;
use crate::memory;
use crate::ring::Refused;

/// A record that was handed out, for the one who has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    /// Where it was, as long as no record has moved since.
    at: u64,
    epoch: u64,
    number: u64,
    pub(crate) deliveries: u32,
    pub(crate) holder: u32,
}

/// What becomes of a record that was handed out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Done,
    /// Handed out again, if that is within the limit.
    Returned,
    Rejected,
}

impl Book<'_> {
    /// Finds room for a record and writes it. It is there with the next `commit`.
    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), Refused> {
        if self.now.ready >= self.shared.capacity.load(Ordering::Relaxed) {
            return Err(Refused::Full);
        }
        let size = size(bytes.len() as u64).filter(|&size| size <= 1 << MAX_CLASS);
        let size = size.ok_or_else(|| self.too_large(bytes.len()))?;
        if self.now.head == self.now.tail {
            self.rewind();
        }
        if size > self.region().end() - self.now.tail {
            self.collect(size)?;
        }
        let at = self.now.tail;
        let write = |offset, value| -> Result<()> {
            memory::word(self.segment, at + offset)?.store(value, Ordering::Relaxed);
            Ok(())
        };
        write(0, bytes.len() as u64)?;
        write(RECORD_NUMBER, self.now.next)?;
        write(RECORD_STATE, State { kind: Kind::Ready, deliveries: 0, holder: 0 }.word())?;
        memory::write(self.segment, at + RECORD_HEAD, bytes)?;
        self.now.tail = at + size;
        self.now.live = self.now.live.saturating_add(size);
        self.now.ready = self.now.ready.saturating_add(1);
        self.now.next = self.now.next.wrapping_add(1);
        Ok(())
    }

    #[cold]
    fn too_large(&self, len: usize) -> Error {
        let cause = Cause::OutOfBounds { offset: 0, len: len as u64, size: (1 << MAX_CLASS) - RECORD_HEAD };
        Error::new("put into", self.segment.label(), cause)
    }

    /// Hands the next record out to `me`, its bytes appended to `bytes`, if there is one that is ready.
    #[inline]
    pub(crate) fn take(&mut self, me: u32, bytes: &mut Vec<u8>) -> Result<Option<Lease>> {
        if self.now.ready == 0 {
            return Ok(None);
        }
        let (has, other) = self.jobs_of(me);
        if other {
            // The place was given to this process after another's death.
            self.take_back((self.cell(me) >> 32) as u32)?;
        }
        let found = self.next()?;
        memory::read(self.segment, found.bytes, bytes)?;
        let now = &mut self.now;
        if found.at < now.fresh {
            now.returned = now.returned.saturating_sub(1);
            now.returned_from = found.end;
        } else {
            now.fresh = found.end;
        }
        now.ready = now.ready.saturating_sub(1);
        now.leased = now.leased.saturating_add(1);
        let deliveries = found.state.deliveries.saturating_add(1).min(i32::MAX as u32);
        let state = State { kind: Kind::Leased, deliveries, holder: me };
        let lease = Lease { at: found.at, epoch: now.epoch, number: found.number, deliveries, holder: me };
        self.commit(Write::Both(found.at, state, cell(me, has.saturating_add(1))));
        Ok(Some(lease))
    }

    /// The first record that is ready.
    #[inline]
    fn next(&self) -> Result<Found> {
        if self.now.returned > 0 {
            return self.next_returned();
        }
        let found = self.at(self.now.fresh, self.now.tail)?;
        if found.state.kind == Kind::Ready { Ok(found) } else { Err(damaged(self.segment, "state")) }
    }

    #[cold]
    fn next_returned(&self) -> Result<Found> {
        let is_other =
            |found: &Result<Found>| found.as_ref().is_ok_and(|found| found.state.kind != Kind::Ready);
        let mut records = self.records(self.now.returned_from, self.now.fresh).skip_while(is_other);
        records.next().unwrap_or_else(|| Err(damaged(self.segment, "returned")))
    }

    /// Ends a lease. It is an error if there is no such lease any more.
    #[inline]
    pub(crate) fn finish(&mut self, lease: &Lease, fate: Fate) -> Result<()> {
        let found = self.find(lease)?;
        let has = self.jobs_of(lease.holder).0;
        let state = self.settle(&found, fate);
        self.commit(Write::Both(found.at, state, cell(lease.holder, has.saturating_sub(1))));
        Ok(())
    }

    /// The record of a lease.
    #[inline]
    fn find(&self, lease: &Lease) -> Result<Found> {
        let at = if lease.epoch == self.now.epoch { Some(lease.at) } else { self.moved_to(lease.number) };
        let at = at.filter(|at| (self.now.head..self.now.fresh).contains(at));
        let state = State { kind: Kind::Leased, deliveries: lease.deliveries, holder: lease.holder };
        let found = at.map(|at| self.at(at, self.now.fresh)).transpose()?;
        let found = found.filter(|found| found.number == lease.number && found.state == state);
        found.ok_or_else(|| damaged(self.segment, "job"))
    }

    /// What the state of a record that was handed out becomes, with the numbers that belong to it.
    #[inline]
    fn settle(&mut self, found: &Found, fate: Fate) -> State {
        let most = self.shared.max_deliveries.load(Ordering::Relaxed);
        let is_over = most != 0 && found.state.deliveries >= most;
        self.now.leased = self.now.leased.saturating_sub(1);
        let kind = match fate {
            Fate::Done => {
                self.strike_off(found);
                Kind::Done
            }
            Fate::Returned if !is_over => {
                let now = &mut self.now;
                now.returned_from =
                    if now.returned == 0 { found.at } else { now.returned_from.min(found.at) };
                now.returned = now.returned.saturating_add(1);
                now.ready = now.ready.saturating_add(1);
                Kind::Ready
            }
            Fate::Returned | Fate::Rejected => {
                self.now.rejected = self.now.rejected.saturating_add(1);
                Kind::Rejected
            }
        };
        if self.now.unfinished() == 0 {
            self.now.rounds = self.now.rounds.wrapping_add(1);
        }
        State { kind, deliveries: found.state.deliveries, holder: 0 }
    }

    /// Takes the jobs of one who is dead back.
    #[cold]
    pub(crate) fn take_back(&mut self, dead: u32) -> Result<()> {
        let is_theirs = |found: &Result<Found>| {
            found
                .as_ref()
                .map_or(true, |Found { state, .. }| state.kind == Kind::Leased && state.holder == dead)
        };
        let theirs: Vec<_> = self.records(self.now.head, self.now.fresh).filter(is_theirs).collect();
        let mut result = Ok(());
        for found in theirs {
            match found {
                Ok(found) => {
                    let state = self.settle(&found, Fate::Returned);
                    self.commit(Write::State(found.at, state));
                }
                Err(error) => result = Err(error),
            }
        }
        // Killed before, somebody else does all this again. The cell of an identity that cannot exist may be anywhere.
        let own =
            ParticipantId::from_word(dead).and_then(|id| self.shared.cells.get(id.index()..=id.index()));
        for cell in own.unwrap_or(&self.shared.cells) {
            if holder(cell.load(Ordering::Relaxed)) == dead {
                cell.store(0, Ordering::Release);
            }
        }
        result
    }

    /// The records that are rejected.
    pub(crate) fn rejected(&self) -> Result<Vec<Found>> {
        let is_one =
            |found: &Result<Found>| found.as_ref().map_or(true, |found| found.state.kind == Kind::Rejected);
        self.records(self.now.head, self.now.fresh).filter(is_one).collect()
    }

    /// Removes a rejected record.
    pub(crate) fn remove(&mut self, found: &Found) {
        self.now.rejected = self.now.rejected.saturating_sub(1);
        self.strike_off(found);
        self.commit(Write::State(found.at, State { kind: Kind::Done, ..found.state }));
    }

    /// Whether others than `me` have jobs.
    pub(crate) fn others_have_some(&self, me: u32) -> bool {
        self.now.leased > u64::from(self.jobs_of(me).0)
    }

    #[inline]
    fn cell(&self, me: u32) -> u64 {
        let id = ParticipantId::from_word(me);
        let cell = id.and_then(|id| self.shared.cells.get(id.index()));
        cell.map_or(0, |cell| cell.load(Ordering::Relaxed))
    }

    /// How many jobs it has; and whether another that had its place before has any.
    #[inline]
    fn jobs_of(&self, me: u32) -> (u32, bool) {
        let cell = self.cell(me);
        let is_own = holder(cell) == me;
        (if is_own { cell as u32 } else { 0 }, !is_own && cell as u32 != 0)
    }
}

#[inline]
fn cell(me: u32, jobs: u32) -> u64 {
    u64::from(me) << 32 | u64::from(jobs)
}

/// Whose cell it is.
#[inline]
pub(crate) fn holder(cell: u64) -> u32 {
    (cell >> 32) as u32
}
