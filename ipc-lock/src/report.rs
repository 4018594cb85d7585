//! Who holds what, and who waits: for people.

use std::time::Duration;

use ipc_core::{Participant, ParticipantId, Segment};

use crate::layout::{Cells, RawLock, Waiters};

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The process. It may be dead, if nobody has asked for the lock since; `None` if even that is forgotten.
    pub process: Option<Participant>,
    /// For how long it has been seen to hold the lock, which begins when another first had to wait for it; `None` if
    /// nobody had to.
    pub seen_for: Option<Duration>,
}

pub(crate) fn holder(segment: &Segment, lock: &RawLock) -> Option<Holder> {
    let owner = lock.owner()?;
    let process = ParticipantId::from_word(owner).and_then(|id| segment.participant(id));
    Some(Holder { process, seen_for: lock.held_for(owner) })
}

/// The processes listed there, without the dead.
pub fn waiters(segment: &Segment, waiters: &Waiters) -> Vec<Participant> {
    let process = |id| segment.participant(ParticipantId::from_word(id)?);
    waiters.all().into_iter().filter_map(process).filter(|process| process.alive).collect()
}

pub(crate) fn counts(segment: &Segment, cells: &Cells) -> Vec<(Participant, u32)> {
    let process = |(id, count)| Some((segment.participant(ParticipantId::from_word(id)?)?, count));
    cells.all().filter_map(process).collect()
}
