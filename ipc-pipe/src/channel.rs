//! One direction through shared memory: a ring for the bytes, and a pair of sockets for everything else.
//!
//! The sockets say who is left: the kernel counts their descriptors in all processes, on the way to one, too. They carry
//! the descriptors of messages, as parcels; and tokens, a byte each, which wake. In the one direction a token means that
//! there is a message, in the other that there is room.
//!
//! Who finds nothing to do takes a token off his socket, notes in the ring that he waits, looks again, and sleeps until
//! the socket is readable. Who has put or taken something sends a token if that is noted, and strikes it off. So either
//! it is noted, or a token is there, whoever else waits at the same end: only who notes it takes tokens. If one is lost
//! with a process, those who sleep look again by themselves.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ipc_core::{Cause, Error, Participant, Place, Result, Segment, Spec, transfer};
use ipc_lock::raw::{Waiters, identity, waiters};
use ipc_queue::raw::{Pace, Ring};
use rustix::io::Errno;

use crate::layout::{PARTICIPANTS, PIPE, Pipe, VERSION};
use crate::sys::{self, Events};

/// Who sleeps looks again at least so often, since whoever should wake him may have been killed.
pub(crate) const LOOK_AGAIN: Duration = Duration::from_millis(70);

/// Where one is stopped in the middle of a send, and has put descriptors on the way, others look for its message so
/// often at first, and then ever less.
pub(crate) const LOOK_SOON: Duration = Duration::from_millis(1);

/// Which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Sending,
    Receiving,
}

/// One end in this process.
pub(crate) struct End {
    pub(crate) ring: Ring,
    pub(crate) pipe: Place<Pipe>,
    pub(crate) socket: Arc<OwnedFd>,
    side: Side,
    /// How many had left the other side, and when that was, as the kernel was asked last.
    looked: AtomicU64,
    pace: Pace,
    /// Dropped after the socket.
    _leaving: Option<Leaving>,
}

/// Tells those who send, when it is dropped, that nobody may be left who receives.
struct Leaving(Place<Pipe>);

/// What ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waited {
    Ready,
    TimedOut,
    /// Nobody is left at the other side.
    Closed,
}

/// The state of one direction: see [`Receiver::incoming_stats`](crate::Receiver::incoming_stats). Over TCP nothing is known
/// of it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Messages on the way.
    pub messages: usize,
    /// Bytes of memory that there are for messages.
    pub memory: u64,
    /// The processes that wait for room, one entry for each waiting thread; the first 14.
    pub waiting_to_send: Vec<Participant>,
    /// The processes that wait for a message, one entry for each waiting thread; the first 14.
    pub waiting_to_receive: Vec<Participant>,
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.0.receivers_left.fetch_add(1, Ordering::Release);
    }
}

fn with_spec<R>(type_name: &str, f: impl FnOnce(&Spec<'_>) -> R) -> R {
    f(&Spec::new("pipe", VERSION).type_name(type_name).participants(PARTICIPANTS))
}

/// Makes both ends of a channel with a ring of so many bytes.
pub(crate) fn create(type_name: &str, bytes: u64) -> Result<(End, End)> {
    let spec = |spec: &Spec<'_>| Segment::anonymous(&spec.len(Ring::LEN).max_len(Ring::MAX_LEN));
    let segment = with_spec(type_name, spec)?;
    let ring = Ring::create(&segment, bytes)?;
    // So that the first message shows at the descriptor, whoever waits there.
    ring.waiting_for_records().store(1, Ordering::Relaxed);
    let (sending, receiving) = transfer::channel()?;
    let end = |side, socket| Ok(End::new(ring.clone(), Place::new(&segment, PIPE)?, Arc::new(socket), side));
    Ok((end(Side::Sending, sending)?, end(Side::Receiving, receiving)?))
}

/// The end of a channel that was handed over.
pub(crate) fn receive(type_name: &str, segment: &Segment, socket: Arc<OwnedFd>, side: Side) -> Result<End> {
    with_spec(type_name, |spec| segment.expect(&spec.len(PIPE + size_of::<Pipe>() as u64)))?;
    if !sys::keeps_messages(socket.as_fd()) {
        return Err(Error::new("receive", "an end of a pipe", Cause::BadMessage));
    }
    Ok(End::new(Ring::at(segment)?, Place::new(segment, PIPE)?, socket, side))
}

impl End {
    fn new(ring: Ring, pipe: Place<Pipe>, socket: Arc<OwnedFd>, side: Side) -> End {
        let _leaving = (side == Side::Receiving).then(|| Leaving(pipe.clone()));
        End { ring, pipe, socket, side, looked: AtomicU64::new(u64::MAX), pace: Pace::default(), _leaving }
    }

    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        self.ring.segment()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(crate) fn stats(&self) -> Stats {
        let (segment, ring) = (self.segment(), &self.ring);
        Stats {
            messages: ring.records() as usize,
            memory: ring.memory(),
            waiting_to_send: waiters(segment, ring.putters()),
            waiting_to_receive: waiters(segment, ring.getters()),
        }
    }

    /// Where it is noted that this side waits.
    fn noted(&self) -> &AtomicU32 {
        match self.side {
            Side::Sending => self.ring.waiting_for_room(),
            Side::Receiving => self.ring.waiting_for_records(),
        }
    }

    fn waiters(&self) -> &Waiters {
        match self.side {
            Side::Sending => self.ring.putters(),
            Side::Receiving => self.ring.getters(),
        }
    }

    /// Whether nobody is left who receives. The kernel is asked only if somebody has left since, or it was not asked for
    /// some milliseconds.
    #[inline]
    pub(crate) fn has_no_receivers(&self) -> bool {
        let left = self.pipe.receivers_left.load(Ordering::Acquire);
        // The nanoseconds stay the same for some milliseconds.
        let now = u64::from(left) << 32 | u64::from(ipc_core::monotonic_coarse().subsec_nanos());
        now != self.looked.load(Ordering::Relaxed) && self.look(now)
    }

    #[cold]
    fn look(&self, now: u64) -> bool {
        let closed = self.has_hung_up();
        if !closed {
            self.looked.store(now, Ordering::Relaxed);
        }
        closed
    }

    /// Whether nobody is left at the other side, says the kernel.
    pub(crate) fn has_hung_up(&self) -> bool {
        sys::has_hung_up(self.fd())
    }

    /// Wakes the other side, if it is noted there that it waits; whether there still is one, as far as is known.
    #[inline]
    pub(crate) fn tell(&self, noted: &AtomicU32) -> bool {
        noted.load(Ordering::Relaxed) == 0 || self.send_token(noted)
    }

    #[cold]
    fn send_token(&self, noted: &AtomicU32) -> bool {
        if noted.swap(0, Ordering::AcqRel) == 0 {
            return true;
        }
        // If there is no room for it, the socket is readable as it is.
        !matches!(sys::send_token(self.fd()), Err(Errno::PIPE | Errno::CONNRESET))
    }

    /// Notes that this side waits, so that the next thing that happens shows at the socket.
    pub(crate) fn note(&self) {
        self.noted().swap(1, Ordering::SeqCst);
    }

    /// Whether that is noted, so that nothing has happened since that would not show.
    pub(crate) fn is_noted(&self) -> bool {
        self.noted().load(Ordering::Relaxed) != 0
    }

    /// Waits until `ready`, which is asked again and again. `count` says how much there is to do then, up to so much.
    pub(crate) fn wait(
        &self,
        deadline: Option<Instant>,
        drain: impl Fn() -> bool,
        ready: impl Fn() -> bool,
        count: impl Fn(u64) -> u64,
    ) -> Waited {
        if self.pace.look(&ready, count) {
            return Waited::Ready;
        }
        let _waiting = self.waiters().enter(self.segment(), identity(self.segment()).id().word());
        let mut pause = LOOK_SOON;
        loop {
            let drained = drain();
            self.note();
            // Who has something to tell looks whether that is noted without a fence, which would cost more than all the
            // rest. Until both see what the other has stored takes less time than this.
            if Pace::settle(&ready) {
                return Waited::Ready;
            }
            let (events, longest) = if drained { (Events::IN, LOOK_AGAIN) } else { (Events::empty(), pause) };
            let until = ipc_core::deadline(longest).into_iter().chain(deadline).min();
            let events = sys::poll_one(self.fd(), events | Events::RDHUP, until);
            if ready() {
                return Waited::Ready;
            }
            if events.is_ok_and(sys::is_hang_up) {
                return Waited::Closed;
            }
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Waited::TimedOut;
            }
            if !drained {
                pause = (pause * 2).min(LOOK_AGAIN);
            }
        }
    }

    /// Waits until there is room in the socket, or for a while.
    pub(crate) fn wait_writable(&self, deadline: Option<Instant>) -> Waited {
        let until = ipc_core::deadline(LOOK_AGAIN).into_iter().chain(deadline).min();
        let events = sys::poll_one(self.fd(), Events::OUT | Events::RDHUP, until);
        if events.is_ok_and(sys::is_hang_up) { Waited::Closed } else { Waited::Ready }
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "End({:?})", self.side)
    }
}
