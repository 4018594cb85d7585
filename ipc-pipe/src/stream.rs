//! One direction of a connection over TCP: messages in a stream.
//!
//! A message is its length in bytes, as a little-endian u64, and its bytes. Nothing is read beyond the message that is
//! asked for, so that the socket is readable as long as there is more.
//!
//! Who sends or receives has the turn, and with it what is known of the stream; others wait for it. A message of which a
//! part was sent when the time was up is finished by a thread, which has the turn until then. So messages are neither
//! mixed nor cut off. A part that was received stays with the turn.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::{Cause, Error};
use ipc_queue::raw::Patient;
use rustix::io::{Errno, retry_on_intr};
use rustix::net::sockopt;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, Shutdown};

use crate::address::os;
use crate::channel::Waited;
use crate::error::{RecvRefused, SendRefused};
use crate::sys::{self, Events};
use crate::turn::{Held, Turn};

/// Bytes of the length.
const HEAD: usize = 8;
/// A message's memory grows by so much at first, and then doubles, as its bytes come.
const STEP: usize = 64 << 10;
/// So much memory is kept for the next message.
const KEPT: usize = 1 << 20;
/// So long the rest of a message is still tried to be sent when the connection is gone.
const LINGER: Duration = Duration::from_secs(10);

// A peer whose machine is gone is noticed after 60 s of silence and 6 questions, 10 s apart.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(10);
const KEEP_ALIVE_COUNT: u32 = 6;

/// Both directions of a connected socket, which takes messages of `limit` bytes, and whose peer takes `their_limit`.
pub(crate) fn open(socket: OwnedFd, limit: u64, their_limit: u64) -> Result<(Outgoing, Incoming), Errno> {
    sockopt::set_tcp_nodelay(&socket, true)?;
    sockopt::set_socket_keepalive(&socket, true)?;
    sockopt::set_tcp_keepidle(&socket, KEEP_ALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(&socket, KEEP_ALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(&socket, KEEP_ALIVE_COUNT)?;
    let socket = Arc::new(socket);
    let sending =
        Sending { socket: Arc::clone(&socket), limit: their_limit, turn: Turn::new(Writer::default()) };
    let receiving = Receiving { socket, limit, turn: Turn::new(Reader::default()) };
    Ok((Outgoing(Arc::new(sending)), Incoming(Arc::new(receiving))))
}

/// Waits until the socket is ready, if there is time; whether it may be.
fn wait(socket: &OwnedFd, events: Events, patient: Patient) -> Result<bool, Errno> {
    match patient {
        Patient::Not => Ok(false),
        // Where nothing may be polled, it ends early and says nothing.
        Patient::Until(deadline) => Ok(!sys::poll_one(socket.as_fd(), events, deadline)?.is_empty()
            || deadline.is_none_or(|deadline| deadline > Instant::now())),
    }
}

/// The sending half.
#[derive(Clone)]
pub(crate) struct Outgoing(Arc<Sending>);

struct Sending {
    socket: Arc<OwnedFd>,
    /// The longest message that the peer takes.
    limit: u64,
    turn: Turn<Writer>,
}

#[derive(Default)]
struct Writer {
    /// The peer is gone, or has got a part of a message only.
    broken: bool,
}

impl Outgoing {
    /// Sends a message of these bytes.
    pub(crate) fn send(&self, bytes: &[u8], patient: Patient) -> Result<(), SendRefused> {
        if bytes.len() as u64 > self.0.limit {
            let text = format!("it has {} bytes, the other side takes at most {}", bytes.len(), self.0.limit);
            return Err(refused(io::ErrorKind::InvalidInput, text));
        }
        let mut turn = self.0.turn.take(patient).ok_or_else(|| full(patient))?;
        if turn.get().broken {
            return Err(SendRefused::Closed);
        }
        let head = (bytes.len() as u64).to_le_bytes();
        let mut frame = Frame { head: &head, bytes };
        match self.0.write(&mut frame, patient) {
            Ok(true) => Ok(()),
            Ok(false) if frame.head.len() == HEAD => Err(full(patient)),
            Ok(false) => self.finish(turn, [frame.head, frame.bytes].concat()),
            Err(errno) => {
                turn.get().broken = true;
                Err(send_error(errno))
            }
        }
    }

    /// Has the rest of a message sent, and keeps the turn until that is done.
    #[cold]
    fn finish(&self, turn: Held<'_, Writer>, rest: Vec<u8>) -> Result<(), SendRefused> {
        let mut writer = turn.keep();
        let sending = Arc::clone(&self.0);
        let finish = move || {
            writer.broken = !sending.linger(&rest);
            sending.turn.give(writer);
        };
        let thread = thread::Builder::new().name("ipc-pipe-rest".to_owned()).spawn(finish);
        thread.map(drop).map_err(|error| {
            self.0.turn.give(Writer { broken: true });
            SendRefused::Fault(Error::new("finish", "a message over TCP", error))
        })
    }

    /// Whether it is known that nobody is left to receive anything.
    pub(crate) fn is_closed(&self) -> bool {
        let now = Some(Instant::now());
        sys::poll_one(self.0.socket.as_fd(), Events::empty(), now).is_ok_and(|events| !events.is_empty())
    }
}

/// The refusal of a message with handles.
#[cold]
pub(crate) fn handles_refused(handles: usize) -> SendRefused {
    let text = format!("handles travel within one machine only, and {handles} would have to leave it");
    refused(io::ErrorKind::Unsupported, text)
}

/// What is left of a message.
struct Frame<'a> {
    head: &'a [u8],
    bytes: &'a [u8],
}

impl Sending {
    /// Writes until it is done, or there is no time left; whether it is done.
    fn write(&self, frame: &mut Frame<'_>, patient: Patient) -> Result<bool, Errno> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        while !(frame.head.is_empty() && frame.bytes.is_empty()) {
            let parts = [io::IoSlice::new(frame.head), io::IoSlice::new(frame.bytes)];
            let mut nothing = SendAncillaryBuffer::default();
            match retry_on_intr(|| rustix::net::sendmsg(&self.socket, &parts, &mut nothing, flags)) {
                Ok(sent) => {
                    let of_head = sent.min(frame.head.len());
                    frame.head = &frame.head[of_head..];
                    frame.bytes = &frame.bytes[sent - of_head..];
                }
                Err(Errno::AGAIN) if wait(&self.socket, Events::OUT, patient)? => {}
                Err(Errno::AGAIN) => return Ok(false),
                Err(errno) => return Err(errno),
            }
        }
        Ok(true)
    }

    /// Writes the rest of a message, as long as the connection is there, and a little longer; whether it is done.
    fn linger(self: &Arc<Sending>, rest: &[u8]) -> bool {
        let mut frame = Frame { head: &[], bytes: rest };
        let mut alone_since = None;
        loop {
            match self.write(&mut frame, Patient::Until(ipc_core::deadline(Duration::from_secs(1)))) {
                Ok(false) => {}
                result => return result.unwrap_or(false),
            }
            let is_alone = Arc::strong_count(self) == 1;
            alone_since = is_alone.then(|| alone_since.unwrap_or_else(Instant::now));
            if alone_since.is_some_and(|since| since.elapsed() > LINGER) {
                return false;
            }
        }
    }
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outgoing(limit {})", self.0.limit)
    }
}

impl Drop for Sending {
    /// The peer reads what was sent, and then the end.
    fn drop(&mut self) {
        let _ = rustix::net::shutdown(&self.socket, Shutdown::Write);
    }
}

/// Why a connection over TCP is no serde value.
pub(crate) fn stays() -> Error {
    let text = "over TCP it has one process: what it has read of a message is in its memory";
    let cause = io::Error::new(io::ErrorKind::Unsupported, text);
    Error::new("serialise", "a connection", cause)
}

fn refused(kind: io::ErrorKind, text: String) -> SendRefused {
    SendRefused::Fault(Error::new("send", "a message over TCP", io::Error::new(kind, text)))
}

fn full(patient: Patient) -> SendRefused {
    if matches!(patient, Patient::Not) { SendRefused::Full } else { SendRefused::TimedOut }
}

fn send_error(errno: Errno) -> SendRefused {
    match errno {
        Errno::PIPE | Errno::CONNRESET => SendRefused::Closed,
        errno => SendRefused::Fault(Error::new("send", "a message over TCP", os(errno))),
    }
}

/// The receiving half.
#[derive(Clone)]
pub(crate) struct Incoming(Arc<Receiving>);

struct Receiving {
    socket: Arc<OwnedFd>,
    /// The longest message that is taken.
    limit: u64,
    turn: Turn<Reader>,
}

/// As much of the next message as is there.
#[derive(Default)]
struct Reader {
    /// Bytes that have come, those of the head included.
    len: usize,
    head: [u8; HEAD],
    /// Room for the next ones included.
    bytes: Vec<u8>,
    /// Why nothing more will come.
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    /// After the last message.
    Clean,
    /// Within a message.
    Cut,
    /// What came is longer than is taken, or no message at all. Nobody knows where the next one begins.
    TooLong,
    /// The system says that the connection is lost, and maybe messages with it.
    Failed(Errno),
}

impl Incoming {
    /// Has `f` look at the next message.
    pub(crate) fn recv<R>(
        &self,
        patient: Patient,
        f: impl FnOnce(&mut Vec<u8>) -> R,
    ) -> Result<R, RecvRefused> {
        let mut turn = self.0.turn.take(patient).ok_or_else(|| nothing(patient))?;
        let reader = turn.get();
        if !self.0.fill(reader, patient)? {
            return Err(nothing(patient));
        }
        let result = f(&mut reader.bytes);
        reader.forget_message();
        Ok(result)
    }

    /// Waits until there is a whole message, or the end, or something wrong, which `recv` tells then.
    pub(crate) fn wait(&self, patient: Patient) -> Waited {
        let Some(mut turn) = self.0.turn.take(patient) else { return Waited::TimedOut };
        match self.0.fill(turn.get(), patient) {
            Ok(false) => Waited::TimedOut,
            Err(RecvRefused::Closed) => Waited::Closed,
            Ok(true) | Err(_) => Waited::Ready,
        }
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.socket.as_fd()
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incoming(limit {})", self.0.limit)
    }
}

impl Receiving {
    /// Reads until the next message is there, or there is no time left; whether it is there.
    fn fill(&self, reader: &mut Reader, patient: Patient) -> Result<bool, RecvRefused> {
        while !reader.is_whole() {
            if let Some(end) = reader.end {
                return Err(end.refusal(reader, self.limit));
            }
            match retry_on_intr(|| rustix::net::recv(&self.socket, reader.room(), RecvFlags::DONTWAIT)) {
                Ok((0, _)) => reader.end = Some(if reader.len == 0 { End::Clean } else { End::Cut }),
                Ok((len, _)) => reader.advance(len, self.limit),
                Err(Errno::AGAIN) => match wait(&self.socket, Events::IN, patient) {
                    Ok(true) => {}
                    Ok(false) => return Ok(false),
                    Err(errno) => return Err(fault(os(errno))),
                },
                Err(errno) => reader.end = Some(End::Failed(errno)),
            }
        }
        Ok(true)
    }
}

impl Reader {
    /// Bytes of the message, once its length is there.
    fn size(&self) -> Option<u64> {
        (self.len >= HEAD).then(|| u64::from_le_bytes(self.head))
    }

    fn is_whole(&self) -> bool {
        self.end.is_none() && self.size().is_some_and(|size| size == (self.len - HEAD) as u64)
    }

    /// Where the next bytes go: no more than belong to the message, and memory for no more than twice what has come.
    fn room(&mut self) -> &mut [u8] {
        let Some(size) = self.size() else { return &mut self.head[self.len..] };
        let have = self.len - HEAD;
        if have == self.bytes.len() {
            let more = size - have as u64;
            self.bytes.resize(have + more.min(have.max(STEP) as u64) as usize, 0);
        }
        &mut self.bytes[have..]
    }

    /// Takes note of bytes that were read.
    fn advance(&mut self, len: usize, limit: u64) {
        self.len += len;
        if self.size().is_some_and(|size| size > limit) {
            self.end = Some(End::TooLong);
        }
    }

    fn forget_message(&mut self) {
        self.len = 0;
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
    }
}

impl End {
    fn refusal(self, reader: &mut Reader, limit: u64) -> RecvRefused {
        // What is wrong is told once.
        let size = reader.size().unwrap_or_default();
        reader.end = Some(End::Clean);
        let invalid = |text| fault(Cause::Os(io::Error::new(io::ErrorKind::InvalidData, text)));
        match self {
            End::Clean => RecvRefused::Closed,
            End::Cut => {
                let text = "the other side ended within a message";
                fault(Cause::Os(io::Error::new(io::ErrorKind::UnexpectedEof, text)))
            }
            End::TooLong => invalid(format!("it has {size} bytes, this side takes at most {limit}")),
            End::Failed(errno) => fault(os(errno)),
        }
    }
}

fn fault(cause: Cause) -> RecvRefused {
    RecvRefused::Fault(Error::new("receive", "a message over TCP", cause))
}

fn nothing(patient: Patient) -> RecvRefused {
    if matches!(patient, Patient::Not) { RecvRefused::Empty } else { RecvRefused::TimedOut }
}
