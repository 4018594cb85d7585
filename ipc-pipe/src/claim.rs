//! Room for a large message where many small ones come.
//!
//! Small ones would find room again and again before there is any for a large one. So one who was refused some times has
//! those with fewer bytes wait until all that was there then is taken. Killed or stopped, he keeps nobody out for longer:
//! what was there is taken by somebody, or nobody is left who receives.

use std::sync::atomic::Ordering;

use ipc_queue::raw::Ring;

use crate::layout::Pipe;

/// So many times in a row it is a matter of luck.
const PATIENT: u32 = 8;

impl Pipe {
    /// Whether one with more bytes waits for room, and not all that was in his way is taken.
    #[inline]
    pub(crate) fn is_claimed_for_more(&self, bytes: usize, ring: &Ring) -> bool {
        self.claimed_until.load(Ordering::Relaxed) != 0 && self.is_claimed(bytes, ring)
    }

    #[cold]
    fn is_claimed(&self, bytes: usize, ring: &Ring) -> bool {
        if ring.taken() >= self.claimed_until.load(Ordering::Relaxed) {
            self.claimed_until.store(0, Ordering::Relaxed);
        }
        self.claimed_until.load(Ordering::Relaxed) != 0
            && (bytes as u64) < self.claimed_for.load(Ordering::Relaxed)
    }
}

/// Of one who waits for room.
pub(crate) struct Claim<'a> {
    pipe: &'a Pipe,
    ring: &'a Ring,
    bytes: u64,
    refusals: u32,
}

impl<'a> Claim<'a> {
    pub(crate) fn new(pipe: &'a Pipe, ring: &'a Ring, bytes: usize) -> Claim<'a> {
        Claim { pipe, ring, bytes: bytes as u64, refusals: 0 }
    }

    /// There was no room.
    pub(crate) fn refused(&mut self) {
        self.refusals += 1;
        let Pipe { claimed_until, claimed_for, .. } = self.pipe;
        let is_free = || claimed_until.load(Ordering::Relaxed) == 0;
        if self.refusals > PATIENT && (is_free() || claimed_for.load(Ordering::Relaxed) < self.bytes) {
            claimed_for.store(self.bytes, Ordering::Relaxed);
            claimed_until.store(self.ring.put(), Ordering::Relaxed);
        }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if self.refusals > PATIENT && self.pipe.claimed_for.load(Ordering::Relaxed) == self.bytes {
            self.pipe.claimed_until.store(0, Ordering::Relaxed);
        }
    }
}
