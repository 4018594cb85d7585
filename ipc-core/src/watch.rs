//! Asking again and again whether the same processes live.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use crate::bell::Bell;
use crate::participant::ParticipantId;
use crate::place::Place;
use crate::segment::Segment;
use crate::sys;

/// What somebody who waits for others remembers of them, so that asking whether they live costs one system call for
/// all of them, from the second time on, and reading the /proc of a few.
///
/// Holds a pidfd for each; without a free descriptor it asks as [`Segment::is_alive`] does.
#[derive(Default)]
pub struct Watch {
    known: Vec<Known>,
    /// Counts the questions.
    turn: usize,
}

/// A pidfd tells of an end only when the memory is given back, which takes 0.1 s and more for a GiB. So /proc is asked, too, but
/// not about all of them each time.
const ASKED_IN_PROC: usize = 4;

struct Known {
    id: ParticipantId,
    /// `None` if there was no descriptor left.
    pidfd: Option<Arc<OwnedFd>>,
    bell: Option<Bell>,
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
                None => match segment.open_participant(id) {
                    Some(pidfd) => known.push(Known { id, pidfd: pidfd.map(Arc::new), bell: None }),
                    None => dead.push(id),
                },
            }
        }
        self.known = known;
        let fds: Vec<_> = self.known.iter().filter_map(|known| Some(known.pidfd.as_ref()?.as_fd())).collect();
        // Without an answer, for want of descriptors, all are asked about one by one.
        let ended = sys::readable_now(&fds).ok();
        let mut ended = ended.iter().flatten();
        let turns = self.known.len().div_ceil(ASKED_IN_PROC).max(1);
        self.turn = (self.turn + 1) % turns;
        for (index, known) in self.known.iter().enumerate() {
            let ended = known.pidfd.as_ref().and_then(|_| ended.next().copied());
            let asked = ended.is_none() || index % turns == self.turn;
            if ended == Some(true) || asked && !segment.is_alive(known.id) {
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
            known.bell = known.pidfd.as_ref().and_then(|pidfd| Bell::new(pidfd, place.clone()));
        }
        self.known.iter().all(|known| known.bell.is_some())
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|known| known.id)).finish()
    }
}
