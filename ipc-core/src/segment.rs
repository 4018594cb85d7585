//! Memory that several processes have mapped, and what is known of it.
#![allow(unsafe_code)]

mod named;

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::slice;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Cause, Error, Result, os};
use crate::header::{self, Shape, Spec};
use crate::layout::SharedLayout;
use crate::mapping::{Mapping, reserve};
use crate::name::{self, Name};
use crate::own::OwnWord;
use crate::participant::{self, Identity, Opened, Participant, ParticipantId};
use crate::{fork, sys, transfer};

pub use named::remove_stale;

/// Shared memory with a type.
///
/// A clone is another handle to the same memory; serialising one within a [transfer](crate::transfer) gives a
/// handle to another process. The memory is given back when the last handle of all processes is gone, however it
/// went. Opening the same segment twice in one process gives the same mapping.
///
/// Every page is reserved when it is made or grown, so that running out of memory is an error then and never a
/// SIGBUS later. Growing moves nothing: the address space for [`max_len`](Spec::max_len) is set aside from the
/// start. An anonymous segment is sealed, so that nobody can cut it off under its readers; a named one is
/// protected by its mode only, 0600.
///
/// All offsets count from the start of the data. No reference to plain data is ever given out, since another
/// process may be writing it: only to [`SharedLayout`] types, made of atomics, or raw pointers with the range
/// checked.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use ipc_core::{Segment, Spec};
///
/// let segment = Segment::anonymous(&Spec::new("counter", 1).len(8))?;
/// let counter: &AtomicU64 = segment.at(0)?;
/// counter.fetch_add(1, Ordering::Relaxed);
/// assert!(segment.is_alive(segment.me()?));
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "SharedMemory")]
#[doc(alias = "mmap")]
pub struct Segment(Arc<Inner>);

pub(crate) struct Inner {
    mapping: Mapping,
    fd: Arc<OwnedFd>,
    /// Device and inode of the file.
    id: (u64, u64),
    /// Bytes of data known to be there.
    len: AtomicU64,
    /// The identity of this process; 0 while it has none.
    me: OwnWord,
    label: Box<str>,
    name: OnceLock<Name>,
}

/// What this process has open.
pub(crate) struct OpenTable {
    /// By device and inode. Who drops one strikes it off at the very end.
    segments: Option<HashMap<(u64, u64), Weak<Inner>>>,
    /// The names have been removed, as the process exits.
    exits: bool,
}

static OPEN: Mutex<OpenTable> = Mutex::new(OpenTable { segments: None, exits: false });

pub(crate) fn open_table() -> MutexGuard<'static, OpenTable> {
    fork::prepare();
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Segment {
    /// Makes a segment without a name: reachable only for those whom it is handed to.
    ///
    /// # Errors
    /// No memory left (with both sizes), [`Cause::FileLimit`], no descriptor left.
    pub fn anonymous(spec: &Spec<'_>) -> Result<Segment> {
        let label = format!("unnamed {}", spec.kind);
        let make = || {
            spec.check()?;
            let fd = sys::memfd(&format!("ipc-{}", spec.kind)).map_err(os)?;
            let segment = Segment::build(spec, "", fd)?;
            sys::seal_size(segment.as_fd(), spec.max_len > spec.len).map_err(os)?;
            Ok(segment)
        };
        make().map_err(|cause: Cause| Error::new("create", label.as_str(), cause))
    }

    /// Checks that the segment is what `spec` says. Handles call it when they have been received.
    ///
    /// # Errors
    /// [`Cause::Mismatch`], with the property that differs.
    pub fn expect(&self, spec: &Spec<'_>) -> Result<()> {
        let checked = header::expect(self.0.mapping.header(), self.len(), spec);
        checked.map_err(|cause| Error::new("open", &*self.0.label, cause))
    }

    /// Lays out a fresh file.
    fn build(spec: &Spec<'_>, name: &str, fd: OwnedFd) -> Result<Segment, Cause> {
        let shape = Shape { data: spec.data_offset(), max_len: spec.max_len, slots: spec.participants };
        reserve(fd.as_fd(), 0, shape.data + spec.len)?;
        let mapping = Mapping::new(fd.as_fd(), shape)?;
        header::write(mapping.header(), spec, name);
        let id = sys::stat(fd.as_fd()).map_err(os)?.id;
        let segment = Segment::register(mapping, Arc::new(fd), id, spec.len)?;
        open_table().segments.get_or_insert_default().insert(id, Arc::downgrade(&segment.0));
        segment.0.join()?;
        Ok(segment)
    }

    /// Maps a file that came from elsewhere, after checking it, and takes part.
    fn map(fd: Arc<OwnedFd>) -> Result<Segment, Cause> {
        let id = sys::stat(fd.as_fd()).map_err(os)?.id;
        let mut open = open_table();
        let open_here = open.segments.get_or_insert_default();
        let segment = match open_here.get(&id).and_then(Weak::upgrade) {
            Some(inner) => Segment(inner),
            None => {
                let mapping = Mapping::check(fd.as_fd())?;
                let segment = Segment::register(mapping, fd, id, 0)?;
                open_here.insert(id, Arc::downgrade(&segment.0));
                let path = name::path(&header::name(segment.0.mapping.header()));
                if let Ok(name) = path.and_then(|path| Name::new(path, None)) {
                    segment.0.keep_name(name);
                }
                segment
            }
        };
        // Under the table's lock, so that two threads do not take two places. Dropping a segment takes it too.
        let joined = segment.0.join();
        drop(open);
        joined.map(|_| segment)
    }

    fn register(mapping: Mapping, fd: Arc<OwnedFd>, id: (u64, u64), len: u64) -> Result<Segment, Cause> {
        let label = header::label(mapping.header()).into();
        let (len, me) = (AtomicU64::new(len), OwnWord::new()?);
        Ok(Segment(Arc::new(Inner { mapping, fd, id, len, me, label, name: OnceLock::new() })))
    }

    /// Bytes of data that are there now. Never shrinks.
    pub fn len(&self) -> u64 {
        match sys::stat(self.as_fd()) {
            Ok(stat) => {
                let len =
                    stat.len.saturating_sub(self.0.mapping.shape.data).min(self.0.mapping.shape.max_len);
                self.0.len.fetch_max(len, Ordering::Relaxed);
                len
            }
            Err(_) => self.0.len.load(Ordering::Relaxed),
        }
    }

    /// Whether there is no data at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of data that it can grow to.
    pub fn max_len(&self) -> u64 {
        self.0.mapping.shape.max_len
    }

    /// Makes the data at least `len` bytes long, zeroes behind what was there. Nothing moves, and others see the
    /// new part as soon as they reach for it. Killed meanwhile, it has grown or it has not.
    ///
    /// # Errors
    /// [`Cause::OutOfBounds`] beyond [`max_len`](Segment::max_len), no memory left (with both sizes),
    /// [`Cause::FileLimit`]; nothing has changed then.
    pub fn grow(&self, len: u64) -> Result<()> {
        let fail = |cause: Cause| Error::new("grow", &*self.0.label, cause);
        if len > self.0.mapping.shape.max_len {
            return Err(fail(Cause::OutOfBounds { offset: 0, len, size: self.0.mapping.shape.max_len }));
        }
        let have = self.len();
        if len > have {
            let data = self.0.mapping.shape.data;
            reserve(self.as_fd(), data + have, data + len).map_err(fail)?;
            self.0.len.fetch_max(len, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Has every page of that part of the data in place, which may lie beyond the [length](Segment::len): what is
    /// between is set aside only when it is reserved, too. For those who lay out the address space by themselves.
    ///
    /// # Errors
    /// As [`grow`](Segment::grow).
    pub fn reserve(&self, part: Range<u64>) -> Result<()> {
        let fail = |cause: Cause| Error::new("grow", &*self.0.label, cause);
        let Shape { data, max_len, .. } = self.0.mapping.shape;
        if part.start >= part.end || part.end > max_len {
            let len = part.end.saturating_sub(part.start);
            return Err(fail(Cause::OutOfBounds { offset: part.start, len, size: max_len }));
        }
        reserve(self.as_fd(), data + part.start, data + part.end).map_err(fail)?;
        self.0.len.fetch_max(part.end, Ordering::Relaxed);
        Ok(())
    }

    /// Gives the memory of that part of the data back. Who still looks there finds zeroes; who writes there again has to
    /// [`reserve`](Segment::reserve) it before.
    ///
    /// # Errors
    /// A part that is not in the segment.
    pub fn release(&self, part: Range<u64>) -> Result<()> {
        let fail = |cause: Cause| Error::new("shrink", &*self.0.label, cause);
        let (data, len) = (self.0.mapping.shape.data, part.end.saturating_sub(part.start));
        if len == 0 || part.end > self.len() {
            return Err(fail(Cause::OutOfBounds { offset: part.start, len, size: self.len() }));
        }
        sys::release(self.as_fd(), data + part.start, len).map_err(|errno| fail(os(errno)))
    }

    /// The `T` at that offset.
    ///
    /// # Errors
    /// [`Cause::OutOfBounds`]; [`Cause::Damaged`] for an offset that is not a multiple of `T`'s alignment.
    #[inline]
    pub fn at<T: SharedLayout>(&self, offset: u64) -> Result<&T> {
        self.slice(offset, 1).map(|slice| &slice[0])
    }

    /// `count` of `T` one after the other from that offset.
    ///
    /// # Errors
    /// As [`at`](Segment::at).
    #[inline]
    pub fn slice<T: SharedLayout>(&self, offset: u64, count: usize) -> Result<&[T]> {
        let out = || self.out_of_bounds(offset, (size_of::<T>() as u64).saturating_mul(count as u64));
        let len = size_of::<T>().checked_mul(count).ok_or_else(out)?;
        let start = self.bytes(offset, len)?.cast::<T>();
        if !start.is_aligned() {
            return Err(Error::new("read", &*self.0.label, Cause::Damaged { field: "alignment" }));
        }
        // SAFETY: `bytes` checked that the range is mapped and backed by pages, for as long as `self` lives; it is
        // aligned; every bit pattern is valid and concurrent writes are allowed, by the contract of SharedLayout.
        Ok(unsafe { slice::from_raw_parts(start, count) })
    }

    /// The address of `len` bytes from that offset, after checking that they are there.
    ///
    /// What is done with it, and that nobody else writes there meanwhile, is the caller's duty. The pointer is valid
    /// while a handle of this process lives.
    ///
    /// # Errors
    /// [`Cause::OutOfBounds`].
    #[inline]
    pub fn bytes(&self, offset: u64, len: usize) -> Result<*mut u8> {
        let end = offset.checked_add(len as u64).ok_or_else(|| self.out_of_bounds(offset, len as u64))?;
        // The first look is without a system call: memory that was there stays there.
        if end > self.0.len.load(Ordering::Relaxed) && end > self.len() {
            return Err(self.out_of_bounds(offset, len as u64));
        }
        // It fits: `end` is at most `max_len`, whose end is a usize.
        Ok(self.0.mapping.map.as_mut_ptr().wrapping_add((self.0.mapping.shape.data + offset) as usize))
    }

    /// Has the processor fetch what lies at that offset, if anything does, while it goes on with something else.
    #[inline]
    pub fn prefetch(&self, offset: u64) {
        #[cfg(target_arch = "x86_64")]
        if let Ok(at) = self.bytes(offset, 1) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, which reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Where in the data something lies; `None` if outside.
    pub(crate) fn offset_of<T>(&self, at: &T) -> Option<u64> {
        let start = self.0.mapping.map.as_ptr().addr() as u64 + self.0.mapping.shape.data;
        (std::ptr::from_ref(at).addr() as u64)
            .checked_sub(start)
            .filter(|offset| *offset < self.0.mapping.shape.max_len)
    }

    #[cold]
    fn out_of_bounds(&self, offset: u64, len: u64) -> Error {
        Error::new("read", &*self.0.label, Cause::OutOfBounds { offset, len, size: self.len() })
    }

    /// The identity of this process in the segment.
    ///
    /// After the first time this costs a few loads. A forked child gets an identity of its own.
    ///
    /// # Errors
    /// [`Cause::TooManyParticipants`], in a forked child that asks for the first time.
    #[inline]
    pub fn me(&self) -> Result<ParticipantId> {
        match self.0.me() {
            Some(id) => Ok(id),
            None => self.join(),
        }
    }

    /// [`me`](Segment::me), in a form that can tell later, at the price of a load, whether this is still the same
    /// process: for guards, which a forked child has copies of.
    ///
    /// # Errors
    /// As [`me`](Segment::me).
    #[inline]
    pub fn identity(&self) -> Result<Identity<'_>> {
        Ok(Identity { own: &self.0.me, id: self.me()? })
    }

    #[cold]
    fn join(&self) -> Result<ParticipantId> {
        self.0.join().map_err(|cause| Error::new("take part in", &*self.0.label, cause))
    }

    /// Whether the process with that identity lives: false as soon as it is dead, a zombie included, and one whose
    /// memory the kernel has only begun to give back; true for a stopped one. Costs a system call for one that is gone, reading a file of /proc for one that lives.
    pub fn is_alive(&self, id: ParticipantId) -> bool {
        self.0.me() == Some(id) || participant::is_alive(self.0.mapping.slots(), id)
    }

    /// Whether nobody has given up that identity, be its process dead or alive.
    pub(crate) fn takes_part(&self, id: ParticipantId) -> bool {
        participant::takes_part(self.0.mapping.slots(), id)
    }

    /// Descriptors of the process with that identity; `None` if it is dead.
    pub(crate) fn open_participant(&self, id: ParticipantId) -> Option<Opened> {
        participant::open(self.0.mapping.slots(), id)
    }

    /// Device and inode of the file.
    pub(crate) fn file(&self) -> (u64, u64) {
        self.0.id
    }

    /// What is known of the process with that identity; `None` if it left or its slot was given away.
    pub fn participant(&self, id: ParticipantId) -> Option<Participant> {
        participant::describe(self.0.mapping.slots(), id)
    }

    /// The identities of all processes that take part, and of dead ones whose place nobody has needed yet. Asks nobody
    /// whether they live.
    pub fn ids(&self) -> impl Iterator<Item = ParticipantId> {
        participant::ids(self.0.mapping.slots())
    }

    /// All processes that take part, and dead ones whose place nobody has needed yet.
    pub fn participants(&self) -> Vec<Participant> {
        participant::all(self.0.mapping.slots())
    }

    /// How many processes can take part at the same time.
    pub fn capacity(&self) -> usize {
        self.0.mapping.shape.slots as usize
    }

    /// The kind and name, for error messages.
    pub fn label(&self) -> &str {
        &self.0.label
    }
}

impl Inner {
    /// Takes part, unless this process does already.
    #[cold]
    fn join(&self) -> Result<ParticipantId, Cause> {
        if let Some(id) = self.me() {
            return Ok(id);
        }
        let id = participant::join(self.mapping.slots())?;
        match self.me.compare_exchange(0, id.word(), Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Ok(id),
            Err(other) => {
                // Another thread was faster.
                participant::leave(self.mapping.slots(), id);
                ParticipantId::from_word(other).ok_or(Cause::Damaged { field: "identity" })
            }
        }
    }

    /// The identity of this process, if it has one: a forked child has none at first.
    #[inline]
    fn me(&self) -> Option<ParticipantId> {
        ParticipantId::from_word(self.me.load(Ordering::Relaxed))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(id) = self.me() {
            participant::leave(self.mapping.slots(), id);
        }
        self.give_up_name();
        if let Some(open) = open_table().segments.as_mut() {
            // Somebody may have opened it anew since the count fell to zero.
            if open.get(&self.id).is_some_and(|known| known.strong_count() == 0) {
                open.remove(&self.id);
            }
        }
    }
}

impl AsFd for Segment {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl PartialEq for Segment {
    /// Whether both are handles to the same memory.
    fn eq(&self, other: &Segment) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Segment {}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({}, {} bytes)", self.0.label, self.len())
    }
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        transfer::share(&self.0.fd, serializer)
    }
}

impl<'de> Deserialize<'de> for Segment {
    /// Any segment; whoever wants a certain one calls [`expect`](Segment::expect).
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Segment, D::Error> {
        let fd = transfer::shared(deserializer)?;
        let fail = |cause: Cause| serde_core::de::Error::custom(Error::new("receive", "segment", cause));
        Segment::map(fd).map_err(fail)
    }
}
