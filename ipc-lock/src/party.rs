//! What a protocol has to know of processes: which have died. Which one this is, it is told.

use ipc_core::{Identity, ParticipantId, Segment, Watch};

use crate::sync::AtomicU32;

/// The processes around a lock. Real ones take part in a segment; the models have their own.
pub trait Party {
    /// What is remembered between questions.
    type Watch: Default;

    /// Those out of `ids` that are dead. An identity that cannot exist is dead, too.
    fn dead(&self, watch: &mut Self::Watch, ids: &[u32]) -> Vec<u32>;

    /// Has the word woken when one of those dies whom `dead` was asked about last; whether that can be.
    fn wake_on_death(&self, watch: &mut Self::Watch, word: &AtomicU32) -> bool;

    /// Whether that one is dead, asked once.
    fn is_dead(&self, id: u32) -> bool;
}

impl Party for Segment {
    type Watch = Watch;

    fn dead(&self, watch: &mut Watch, ids: &[u32]) -> Vec<u32> {
        let known = ids.iter().copied().filter_map(ParticipantId::from_word);
        let dead = watch.dead(self, known);
        let impossible = ids.iter().copied().filter(|&id| ParticipantId::from_word(id).is_none());
        dead.into_iter().map(ParticipantId::word).chain(impossible).collect()
    }

    #[cfg(not(loom))]
    fn wake_on_death(&self, watch: &mut Watch, word: &AtomicU32) -> bool {
        watch.wake_on_death(self, word)
    }

    #[cfg(loom)]
    fn wake_on_death(&self, _: &mut Watch, _: &AtomicU32) -> bool {
        false
    }

    fn is_dead(&self, id: u32) -> bool {
        ParticipantId::from_word(id).is_none_or(|id| !self.is_alive(id))
    }
}

/// This process in the segment of a lock.
#[inline]
pub fn identity(segment: &Segment) -> Identity<'_> {
    match segment.identity() {
        Ok(identity) => identity,
        Err(error) => no_identity(&error),
    }
}

/// Only a process that was forked, and not started afresh, can get here: others have an identity with the handle.
#[cold]
fn no_identity(error: &ipc_core::Error) -> ! {
    panic!("a forked process {error}");
}
