//! Values to bytes and back, and the memory that each thread keeps for them.

use std::cell::Cell;
use std::io;
use std::mem;

use ipc_core::codec::{self, CodecError};
use ipc_core::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::object::Object;
use crate::store::Store;

/// Memory up to this many bytes is kept.
const KEPT: usize = 1 << 20;

thread_local! {
    static SCRATCH: Cell<[Vec<u8>; 2]> = const { Cell::new([Vec::new(), Vec::new()]) };
    /// The store that a value is being written into or read from on this thread, or 0.
    static WITHIN: Cell<u64> = const { Cell::new(0) };
}

/// Two buffers, which the thread keeps for the next ones. A value's own code may run meanwhile, and use a container in turn:
/// it gets others.
///
/// Not a function that takes a closure: a value that is decoded would be copied on its way out of it.
pub(crate) struct Scratch {
    /// For what is encoded; empty at first.
    pub(crate) encoded: Vec<u8>,
    /// For what is read.
    pub(crate) read: Vec<u8>,
}

impl Scratch {
    #[inline]
    pub(crate) fn new() -> Scratch {
        let [mut encoded, read] = SCRATCH.with(Cell::take);
        encoded.clear();
        Scratch { encoded, read }
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        if self.encoded.capacity() <= KEPT && self.read.capacity() <= KEPT {
            SCRATCH.with(|kept| kept.set([mem::take(&mut self.encoded), mem::take(&mut self.read)]));
        }
    }
}

/// The number of the store that a value is being written into or read from on this thread, or 0.
pub(crate) fn store_within() -> u64 {
    WITHIN.get()
}

/// Until it is dropped, handles in values stand for objects of the same store.
struct Within(u64);

impl Within {
    #[inline]
    fn new(store: &Store) -> Within {
        Within(WITHIN.replace(store.id()))
    }
}

impl Drop for Within {
    #[inline]
    fn drop(&mut self) {
        WITHIN.set(self.0);
    }
}

impl Object {
    /// Appends the value's bytes. `what` says what it is in the object.
    #[inline]
    pub(crate) fn encode<T: Serialize + ?Sized>(
        &self,
        what: &str,
        value: &T,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let _within = Within::new(&self.store);
        codec::encode(value, bytes).map_err(|error| self.refused("encode", what, error))
    }

    /// The value that the bytes stand for.
    #[inline]
    pub(crate) fn decode<T: DeserializeOwned>(&self, what: &str, bytes: &[u8]) -> Result<T> {
        let _within = Within::new(&self.store);
        match codec::decode_all(bytes) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.refused("decode", what, error)),
        }
    }

    #[cold]
    fn refused(&self, operation: &'static str, what: &str, error: CodecError) -> Error {
        let cause = io::Error::new(io::ErrorKind::InvalidData, error);
        Error::new(operation, format!("{what} of {}", self.segment().label()), cause)
    }
}
