//! Asking again and again whether the same processes live.

use std::fmt;
use std::os::fd::{AsFd, OwnedFd};

use crate::participant::ParticipantId;
use crate::segment::Segment;
use crate::sys;

/// What somebody who waits for others remembers of them, so that asking whether they live costs one system call for
/// all of them, from the second time on.
///
/// Holds a pidfd for each; without a free descriptor it asks as [`Segment::is_alive`] does.
#[derive(Default)]
pub struct Watch {
    known: Vec<(ParticipantId, Option<OwnedFd>)>,
}

impl Watch {
    /// Knows nobody yet.
    pub const fn new() -> Watch {
        Watch { known: Vec::new() }
    }

    /// Those out of `ids` that are dead: killed, exited, a zombie. Forgets whom it was not asked about.
    pub fn dead(
        &mut self,
        segment: &Segment,
        ids: impl IntoIterator<Item = ParticipantId>,
    ) -> Vec<ParticipantId> {
        let mut dead = Vec::new();
        let mut known = Vec::new();
        for id in ids {
            match self.known.iter().position(|(other, _)| *other == id) {
                Some(index) => known.push(self.known.swap_remove(index)),
                None => match segment.open_participant(id) {
                    Some(pidfd) => known.push((id, pidfd)),
                    None => dead.push(id),
                },
            }
        }
        self.known = known;
        let fds: Vec<_> = self.known.iter().filter_map(|(_, fd)| fd.as_ref().map(AsFd::as_fd)).collect();
        let mut ended = sys::readable_now(&fds).into_iter();
        for (id, fd) in &self.known {
            let is_dead = match fd {
                Some(_) => ended.next().unwrap_or(false),
                None => !segment.is_alive(*id),
            };
            if is_dead {
                dead.push(*id);
            }
        }
        dead
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.known.iter().map(|(id, _)| id)).finish()
    }
}
