//! Asking again and again whether the same processes live.

use std::collections::BTreeMap;
use std::fmt;
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use crate::bell::Bell;
use crate::participant::{Opened, ParticipantId};
use crate::place::Place;
use crate::segment::Segment;
use crate::{fork, sys};

/// What somebody who waits for others remembers of them, so that asking whether they live costs a few system calls for
/// all of them, from the second time on.
///
/// Holds two descriptors for each, which all of this process have together; where they would be of the last quarter that it
/// may have, it asks as [`Segment::is_alive`] does.
#[derive(Default)]
pub struct Watch {
    known: Vec<Known>,
    /// Counts the questions.
    turn: usize,
}

/// A pidfd tells of an end only when the memory is given back, which takes 0.1 s and more for a GiB. So some are asked for
/// their memory instead, others each time, since it costs a system call for each; the rest are polled.
const ASKED: usize = 4;

struct Known {
    id: ParticipantId,
    opened: Arc<Opened>,
    bell: Option<Bell>,
}

/// By the segment's file and the identity in it: many threads may look after the same process.
pub(crate) type OpenedTable = BTreeMap<((u64, u64), u32), Weak<Opened>>;

static OPENED: Mutex<OpenedTable> = Mutex::new(BTreeMap::new());

pub(crate) fn opened_table() -> MutexGuard<'static, OpenedTable> {
    fork::prepare();
    OPENED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Descriptors of that process; `None` if it is dead.
fn open(segment: &Segment, id: ParticipantId) -> Option<Arc<Opened>> {
    let (key, mut table) = ((segment.file(), id.word()), opened_table());
    if let Some(opened) = table.get(&key).and_then(Weak::upgrade) {
        return segment.is_alive(id).then_some(opened);
    }
    let opened = Arc::new(segment.open_participant(id)?);
    table.retain(|_, opened| opened.strong_count() > 0);
    table.insert(key, Arc::downgrade(&opened));
    Some(opened)
}

impl Known {
    /// If it has memory, it lives. If not, that may be so only of its first thread, and costs more to find out.
    fn lives(&self, segment: &Segment) -> bool {
        self.opened.memory.as_ref().is_some_and(|memory| sys::has_memory(memory.as_fd()))
            || segment.is_alive(self.id)
    }
}

impl Watch {
    /// Knows nobody yet.
    pub const fn new() -> Watch {
        Watch { known: Vec::new(), turn: 0 }
    }

    /// Those out of `ids` that are dead: killed, exited, a zombie; or have left the segment. Forgets whom it was not
    /// asked about.
    pub fn dead(
        &mut self,
        segment: &Segment,
        ids: impl IntoIterator<Item = ParticipantId>,
    ) -> Vec<ParticipantId> {
        let mut dead = Vec::new();
        let mut known = Vec::new();
        for id in ids {
            if !segment.takes_part(id) {
                // Its process may live, but has given it up.
                dead.push(id);
                continue;
            }
            match self.known.iter().position(|known| known.id == id) {
                Some(index) => known.push(self.known.swap_remove(index)),
                None => match open(segment, id) {
                    Some(opened) => known.push(Known { id, opened, bell: None }),
                    None => dead.push(id),
                },
            }
        }
        self.known = known;
        let turns = self.known.len().div_ceil(ASKED).max(1);
        self.turn = (self.turn + 1) % turns;
        let (asked, others): (Vec<_>, Vec<_>) =
            self.known.iter().enumerate().partition(|(index, _)| index % turns == self.turn);
        dead.extend(asked.iter().filter(|(_, known)| !known.lives(segment)).map(|(_, known)| known.id));
        let fds: Vec<_> =
            others.iter().filter_map(|(_, known)| Some(known.opened.pidfd.as_ref()?.as_fd())).collect();
        let ended = sys::readable_now(&fds).ok();
        let mut ended = ended.iter().flatten();
        for (_, known) in others {
            let ended = known.opened.pidfd.as_ref().and_then(|_| ended.next().copied());
            // There is no answer if this process may not have as many descriptors open.
            if ended.unwrap_or_else(|| !known.lives(segment)) {
                dead.push(known.id);
            }
        }
        dead
    }

    /// Has `word`, which lies in the segment, woken when one of those has died whom [`dead`](Watch::dead) was asked about
    /// last; for as long as they are asked about. Whether that could be arranged for all of them: it takes a
    /// descriptor for each, and a thread of this process, which is there while anybody uses this.
    pub fn wake_on_death(&mut self, segment: &Segment, word: &AtomicU32) -> bool {
        let Some(place) =
            segment.offset_of(word).and_then(|offset| Place::<AtomicU32>::new(segment, offset).ok())
        else {
            return false;
        };
        for known in self.known.iter_mut().filter(|known| known.bell.is_none()) {
            known.bell = Bell::new(&known.opened, place.clone());
        }
        self.known.iter().all(|known| known.bell.is_some())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|known| known.id)).finish()
    }
}
