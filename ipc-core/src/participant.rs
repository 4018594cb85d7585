//! Who takes part in a segment, under which identity, and whether it still lives.
//!
//! Every process that opens a segment claims a slot in its table. The slot's number and generation make an
//! identity of 31 bits, which fits a futex word: a lock can take itself and record its owner in one step, and
//! anybody can ask later whether that owner lives. A process is known by pid and start time, so that a reused pid
//! is never taken for it; a zombie is dead; a stopped process is alive.

use std::fmt;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::Cause;
use crate::layout::{ID_GENERATION_BITS, ID_SLOT_BITS, START_BITS, START_TAG, Slot};
use crate::sys::{self, Life};

/// The identity of a process within one segment.
///
/// Valid in that segment only. It is never given to another process again while it matters: a slot that is used
/// anew has another generation (19 bits of it stand in the identity).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ParticipantId(NonZeroU32);

impl ParticipantId {
    /// How many of a `u32`'s low bits an identity takes; the rest is free for the lock that holds it.
    pub const BITS: u32 = ID_SLOT_BITS + ID_GENERATION_BITS;

    /// The identity in the low [`BITS`](Self::BITS) of a word from shared memory; `None` if there is none.
    #[inline]
    pub fn from_word(word: u32) -> Option<ParticipantId> {
        let id = NonZeroU32::new(word & ((1 << Self::BITS) - 1))?;
        Some(ParticipantId(id)).filter(|id| id.number() != 0)
    }

    /// The word that stands for it, never 0.
    #[inline]
    pub fn word(self) -> u32 {
        self.0.get()
    }

    /// A small number that no two living participants of the segment share: 0 to its capacity - 1. For tables
    /// with a place for each.
    #[inline]
    pub fn index(self) -> usize {
        self.number() as usize - 1
    }

    #[inline]
    fn number(self) -> u32 {
        self.0.get() & ((1 << ID_SLOT_BITS) - 1)
    }

    fn generation(self) -> u32 {
        self.0.get() >> ID_SLOT_BITS
    }

    fn new(index: usize, generation: u32) -> ParticipantId {
        let number = index as u32 + 1;
        let word = low_bits(generation) << ID_SLOT_BITS | number;
        ParticipantId(NonZeroU32::new(word).expect("slots are counted from 1"))
    }
}

impl fmt::Debug for ParticipantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ParticipantId({}.{})", self.index(), self.generation())
    }
}

/// The identity of this process in a segment, kept at hand: see [`Segment::identity`](crate::Segment::identity).
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    pub(crate) own: &'a AtomicU32,
    pub(crate) id: ParticipantId,
}

impl Identity<'_> {
    /// The identity.
    #[inline]
    pub fn id(self) -> ParticipantId {
        self.id
    }

    /// Whether this is the process that has it, and not one that was forked from it. Costs a load.
    #[inline]
    pub fn is_current(self) -> bool {
        self.own.load(Ordering::Relaxed) == self.id.word()
    }
}

/// A process that takes part in a segment, or did until it died.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participant {
    /// Its identity.
    pub id: ParticipantId,
    /// Its process id.
    pub pid: u32,
    /// The name that the kernel knows it by, if it lives.
    pub name: Option<String>,
    /// Whether it lives.
    pub alive: bool,
}

fn low_bits(generation: u32) -> u32 {
    generation & ((1 << ID_GENERATION_BITS) - 1)
}

/// The state of a slot, taken apart.
#[derive(Clone, Copy)]
struct State {
    generation: u32,
    pid: u32,
}

impl State {
    fn load(slot: &Slot) -> State {
        let word = slot.state.load(Ordering::Acquire);
        State { generation: (word >> 32) as u32, pid: word as u32 }
    }

    fn word(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.pid)
    }

    /// Changes the slot from `self` to `new`, unless somebody else changed it.
    fn replace(self, slot: &Slot, new: State) -> bool {
        slot.state.compare_exchange(self.word(), new.word(), Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn freed(self) -> State {
        State { generation: self.generation.wrapping_add(1), pid: 0 }
    }

    fn is_alive(self, slot: &Slot) -> bool {
        let start = slot.start.load(Ordering::Acquire);
        let start_is_known = start >> START_TAG == tag(self.generation);
        sys::is_alive(Life { pid: self.pid, start: start & START_MASK }, start_is_known)
    }

    fn exits(self, slot: &Slot) -> bool {
        let start = slot.start.load(Ordering::Acquire);
        start >> START_TAG == tag(self.generation) && start & EXITS != 0
    }
}

const START_MASK: u64 = (1 << START_BITS) - 1;
const EXITS: u64 = 1 << START_BITS;

fn tag(generation: u32) -> u64 {
    u64::from(generation & 0xffff)
}

/// Claims a slot for this process.
pub(crate) fn join(slots: &[Slot]) -> Result<ParticipantId, Cause> {
    let me = sys::life();
    // Neighbouring pids begin at neighbouring slots.
    let first = me.pid as usize % slots.len();
    let order = || (first..slots.len()).chain(0..first);
    let free = || order().find_map(|index| claim(slots, index, me));
    free()
        .or_else(|| {
            // Only now, since asking for each costs system calls: take back what dead processes left.
            order().for_each(|index| reclaim(&slots[index]));
            free()
        })
        .ok_or(Cause::TooManyParticipants { capacity: slots.len() as u32 })
}

fn claim(slots: &[Slot], index: usize, me: Life) -> Option<ParticipantId> {
    let slot = &slots[index];
    let state = State::load(slot);
    if state.pid != 0 || !state.replace(slot, State { pid: me.pid, ..state }) {
        return None;
    }
    slot.start.store(tag(state.generation) << START_TAG | me.start & START_MASK, Ordering::Release);
    Some(ParticipantId::new(index, state.generation))
}

fn reclaim(slot: &Slot) {
    let state = State::load(slot);
    if state.pid != 0 && !state.is_alive(slot) {
        // If this fails, somebody else did it.
        let _ = state.replace(slot, state.freed());
    }
}

/// Gives the slot up.
pub(crate) fn leave(slots: &[Slot], id: ParticipantId) {
    if let Some((slot, state)) = find(slots, id) {
        let _ = state.replace(slot, state.freed());
    }
}

/// Whether the process of that identity lives.
pub(crate) fn is_alive(slots: &[Slot], id: ParticipantId) -> bool {
    find(slots, id).is_some_and(|(slot, state)| state.is_alive(slot))
}

/// Whether that identity stands in the table.
pub(crate) fn takes_part(slots: &[Slot], id: ParticipantId) -> bool {
    find(slots, id).is_some()
}

/// Descriptors of a process; `None` where there is none to spare.
pub(crate) struct Opened {
    /// Readable when it is a zombie.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Asked by [`sys::has_memory`].
    pub(crate) memory: Option<OwnedFd>,
}

/// Descriptors of that process; `None` if it is dead.
pub(crate) fn open(slots: &[Slot], id: ParticipantId) -> Option<Opened> {
    let (slot, state) = find(slots, id)?;
    let spare = |fd: &OwnedFd| sys::is_spare(fd.as_fd());
    let opened = Opened {
        pidfd: sys::pidfd(state.pid).filter(spare),
        memory: sys::memory_of(state.pid).filter(spare),
    };
    // Asked after they were opened: if this is still the right process, the descriptors are the right ones too.
    state.is_alive(slot).then_some(opened)
}

/// What is known of the process of that identity; `None` if it is long gone.
pub(crate) fn describe(slots: &[Slot], id: ParticipantId) -> Option<Participant> {
    let (slot, state) = find(slots, id)?;
    let alive = state.is_alive(slot);
    let name = if alive { sys::process_name(state.pid) } else { None };
    Some(Participant { id, pid: state.pid, name, alive })
}

/// The identities of all who take part, and of the dead whose slot nobody needed yet.
pub(crate) fn ids(slots: &[Slot]) -> impl Iterator<Item = ParticipantId> {
    let states = slots.iter().map(State::load).enumerate().filter(|(_, state)| state.pid != 0);
    states.map(|(index, state)| ParticipantId::new(index, state.generation))
}

/// What is known of them.
pub(crate) fn all(slots: &[Slot]) -> Vec<Participant> {
    ids(slots).filter_map(|id| describe(slots, id)).collect()
}

/// Notes that the process has begun to exit: it may still use the segment, but not for long.
pub(crate) fn exit(slots: &[Slot], id: ParticipantId) {
    if let Some((slot, _)) = find(slots, id) {
        slot.start.fetch_or(EXITS, Ordering::AcqRel);
    }
}

/// Whether anybody takes part who is alive and will stay, other than the one whose identity is the word `except`.
pub(crate) fn anyone(slots: &[Slot], except: u32) -> bool {
    slots.iter().enumerate().any(|(index, slot)| {
        let state = State::load(slot);
        let id = ParticipantId::new(index, state.generation);
        state.pid != 0 && id.word() != except && !state.exits(slot) && state.is_alive(slot)
    })
}

/// The slot, if it still has that generation and a process.
fn find(slots: &[Slot], id: ParticipantId) -> Option<(&Slot, State)> {
    let slot = slots.get(id.index())?;
    let state = State::load(slot);
    (state.pid != 0 && low_bits(state.generation) == id.generation()).then_some((slot, state))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn table(len: usize) -> Vec<Slot> {
        (0..len).map(|_| Slot { state: AtomicU64::new(0), start: AtomicU64::new(0) }).collect()
    }

    #[test]
    fn a_participant_is_alive_until_it_leaves() {
        let slots = table(3);
        let id = join(&slots).unwrap();
        assert!(is_alive(&slots, id));
        assert_eq!(describe(&slots, id).unwrap().pid, std::process::id());
        leave(&slots, id);
        assert!(!is_alive(&slots, id));
        assert_eq!(ParticipantId::from_word(id.word() | 1 << 31), Some(id));
    }

    #[test]
    fn a_slot_that_is_used_again_gives_another_identity() {
        let slots = table(1);
        let first = join(&slots).unwrap();
        leave(&slots, first);
        let second = join(&slots).unwrap();
        assert_ne!(first, second);
        assert!(!is_alive(&slots, first));
        assert!(is_alive(&slots, second));
    }

    #[test]
    fn a_full_table_of_living_processes_refuses() {
        let slots = table(2);
        join(&slots).unwrap();
        join(&slots).unwrap();
        assert!(matches!(join(&slots), Err(Cause::TooManyParticipants { capacity: 2 })));
    }

    #[test]
    fn a_reused_pid_is_not_taken_for_the_one_that_died() {
        let slots = table(1);
        let id = join(&slots).unwrap();
        // As if this process had been given the pid of one that started one tick earlier and died.
        slots[0].start.fetch_sub(1, Ordering::Relaxed);
        assert!(!is_alive(&slots, id));
        assert_eq!(join(&slots).unwrap().index(), 0, "its slot can be had");
    }

    #[test]
    fn killed_between_claim_and_start_time_the_slot_is_judged_by_its_pid() {
        let slots = table(1);
        slots[0].state.store(5 << 32 | u64::from(std::process::id()), Ordering::Relaxed);
        assert!(is_alive(&slots, ParticipantId::new(0, 5)));
        // No process has a pid above 2^22.
        slots[0].state.store(5 << 32 | 0x7fff_ffff, Ordering::Relaxed);
        assert!(!is_alive(&slots, ParticipantId::new(0, 5)));
    }

    #[test]
    fn nobody_gets_a_place_that_somebody_has() {
        use std::sync::atomic::AtomicBool;
        let slots = table(1);
        let taken = AtomicBool::new(false);
        let me = sys::life();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..1_000_000 {
                        if let Some(id) = claim(&slots, 0, me) {
                            assert!(!taken.swap(true, Ordering::AcqRel));
                            (0..20).for_each(|_| std::hint::spin_loop());
                            taken.store(false, Ordering::Release);
                            leave(&slots, id);
                        }
                    }
                });
            }
        });
    }

    #[test]
    fn garbage_in_the_table_is_survived() {
        let slots = table(4);
        for word in [u64::MAX, 1, 1 << 63, 0xffff_ffff] {
            for slot in &slots {
                slot.state.store(word, Ordering::Relaxed);
                slot.start.store(!word, Ordering::Relaxed);
            }
            all(&slots);
            let _ = join(&slots);
        }
        for word in [0, 1 << 12, 4095, u32::MAX >> 1, u32::MAX] {
            if let Some(id) = ParticipantId::from_word(word) {
                is_alive(&slots, id);
            }
        }
    }
}
