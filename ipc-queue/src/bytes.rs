//! Bytes through a queue, without serde: one copy on each side, or none.
#![allow(unsafe_code)]

use std::fmt;
use std::io;
use std::slice;

use ipc_core::{Result, Segment};

use crate::core::{Core, Gone, Patient};
use crate::getting::Getting;
use crate::memory;
use crate::putting::Putting;
use crate::refused::{GetRefused, PutRefused};
use crate::ring::Record;

/// Room in a queue for an item that is written in place, and appears when it is [committed](Reservation::commit).
///
/// Dropped without that, or with its process, nothing was put. Meanwhile nobody else can put anything, so fill it soon. This
/// thread cannot either, nor close the queue or make a consumer: it would wait for itself.
///
/// ```
/// use std::io::Write;
///
/// let queue = ipc_queue::Queue::<[u8]>::unbounded()?;
/// let mut room = queue.reserve(5)?;
/// room.write_all(b"hello")?;
/// room.commit();
/// assert_eq!(queue.get_bytes()?, b"hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing is put before `commit`"]
pub struct Reservation<'a> {
    putting: Putting<'a>,
    segment: &'a Segment,
    len: usize,
    written: usize,
}

impl Reservation<'_> {
    /// Bytes of the item.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it is an item without bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies bytes to that place within the item.
    ///
    /// # Panics
    /// If they reach beyond its end, as for a slice.
    pub fn write_at(&mut self, offset: usize, bytes: &[u8]) {
        let fits = offset <= self.len && bytes.len() <= self.len - offset;
        assert!(fits, "{} bytes at {offset} do not fit an item of {}", bytes.len(), self.len);
        memory::write(self.segment, self.putting.at + offset as u64, bytes).expect("it was reserved");
    }

    /// Where the item's bytes will lie, [`len`](Reservation::len) of them, aligned to 8, for code that writes them by
    /// itself. They hold whatever was there before. The pointer is valid until the reservation is gone.
    pub fn as_mut_ptr(&mut self) -> *mut u8 {
        self.segment.bytes(self.putting.at, self.len).expect("it was reserved")
    }

    /// Puts the item, all [`len`](Reservation::len) bytes of it. Where nothing was written, it has whatever was there
    /// before.
    pub fn commit(mut self) {
        self.putting.commit(1);
    }
}

impl io::Write for Reservation<'_> {
    /// Writes behind what was written before, as much as fits.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len().min(self.len - self.written);
        self.write_at(self.written, &bytes[..len]);
        self.written += len;
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Reservation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reservation").field("len", &self.len).finish_non_exhaustive()
    }
}

/// The bytes of an item while they are still in the queue.
///
/// Not a slice, since other processes could write there, although none of this library does.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    segment: &'a Segment,
    record: Record,
}

impl<'a> Bytes<'a> {
    /// Those of a record, if they are within the segment.
    #[inline]
    pub(crate) fn new(segment: &'a Segment, record: Record) -> Result<Bytes<'a>> {
        segment.bytes(record.at, record.len)?;
        Ok(Bytes { segment, record })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.record.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.record.len == 0
    }

    /// Copies those from `offset` on into the buffer, as many as fit and are there; says how many.
    #[inline]
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> usize {
        let len = self.record.len.saturating_sub(offset).min(buffer.len());
        let at = self.record.at + offset.min(self.record.len) as u64;
        memory::read_into(self.segment, at, &mut buffer[..len]).expect("checked when it was found");
        len
    }

    /// Appends a copy of them.
    ///
    /// # Errors
    /// No memory left.
    #[inline]
    pub fn append_to(&self, to: &mut Vec<u8>) -> Result<()> {
        memory::read(self.segment, self.record, to)
    }

    /// A copy of them.
    #[inline]
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.record.len];
        self.read_at(0, &mut bytes);
        bytes
    }

    /// Where they lie, aligned to 8, for code that reads them by itself.
    pub fn as_ptr(&self) -> *const u8 {
        self.segment.bytes(self.record.at, self.record.len).expect("checked when it was found")
    }

    /// The bytes as a slice.
    ///
    /// # Safety
    /// No process writes to the queue's memory but through this library, which writes to no item that is not given up.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY: the range was checked when the item was found; that nobody writes there is what the caller promises.
        unsafe { slice::from_raw_parts(self.as_ptr(), self.record.len) }
    }
}

impl fmt::Debug for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.record.len)
    }
}

pub(crate) fn reserve(
    core: &Core,
    len: usize,
    patient: Patient,
    gone: Gone,
) -> Result<Reservation<'_>, PutRefused> {
    let mut putting = Putting::new(core);
    putting.begin(len, patient, gone)?;
    core.segment().bytes(putting.at, len).map_err(PutRefused::Fault)?;
    Ok(Reservation { putting, segment: core.segment(), len, written: 0 })
}

/// Puts the items, each run of them that there is room for with one lock and one wake-up; or says how many were put.
pub(crate) fn put_all<B: AsRef<[u8]>>(
    core: &Core,
    items: impl IntoIterator<Item = B>,
    gone: Gone,
) -> Result<(), (usize, PutRefused)> {
    let mut items = items.into_iter().peekable();
    let mut put = 0;
    while let Some(item) = items.next() {
        let item = item.as_ref();
        let mut putting = Putting::new(core);
        putting.begin(item.len(), Patient::Until(None), gone).map_err(|refused| (put, refused))?;
        memory::write(core.segment(), putting.at, item).map_err(|error| (put, PutRefused::Fault(error)))?;
        let mut count = 1;
        while count < PART
            && let Some(item) = items.peek().map(AsRef::as_ref)
        {
            // What is in the way is met again when this one is put first.
            let Ok(at) = putting.push(item.len()) else { break };
            memory::write(core.segment(), at, item).map_err(|error| (put, PutRefused::Fault(error)))?;
            items.next();
            count += 1;
        }
        putting.commit(count as u32);
        put += count;
    }
    Ok(())
}

/// So many items are put at most with one lock.
const PART: usize = 1024;

/// Gets a copy of the next item, which stays if there is no memory for that.
pub(crate) fn get(core: &Core, patient: Patient, gone: Gone) -> Result<Vec<u8>, GetRefused> {
    let mut bytes = Vec::new();
    let mut getting = Getting::new(core);
    let record = getting.begin(patient, gone)?;
    memory::read(core.segment(), record, &mut bytes)?;
    getting.take();
    getting.finish();
    Ok(bytes)
}

/// Has `f` look at the next item in place; it is out of the queue when `f` is done with it.
#[inline]
pub(crate) fn get_with<R>(
    core: &Core,
    patient: Patient,
    gone: Gone,
    f: impl FnOnce(Bytes<'_>) -> R,
) -> Result<R, GetRefused> {
    let mut getting = Getting::new(core);
    let record = getting.begin(patient, gone)?;
    let result = f(Bytes::new(core.segment(), record)?);
    getting.take();
    getting.finish();
    Ok(result)
}

/// Has `f` look at what is there, one after the other, at most `max` items; says how many.
pub(crate) fn get_many(
    core: &Core,
    max: usize,
    patient: Patient,
    gone: Gone,
    mut f: impl FnMut(Bytes<'_>),
) -> Result<usize, GetRefused> {
    if max == 0 {
        return Ok(0);
    }
    let mut getting = Getting::new(core);
    let mut next = Some(getting.begin(patient, gone)?);
    let mut count = 0;
    while let Some(record) = next {
        match Bytes::new(core.segment(), record) {
            Err(error) if count == 0 => return Err(error.into()),
            Err(_) => break,
            Ok(bytes) => f(bytes),
        }
        getting.take();
        count += 1;
        next = if count < max { getting.next() } else { None };
    }
    getting.finish();
    Ok(count)
}
