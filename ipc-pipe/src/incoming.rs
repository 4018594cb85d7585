//! The receiving end of a channel.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_core::transfer::Parcel;
use ipc_core::{Cause, Error};
use ipc_queue::Bytes;
use ipc_queue::raw::{Getting, Pace, Patient};

use crate::channel::{End, Waited};
use crate::error::RecvRefused;
use crate::parcel::{Ended, Label};
use crate::sys::{self, Events};

/// A handle to it.
#[derive(Debug, Clone)]
pub(crate) struct Incoming(pub(crate) Arc<End>);

/// What is in front on the socket.
enum Packet {
    Nothing,
    /// The end, or something that no honest process sends.
    Empty,
    /// A token, or something that no honest process sends.
    Token,
    /// A parcel with that number.
    Parcel(u64),
}

/// What is left on the socket.
#[derive(PartialEq)]
enum Left {
    Nothing,
    /// There may be more to be taken off.
    More,
    /// One in front whose message may come.
    Parcel,
}

/// When a ring that has grown is asked once more whether it can give memory back: it keeps it for 0.1 s.
const LOOK_LATER: Duration = Duration::from_millis(150);

/// How many packets to throw away at a time: more than fit a socket.
const MANY: usize = 4096;

impl Incoming {
    /// Has `f` look at the next message, which is taken then.
    #[inline]
    pub(crate) fn recv<R>(&self, patient: Patient, f: impl FnOnce(Bytes<'_>) -> R) -> Result<R, RecvRefused> {
        let mut getting = Getting::new(&self.0.ring);
        let bytes = self.begin(&mut getting, patient)?;
        let result = f(bytes);
        getting.take();
        self.0.tell(self.0.ring.waiting_for_room());
        Ok(result)
    }

    /// Appends the next message to `to`, without its end, and gives the parcel that belongs to it.
    #[inline]
    pub(crate) fn recv_with_parcel(
        &self,
        patient: Patient,
        to: &mut Vec<u8>,
    ) -> Result<Option<Box<Parcel>>, RecvRefused> {
        for _ in 0..MANY {
            let mut getting = Getting::new(&self.0.ring);
            self.begin(&mut getting, patient)?.append_to(to)?;
            let parcel = match Label::take_off(to) {
                Ended::Plain => Ok(None),
                Ended::With(label) => self.parcel(label).map(Some),
                Ended::Damaged => Err(self.bad_message().into()),
            };
            getting.take();
            self.0.tell(self.0.ring.waiting_for_room());
            match parcel {
                Ok(parcel) => return Ok(parcel),
                Err(Missing::Fault(error)) => return Err(RecvRefused::Fault(error)),
                Err(Missing::Gone) => to.clear(),
            }
        }
        // So many processes are not killed: somebody else writes there.
        Err(RecvRefused::Fault(self.bad_message()))
    }

    /// Finds the next message, waiting for it.
    #[inline]
    fn begin<'a>(&self, getting: &mut Getting<'a>, patient: Patient) -> Result<Bytes<'a>, RecvRefused> {
        match getting.begin(patient)? {
            Some(bytes) => Ok(bytes),
            None => self.wait_and_begin(getting, patient),
        }
    }

    #[cold]
    fn wait_and_begin<'a>(
        &self,
        getting: &mut Getting<'a>,
        patient: Patient,
    ) -> Result<Bytes<'a>, RecvRefused> {
        let Patient::Until(deadline) = patient else {
            let is_over = self.look() == Waited::Closed;
            if let Some(bytes) = getting.begin(patient)? {
                return Ok(bytes);
            }
            if is_over && !self.has_messages() {
                return Err(RecvRefused::Closed);
            }
            if self.0.is_noted() {
                return Err(RecvRefused::Empty);
            }
            // Another was faster, or has it just now, and its token is still there: what comes next is to show as well.
            self.listen();
            return getting.begin(patient)?.ok_or(RecvRefused::Empty);
        };
        // A look some time later gives the memory of a large message back.
        let mut until = ipc_core::deadline(LOOK_LATER).into_iter().chain(deadline).min();
        loop {
            let waited = self.wait(until);
            // What was sent before the end is received before it.
            if let Some(bytes) = getting.begin(patient)? {
                return Ok(bytes);
            }
            match waited {
                Waited::Closed if !self.has_messages() => return Err(RecvRefused::Closed),
                Waited::TimedOut if until != deadline => until = deadline,
                Waited::TimedOut => return Err(RecvRefused::TimedOut),
                _ if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    return Err(RecvRefused::TimedOut);
                }
                _ => {}
            }
        }
    }

    /// Waits until there is a message, or the end.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Waited {
        let ring = &self.0.ring;
        self.0.wait(
            deadline,
            || self.drain() != Left::Parcel,
            || ring.has_records(),
            |most| ring.available(most),
        )
    }

    /// The same without waiting. If there is nothing, nothing shows at the socket either, and what comes next will.
    pub(crate) fn look(&self) -> Waited {
        if self.has_messages() {
            return Waited::Ready;
        }
        let is_over = self.listen();
        if self.has_messages() {
            return Waited::Ready;
        }
        // Asked for anew each time: one who waits at an edge would not be told of the end again.
        if is_over { Waited::Closed } else { Waited::TimedOut }
    }

    /// Has what comes next show at the socket; whether the end has come.
    fn listen(&self) -> bool {
        let events = sys::poll_one(self.fd(), Events::IN | Events::RDHUP, Some(Instant::now()));
        let (shows, is_over) =
            events.map_or((true, false), |events| (!events.is_empty(), sys::is_hang_up(events)));
        if shows {
            (0..MANY).find(|_| self.drain() != Left::More);
        }
        if shows || !self.0.is_noted() {
            self.0.note();
            Pace::settle(|| self.has_messages());
        }
        is_over
    }

    fn has_messages(&self) -> bool {
        self.0.ring.has_records()
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.fd()
    }

    /// Takes a token off the socket, or parcels whose messages will never come.
    fn drain(&self) -> Left {
        let ring = &self.0.ring;
        // Nobody else takes what was looked at.
        let left = ring.while_nobody_gets(Patient::Not, || match self.peek() {
            Packet::Nothing => Left::Nothing,
            Packet::Empty => {
                sys::discard(self.fd());
                Left::Nothing
            }
            Packet::Token => {
                sys::discard(self.fd());
                Left::More
            }
            // If somebody is just sending, or has sent, it may be his.
            Packet::Parcel(_) => {
                let is_lost = ring.if_nobody_puts(|| !ring.has_records() && sys::discard(self.fd()));
                if is_lost == Some(true) { Left::More } else { Left::Parcel }
            }
        });
        left.unwrap_or(Left::Parcel)
    }

    fn peek(&self) -> Packet {
        let mut packet = [0; Parcel::HEAD + 8];
        let len = match sys::peek(self.fd(), &mut packet) {
            Ok(0) => return Packet::Empty,
            Ok(len) => len,
            Err(_) => return Packet::Nothing,
        };
        let number = Parcel::bytes_in(&packet[..len]).and_then(<[u8]>::first_chunk);
        number.map_or(Packet::Token, |number| Packet::Parcel(u64::from_le_bytes(*number)))
    }

    /// While nobody else can get: takes the parcel of the message in front off the socket.
    #[cold]
    fn parcel(&self, label: Label) -> Result<Box<Parcel>, Missing> {
        let mut tokens = false;
        let mut found = Err(Missing::Gone);
        for _ in 0..MANY {
            match self.peek() {
                Packet::Empty if self.0.has_hung_up() => break,
                Packet::Token | Packet::Empty => {
                    sys::discard(self.fd());
                    tokens = true;
                }
                // Its sender was killed before the message was there.
                Packet::Parcel(number) if number < label.number => {
                    sys::discard(self.fd());
                }
                Packet::Parcel(number) if number == label.number => {
                    found = self.receive_parcel(label);
                    break;
                }
                // Somebody was killed who had taken it, and with it goes its message.
                Packet::Parcel(_) | Packet::Nothing => break,
            }
        }
        if tokens {
            self.0.note();
        }
        found
    }

    fn receive_parcel(&self, label: Label) -> Result<Box<Parcel>, Missing> {
        let parcel = Parcel::receive(self.fd())?.ok_or(Missing::Gone)?;
        if parcel.handles() == label.handles as usize {
            Ok(Box::new(parcel))
        } else {
            Err(self.bad_message().into())
        }
    }

    fn bad_message(&self) -> Error {
        Error::new("receive from", self.0.segment().label(), Cause::BadMessage)
    }
}

/// Why there is no parcel.
enum Missing {
    Fault(Error),
    /// It went with a process that was killed.
    Gone,
}

impl From<Error> for Missing {
    fn from(error: Error) -> Missing {
        Missing::Fault(error)
    }
}
