//! Values of a type through a queue of records.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::{iter, mem};

use ipc_core::codec::{self, CodecError};
use ipc_core::{Cause, Error, Segment};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bytes;
use crate::core::{Core, Gone, Patient};
use crate::getting::Getting;
use crate::memory;
use crate::putting::Putting;
use crate::refused::{GetRefused, PutRefused};

/// Memory that each thread keeps for encoded values, up to this many bytes.
const KEPT: usize = 1 << 20;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer, which the thread keeps for the next one. A value's own code may run meanwhile, and use a queue in turn:
/// it gets another one.
///
/// Not a function that takes a closure: a value that is decoded would be copied on its way out of it, each field just after
/// it was written, which took a third of the time of a `get`.
#[derive(Debug)]
pub struct Scratch(Vec<u8>);

impl Scratch {
    /// One to be filled.
    #[inline]
    #[expect(clippy::new_without_default, reason = "it takes the thread's buffer")]
    pub fn new() -> Scratch {
        let mut bytes = SCRATCH.with(Cell::take);
        bytes.clear();
        Scratch(bytes)
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        if self.0.capacity() <= KEPT {
            SCRATCH.with(|kept| kept.set(mem::take(&mut self.0)));
        }
    }
}

impl Deref for Scratch {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

/// A batch is written in parts of about so many bytes, each within one lock.
const PART: usize = 64 << 10;
/// And at most so many items.
const PART_ITEMS: usize = 1024;
/// More are not got at once.
const LARGE: usize = 1 << 20;

/// The codec's refusal of an item.
#[cold]
pub(crate) fn fault(operation: &'static str, segment: &Segment, error: CodecError) -> Error {
    let cause = std::io::Error::new(std::io::ErrorKind::InvalidData, error);
    Error::new(operation, format!("an item of {}", segment.label()), Cause::Os(cause))
}

/// Takes values for the next part of a batch, and encodes them; `ends` says where each ends. Stops at one that refuses,
/// which is the last in `part` then.
pub(crate) fn encode_part<T: Serialize>(
    values: &mut impl Iterator<Item = T>,
    buffer: &mut Vec<u8>,
    part: &mut Vec<T>,
    ends: &mut Vec<usize>,
) -> Result<(), CodecError> {
    while buffer.len() < PART && part.len() < PART_ITEMS {
        let Some(value) = values.next() else { break };
        let encoded = codec::encode(&value, buffer);
        part.push(value);
        encoded?;
        ends.push(buffer.len());
    }
    Ok(())
}

/// Puts a value, or hands it back.
#[inline]
pub(crate) fn put<T: Serialize>(
    core: &Core,
    value: T,
    patient: Patient,
    gone: Gone,
) -> Result<(), (T, PutRefused)> {
    let mut bytes = Scratch::new();
    let put = match codec::encode(&value, &mut bytes) {
        Ok(()) => put_bytes(core, &bytes, patient, gone),
        Err(error) => Err(PutRefused::Fault(fault("encode", core.segment(), error))),
    };
    match put {
        Ok(()) => Ok(()),
        Err(refused) => Err((value, refused)),
    }
}

/// Puts bytes as an item.
#[inline]
pub(crate) fn put_bytes(core: &Core, bytes: &[u8], patient: Patient, gone: Gone) -> Result<(), PutRefused> {
    let mut putting = Putting::new(core);
    putting.begin(bytes.len(), patient, gone)?;
    memory::write(core.segment(), putting.at, bytes).map_err(PutRefused::Fault)?;
    putting.commit(1);
    Ok(())
}

/// Gets a value.
#[inline]
pub(crate) fn get<T: DeserializeOwned>(core: &Core, patient: Patient, gone: Gone) -> Result<T, GetRefused> {
    let mut bytes = Scratch::new();
    get_bytes(core, patient, gone, &mut bytes)?;
    match codec::decode_all(&bytes) {
        Ok(value) => Ok(value),
        Err(error) => Err(GetRefused::Fault(fault("decode", core.segment(), error))),
    }
}

#[inline]
fn get_bytes(core: &Core, patient: Patient, gone: Gone, bytes: &mut Vec<u8>) -> Result<(), GetRefused> {
    let mut getting = Getting::new(core);
    let record = getting.begin(patient, gone)?;
    memory::read(core.segment(), record, bytes)?;
    getting.take();
    getting.finish();
    Ok(())
}

fn decode<T: DeserializeOwned>(core: &Core, bytes: &[u8]) -> Result<T, Error> {
    codec::decode_all(bytes).map_err(|error| fault("decode", core.segment(), error))
}

/// Puts the values, each part of them with one lock and one wake-up. What was not put is handed back.
pub(crate) fn put_all<T: Serialize>(
    core: &Core,
    values: impl IntoIterator<Item = T>,
    gone: Gone,
) -> Result<(), (Vec<T>, PutRefused)> {
    let mut values = values.into_iter();
    let (mut part, mut ends): (Vec<T>, Vec<usize>) = (Vec::new(), Vec::new());
    loop {
        part.clear();
        ends.clear();
        let mut buffer = Scratch::new();
        let encoded = encode_part(&mut values, &mut buffer, &mut part, &mut ends);
        let starts = iter::once(0).chain(ends.iter().copied());
        let items = starts.zip(&ends).map(|(start, &end)| &buffer[start..end]);
        let put = bytes::put_all(core, items, gone).and_then(|()| {
            encoded.map_err(|error| (ends.len(), PutRefused::Fault(fault("encode", core.segment(), error))))
        });
        match put {
            Ok(()) if part.is_empty() => return Ok(()),
            Ok(()) => {}
            Err((put, refused)) => return Err((part.split_off(put), refused)),
        }
    }
}

/// Gets at least one value and at most `max`, with one lock and one wake-up.
pub(crate) fn get_many<T: DeserializeOwned>(
    core: &Core,
    max: usize,
    patient: Patient,
    gone: Gone,
) -> Result<Vec<Result<T, Error>>, GetRefused> {
    if max == 0 {
        return Ok(Vec::new());
    }
    let mut bytes = Scratch::new();
    let mut ends = Vec::new();
    let mut getting = Getting::new(core);
    let mut next = Some(getting.begin(patient, gone)?);
    while let Some(record) = next {
        match memory::read(core.segment(), record, &mut bytes) {
            Err(error) if ends.is_empty() => return Err(error.into()),
            Err(_) => break,
            Ok(()) => {}
        }
        getting.take();
        ends.push(bytes.len());
        next = if ends.len() < max && bytes.len() < LARGE { getting.next() } else { None };
    }
    getting.finish();
    let starts = iter::once(0).chain(ends.iter().copied());
    Ok(starts.zip(&ends).map(|(start, &end)| decode(core, &bytes[start..end])).collect())
}
