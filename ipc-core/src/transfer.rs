//! Handles inside of messages: descriptors are handed over while serde runs.
//!
//! A handle (a segment, a pipe's end, an open file, ...) is a serde value. Serialising it puts its descriptor
//! aside, into the [`Parcel`] that is being packed on this thread, and writes its number there; deserialising
//! reads the number and takes the descriptor out of the parcel that is being unpacked. The parcel carries both,
//! bytes and descriptors, to the other process. So handles can stand anywhere inside a value, in any format.
//!
//! Outside of [`Parcel::pack`] and [`Parcel::unpack`] both are errors. A serialisation that fails or panics leaves
//! nothing behind: what it had put aside is dropped with its parcel.
//!
//! ```
//! use ipc_core::{Blob, transfer::{self, Parcel}};
//!
//! let (here, there) = transfer::channel()?;
//! let value = (7_u32, Blob::new(b"shared, not copied")?);
//! Parcel::pack(|| postcard::to_allocvec(&value))?.send(&here)?;
//!
//! // In the other process, which has the other end:
//! let parcel = Parcel::receive(&there)?.expect("it was sent above");
//! let (number, blob): (u32, Blob) = parcel.unpack(|bytes| postcard::from_bytes(bytes))?;
//! assert_eq!((number, &blob[..]), (7, &b"shared, not copied"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use rustix::io::Errno;
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::blob::Blob;
use crate::error::{Cause, Error, Result, os};
use crate::sys;

/// What is being packed or unpacked on this thread. They nest: packing one parcel may pack another.
enum Frame {
    None,
    /// Made with the first handle: most values have none.
    Packing(Option<Box<Packing>>),
    Unpacking(Vec<Option<Arc<OwnedFd>>>),
}

#[derive(Default)]
struct Packing {
    fds: Vec<Arc<OwnedFd>>,
    /// Which has which place in `fds`.
    numbers: HashMap<RawFd, u32>,
}

thread_local! {
    static FRAME: RefCell<Frame> = const { RefCell::new(Frame::None) };
}

/// Runs `f` within the frame; gives the frame back. Restores the outer one also when `f` panics.
fn within<R>(frame: Frame, f: impl FnOnce() -> R) -> (R, Frame) {
    struct Restore(Option<Frame>);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Some(outer) = self.0.take() {
                FRAME.replace(outer);
            }
        }
    }
    let mut restore = Restore(Some(FRAME.replace(frame)));
    let result = f();
    let outer = restore.0.take().expect("only taken here and in drop");
    (result, FRAME.replace(outer))
}

/// Serialises a handle that keeps its descriptor: the receiver gets another one for the same thing.
///
/// For the `Serialize` of handle types. The same `Arc` put into one parcel many times travels once.
///
/// # Errors
/// Outside of [`Parcel::pack`].
pub fn share<S: Serializer>(fd: &Arc<OwnedFd>, serializer: S) -> Result<S::Ok, S::Error> {
    put(fd).map_err(serde_core::ser::Error::custom)?.serialize(serializer)
}

fn put(fd: &Arc<OwnedFd>) -> Result<u32> {
    FRAME.with_borrow_mut(|frame| match frame {
        Frame::Packing(packing) => {
            let Packing { fds, numbers } = &mut **packing.get_or_insert_default();
            Ok(*numbers.entry(fd.as_raw_fd()).or_insert_with(|| {
                fds.push(Arc::clone(fd));
                (fds.len() - 1) as u32
            }))
        }
        _ => Err(Error::new("serialise", "a handle", Cause::NotInTransfer)),
    })
}

/// Deserialises what [`share`] wrote.
///
/// # Errors
/// Outside of [`Parcel::unpack`], and for a number that did not come with the parcel.
pub fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<OwnedFd>, D::Error> {
    let index = u32::deserialize(deserializer)?;
    get(index, |slot| slot.clone()).map_err(serde_core::de::Error::custom)
}

/// Deserialises what [`share`] wrote, for a type that owns its descriptor alone.
///
/// # Errors
/// As [`shared`], and if the descriptor was taken before.
pub fn owned<'de, D: Deserializer<'de>>(deserializer: D) -> Result<OwnedFd, D::Error> {
    let index = u32::deserialize(deserializer)?;
    let fd = get(index, Option::take).map_err(serde_core::de::Error::custom)?;
    let shared = |fd: Arc<OwnedFd>| sys::duplicate(&fd).map_err(serde_core::de::Error::custom);
    Arc::try_unwrap(fd).or_else(shared)
}

type Slot = Option<Arc<OwnedFd>>;

fn get(index: u32, access: impl FnOnce(&mut Slot) -> Slot) -> Result<Arc<OwnedFd>> {
    let cause = FRAME.with_borrow_mut(|frame| match frame {
        Frame::Unpacking(fds) => {
            fds.get_mut(index as usize).and_then(access).ok_or(Cause::NoSuchHandle { index })
        }
        _ => Err(Cause::NotInTransfer),
    });
    cause.map_err(|cause| Error::new("deserialise", "a handle", cause))
}

/// Anything with a descriptor, as a serde value: `Fd<File>`, `Fd<TcpStream>`, `Fd<OwnedFd>`, ...
///
/// Serialising it sends a copy of the descriptor; the sender's own stays open until it is dropped, which moving
/// the value into a child's arguments does.
///
/// ```
/// # use ipc_core::{Fd, transfer::Parcel};
/// # use std::fs::File;
/// let file = Fd(File::open("/dev/null")?);
/// let parcel = Parcel::pack(|| postcard::to_allocvec(&file))?;
/// let copy: Fd<File> = parcel.unpack(|bytes| postcard::from_bytes(bytes))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Fd<T>(pub T);

impl<T> From<T> for Fd<T> {
    fn from(owner: T) -> Fd<T> {
        Fd(owner)
    }
}

impl<T> Deref for Fd<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Fd<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: AsFd> Serialize for Fd<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let copy = sys::duplicate(&self.0).map_err(serde_core::ser::Error::custom)?;
        share(&Arc::new(copy), serializer)
    }
}

impl<'de, T: From<OwnedFd>> Deserialize<'de> for Fd<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fd<T>, D::Error> {
        Ok(Fd(T::from(owned(deserializer)?)))
    }
}

/// Two connected ends through which parcels go in both directions.
///
/// Messages that were sent are received also after the sender is gone. Close-on-exec.
pub fn channel() -> Result<(OwnedFd, OwnedFd)> {
    sys::socket_pair().map_err(|errno| Error::new("create", "channel", os(errno)))
}

/// A serialised value and the descriptors it refers to.
#[derive(Default)]
pub struct Parcel {
    bytes: Bytes,
    fds: Vec<Arc<OwnedFd>>,
}

enum Bytes {
    Own(Vec<u8>),
    /// They came in shared memory, and are read there.
    Shared(Blob),
}

/// What stands before the bytes of a packet.
const HEAD: usize = 12;
const MAGIC: [u8; 4] = *b"ipc1";
/// The bytes are in a blob, which is the first descriptor.
const SPILLED: u32 = 1;
/// Longer values travel in a blob.
const INLINE_MAX: usize = 16 * 1024;

impl Parcel {
    /// Runs `serialize` and keeps what it returns, with the descriptors of all handles that it serialised.
    ///
    /// # Errors
    /// That of `serialize`; nothing is left behind then.
    pub fn pack<E>(serialize: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Parcel, E> {
        let (bytes, frame) = within(Frame::Packing(None), serialize);
        let Frame::Packing(packing) = frame else { unreachable!("frames nest") };
        Ok(Parcel { bytes: Bytes::Own(bytes?), fds: packing.map_or_else(Vec::new, |packing| packing.fds) })
    }

    /// Bytes without handles, as they are.
    pub fn of_bytes(bytes: Vec<u8>) -> Parcel {
        Parcel { bytes: Bytes::Own(bytes), fds: Vec::new() }
    }

    /// Runs `deserialize` on the bytes; the handles that it meets take their descriptors out of the parcel. Those
    /// that are left over are closed.
    pub fn unpack<R>(self, deserialize: impl FnOnce(&[u8]) -> R) -> R {
        let Parcel { bytes, fds } = self;
        let frame = Frame::Unpacking(fds.into_iter().map(Some).collect());
        within(frame, || deserialize(bytes.as_slice())).0
    }

    /// Sends the parcel through a [`channel`], whole or not at all, without waiting.
    ///
    /// # Errors
    /// [`Cause::Os`] with `BrokenPipe` when the other end is gone (no signal is raised), with `WouldBlock` when too
    /// much is under way; [`Cause::TooManyHandles`]; no memory left for a large value.
    pub fn send(&self, socket: impl AsFd) -> Result<()> {
        let fail = |cause: Cause| Error::new("send", "parcel", cause);
        let bytes = self.bytes.as_slice();
        let spilled = if bytes.len() > INLINE_MAX { Some(Blob::new(bytes)?) } else { None };
        let fds: Vec<BorrowedFd<'_>> =
            spilled.iter().map(AsFd::as_fd).chain(self.fds.iter().map(|fd| fd.as_fd())).collect();
        let (flags, inline) = if spilled.is_some() { (SPILLED, &[][..]) } else { (0, bytes) };

        let mut head = [0; HEAD];
        head[..4].copy_from_slice(&MAGIC);
        head[4..8].copy_from_slice(&flags.to_le_bytes());
        head[8..].copy_from_slice(&(fds.len() as u32).to_le_bytes());
        let sent = if fds.len() <= sys::MAX_FDS {
            sys::send(socket.as_fd(), [&head, inline], &fds)
        } else {
            let carrier = carry(&fds).map_err(fail)?;
            sys::send(socket.as_fd(), [&head, inline], &[carrier.as_fd()])
        };
        sent.map_err(|errno| fail(too_many(errno, fds.len())))
    }

    /// The next parcel, if there is one; never waits. `None` both when nothing is there yet and at the end.
    ///
    /// # Errors
    /// A message that this library does not send; more descriptors than this process may open, in which case the
    /// parcel is lost and those that had arrived are closed.
    pub fn receive(socket: impl AsFd) -> Result<Option<Parcel>> {
        let fail = |cause: Cause| Error::new("receive", "parcel", cause);
        let mut buffer = vec![0; HEAD + INLINE_MAX];
        let mut received = match sys::receive(socket.as_fd(), &mut buffer) {
            Ok(received) if received.len == 0 => return Ok(None),
            Ok(received) => received,
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(fail(os(errno))),
        };
        let Some(head) = buffer[..received.len].first_chunk::<HEAD>() else {
            return Err(fail(Cause::BadMessage));
        };
        let field = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        let (flags, count) = (field(4), field(8) as usize);
        if head[..4] != MAGIC || flags & !SPILLED != 0 || received.cut_off {
            return Err(fail(Cause::BadMessage));
        }
        if received.fds_lost {
            return Err(fail(Cause::TooManyHandles { count }));
        }
        let fds = if count <= sys::MAX_FDS {
            received.fds
        } else {
            let carrier = received.fds.pop().ok_or_else(|| fail(Cause::BadMessage))?;
            unload(&carrier, count).map_err(fail)?
        };
        if fds.len() != count {
            return Err(fail(Cause::BadMessage));
        }
        let mut fds = fds.into_iter().map(Arc::new);
        let bytes = if flags & SPILLED != 0 {
            Bytes::Shared(Blob::open(fds.next().ok_or_else(|| fail(Cause::BadMessage))?)?)
        } else {
            buffer.truncate(received.len);
            buffer.drain(..HEAD);
            Bytes::Own(buffer)
        };
        Ok(Some(Parcel { bytes, fds: fds.collect() }))
    }

    /// Takes the bytes out; the descriptors stay. For those who send the bytes another way.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        match std::mem::take(&mut self.bytes) {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(blob) => blob.to_vec(),
        }
    }

    /// Puts other bytes in the place of its own.
    pub fn set_bytes(&mut self, bytes: Vec<u8>) {
        self.bytes = Bytes::Own(bytes);
    }

    /// The parcel's own bytes in a packet, or in as much as is known of it; `None` if it is something else. For those who
    /// look at what comes before they receive it.
    pub fn bytes_in(packet: &[u8]) -> Option<&[u8]> {
        packet.starts_with(&MAGIC).then(|| packet.get(HEAD..)).flatten()
    }

    /// How many bytes a packet has in front of those of its parcel.
    pub const HEAD: usize = HEAD;

    /// How many descriptors travel with the bytes.
    pub fn handles(&self) -> usize {
        self.fds.len()
    }

    /// What [`pack`](Parcel::pack) was given, or the other side was.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }
}

/// More descriptors than a message takes are put into the queue of a socket, and that socket is sent. So a message
/// stays one packet, whole or absent, and the kernel frees all of it if nobody ever receives it.
fn carry(fds: &[BorrowedFd<'_>]) -> Result<OwnedFd, Cause> {
    let (load, carrier) = sys::socket_pair().map_err(os)?;
    for chunk in fds.chunks(sys::MAX_FDS) {
        sys::send(load.as_fd(), [&[0], &[]], chunk).map_err(|errno| match errno {
            // The queue is full.
            Errno::AGAIN => Cause::TooManyHandles { count: fds.len() },
            errno => too_many(errno, fds.len()),
        })?;
    }
    Ok(carrier)
}

fn unload(carrier: &OwnedFd, count: usize) -> Result<Vec<OwnedFd>, Cause> {
    let mut fds = Vec::new();
    while fds.len() < count {
        let received = sys::receive(carrier.as_fd(), &mut [0]).map_err(|errno| match errno {
            Errno::AGAIN => Cause::BadMessage,
            errno => too_many(errno, count),
        })?;
        if received.fds_lost {
            return Err(Cause::TooManyHandles { count });
        }
        if received.fds.is_empty() {
            return Err(Cause::BadMessage);
        }
        fds.extend(received.fds);
    }
    Ok(fds)
}

fn too_many(errno: Errno, count: usize) -> Cause {
    match errno {
        Errno::TOOMANYREFS => Cause::TooManyHandles { count },
        errno => os(errno),
    }
}

impl Bytes {
    fn as_slice(&self) -> &[u8] {
        match self {
            Bytes::Own(bytes) => bytes,
            Bytes::Shared(blob) => blob,
        }
    }
}

impl Default for Bytes {
    fn default() -> Bytes {
        Bytes::Own(Vec::new())
    }
}

impl fmt::Debug for Parcel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Parcel({} bytes, {} handles)", self.bytes.as_slice().len(), self.fds.len())
    }
}
