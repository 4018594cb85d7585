//! Objects in a store: what a handle leads to.
//!
//! An object is a block with the words below, its own data from [`DATA`] on, and the name of its type at the end. All
//! objects of a store are on one list.

use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Cause, Result, Segment};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::layout::{self, FIRST_OBJECT, NEXT_OBJECT};
use crate::memory;
use crate::store::Store;
use crate::transaction::Transaction;
use crate::values::store_within;

/// The hash of the type's name.
pub(crate) const TYPE: u64 = 8;
/// The object's number, which no other object of the store ever has.
pub(crate) const ID: u64 = 16;
/// The next object on the list, and the one before; 0 if there is none.
pub(crate) const NEXT: u64 = 24;
pub(crate) const PREVIOUS: u64 = 32;
/// How many bytes of data there are; behind them is the name.
pub(crate) const DATA_LEN: u64 = 40;
/// What kind of object it is.
pub(crate) const KIND: u64 = 48;
/// Where the data begins, a multiple of 64.
pub(crate) const DATA: u64 = 64;

/// What objects are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    Dict = 1,
    List = 2,
    Value = 3,
    Array = 4,
    /// Data that another crate's handle is about: a lock.
    Foreign = 5,
}

/// A handle to an object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Object {
    pub(crate) store: Store,
    pub(crate) at: u64,
    pub(crate) id: u64,
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

impl Object {
    /// Makes an object with that many bytes of data, zeroes but for what `fill` does to them.
    pub(crate) fn create(
        store: &Store,
        kind: Kind,
        type_name: &str,
        data: u64,
        fill: impl FnOnce(&mut Transaction<'_>, u64) -> Result<()>,
    ) -> Result<Object> {
        let mut transaction = store.begin(1)?;
        let len = DATA + data.next_multiple_of(8) + type_name.len() as u64;
        let at = transaction.allocate(0, len)?;
        let segment = store.segment();
        let words = segment.slice::<AtomicU64>(at + 8, (DATA + data.next_multiple_of(8)) as usize / 8 - 1)?;
        words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        let write = |offset: u64, word: u64| -> Result<()> {
            segment.at::<AtomicU64>(at + offset)?.store(word, Ordering::Relaxed);
            Ok(())
        };
        let (id, first) = (transaction.get(NEXT_OBJECT)?, transaction.get(FIRST_OBJECT)?);
        write(TYPE, hash(type_name))?;
        write(ID, id)?;
        write(NEXT, first)?;
        write(DATA_LEN, data.next_multiple_of(8))?;
        write(KIND, kind as u64)?;
        memory::write(segment, at + DATA + data.next_multiple_of(8), type_name.as_bytes())?;
        transaction.set(at, layout::header(0, len as usize - 8));
        transaction.set(NEXT_OBJECT, id.wrapping_add(1));
        transaction.set(FIRST_OBJECT, at);
        if first != 0 {
            transaction.set(first.wrapping_add(PREVIOUS), at);
        }
        fill(&mut transaction, at)?;
        transaction.commit()?;
        Ok(Object { store: store.clone(), at, id })
    }

    /// The object there, if it is what it should be.
    pub(crate) fn open(store: &Store, at: u64, id: u64, type_name: &str) -> Result<Object> {
        let object = Object { store: store.clone(), at, id };
        if !store.is_in_arena(at) || !at.is_multiple_of(8) || !object.is_there()? {
            return Err(store.error("open an object of", gone()));
        }
        if object.word(TYPE)? != hash(type_name) {
            let found = object.type_name().unwrap_or_default();
            let cause = Cause::Mismatch { property: "type", found, expected: type_name.to_owned() };
            return Err(store.error("open an object of", cause));
        }
        Ok(object)
    }

    /// The object that everything in the store starts from.
    pub(crate) fn main(store: &Store, type_name: &str) -> Result<Object> {
        let at = store.root().main.load(Ordering::Relaxed);
        let id = store.segment().at::<AtomicU64>(at.saturating_add(ID))?.load(Ordering::Relaxed);
        Object::open(store, at, id, type_name)
    }

    /// Makes this the object that everything in the store starts from; for a fresh store.
    pub(crate) fn set_main(&self) {
        self.store.root().main.store(self.at, Ordering::Relaxed);
    }

    /// The word at that offset.
    #[inline]
    pub(crate) fn word(&self, offset: u64) -> Result<u64> {
        self.now(self.at + offset)
    }

    /// The word at that position as it is, which others may be changing.
    #[inline]
    pub(crate) fn now(&self, position: u64) -> Result<u64> {
        Ok(self.segment().at::<AtomicU64>(position)?.load(Ordering::Relaxed))
    }

    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        self.store.segment()
    }

    /// Whether it is still there.
    #[inline]
    pub(crate) fn is_there(&self) -> Result<bool> {
        Ok(self.word(ID)? == self.id)
    }

    /// Refuses if it was deleted.
    #[inline]
    pub(crate) fn check_there(&self) -> Result<()> {
        if self.is_there()? { Ok(()) } else { Err(self.store.error("use an object of", gone())) }
    }

    /// The name of its type, as it was made.
    pub(crate) fn type_name(&self) -> Result<String> {
        let (_, len) = layout::lengths(self.word(0)?);
        let start = DATA + self.word(DATA_LEN)?;
        let len = (8 + len as u64).checked_sub(start).filter(|len| *len < 1 << 16).unwrap_or_default();
        let mut name = Vec::new();
        memory::read(self.segment(), self.at + start, 0, len as usize, &mut name)?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Takes it off the list, and frees it with the transaction, which has domain 0.
    pub(crate) fn delete(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        let (_, len) = layout::lengths(self.word(0)?);
        let (next, previous) = (self.word(NEXT)?, self.word(PREVIOUS)?);
        transaction.set(if previous == 0 { FIRST_OBJECT } else { previous.wrapping_add(NEXT) }, next);
        // What was just set may be what is read here.
        if next != 0 {
            transaction.set(next.wrapping_add(PREVIOUS), previous);
        }
        transaction.set(self.at + ID, 0);
        transaction.free(0, self.at, 8 + len as u64);
        Ok(())
    }
}

fn gone() -> Cause {
    std::io::Error::new(std::io::ErrorKind::NotFound, "it was deleted").into()
}

impl Serialize for Object {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match store_within() {
            0 => (self.segment(), self.at, self.id).serialize(serializer),
            id if id == self.store.id() => (self.at, self.id).serialize(serializer),
            _ => Err(serde::ser::Error::custom(
                "it belongs to another store, and could not be reached from this one",
            )),
        }
    }
}

/// A handle of which the type is not known yet.
pub(crate) struct Received(Store, u64, u64);

impl Received {
    pub(crate) fn expect(self, type_name: &str) -> Result<Object> {
        Object::open(&self.0, self.1, self.2, type_name)
    }
}

impl<'de> Deserialize<'de> for Received {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Received, D::Error> {
        use serde::de::Error as _;
        match store_within() {
            0 => {
                let (segment, at, id) = <(Segment, u64, u64)>::deserialize(deserializer)?;
                let store = Store::receive(&segment).map_err(D::Error::custom)?;
                Ok(Received(store, at, id))
            }
            store => {
                let (at, id) = <(u64, u64)>::deserialize(deserializer)?;
                let store = Store::find(store).ok_or_else(|| D::Error::custom("the store is closed"))?;
                Ok(Received(store, at, id))
            }
        }
    }
}

/// The parts of a handle that do not depend on what it is a handle to. It has its object itself, or within `plain`.
macro_rules! handle {
    ($name:ident $(<$($parameter:ident),*>)?) => {
        $crate::object::handle!(@ $name, [$($($parameter),*)?], [$($($parameter),*)?], object);

        impl$(<$($parameter),*>)? Clone for $name$(<$($parameter),*>)? {
            fn clone(&self) -> Self {
                $name { object: self.object.clone(), marker: std::marker::PhantomData }
            }
        }
    };
    ($name:ident<$parameter:ident: $bound:path> where plain $(, $other:ident)?) => {
        $crate::object::handle!(@ $name, [$parameter], [$parameter: $bound], plain.object);

        impl<$parameter: $bound> Clone for $name<$parameter> {
            fn clone(&self) -> Self {
                $name { plain: self.plain.clone() $(, $other: self.$other)? }
            }
        }
    };
    (@ $name:ident, [$($parameter:ident),*], [$($bounded:tt)*], $($object:ident).+) => {
        impl<$($bounded)*> PartialEq for $name<$($parameter),*> {
            /// Whether both are handles to the same object.
            fn eq(&self, other: &Self) -> bool {
                self.$($object).+ == other.$($object).+
            }
        }

        impl<$($bounded)*> serde::Serialize for $name<$($parameter),*> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&self.$($object).+, serializer)
            }
        }

        impl<'de, $($bounded)*> serde::Deserialize<'de> for $name<$($parameter),*> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let received = <$crate::object::Received as serde::Deserialize>::deserialize(deserializer)?;
                let object = received.expect(&Self::type_name());
                object.and_then(Self::from_object).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use handle;
