//! What a protocol has to know of processes: which one this is, and which have died.

use ipc_core::{ParticipantId, Segment, Watch};

/// The processes around a lock. Real ones take part in a segment; the models have their own.
pub(crate) trait Party {
    /// What is remembered between questions.
    type Watch: Default;

    /// The identity of this process: 1 to 2^31 - 1.
    fn me(&self) -> u32;

    /// Those out of `ids` that are dead. An identity that cannot exist is dead, too.
    fn dead(&self, watch: &mut Self::Watch, ids: &[u32]) -> Vec<u32>;

    /// Whether that one is dead, asked once.
    fn is_dead(&self, id: u32) -> bool;
}

impl Party for Segment {
    type Watch = Watch;

    #[inline]
    fn me(&self) -> u32 {
        match Segment::me(self) {
            Ok(id) => id.word(),
            Err(error) => no_identity(&error),
        }
    }

    fn dead(&self, watch: &mut Watch, ids: &[u32]) -> Vec<u32> {
        let known = ids.iter().copied().filter_map(ParticipantId::from_word);
        let dead = watch.dead(self, known);
        let impossible = ids.iter().copied().filter(|&id| ParticipantId::from_word(id).is_none());
        dead.into_iter().map(ParticipantId::word).chain(impossible).collect()
    }

    fn is_dead(&self, id: u32) -> bool {
        ParticipantId::from_word(id).is_none_or(|id| !self.is_alive(id))
    }
}

/// Only a process that was forked, and not started afresh, can get here: others have an identity with the handle.
#[cold]
fn no_identity(error: &ipc_core::Error) -> ! {
    panic!("a forked process {error}");
}
