//! What lies at the start of every segment. This file is the specification.
//!
//! ```text
//! 0       Header, 512 bytes
//! 512     Slot[capacity], 16 bytes each: who takes part
//! data    the kind's own data, aligned to 64, `len` bytes at creation, `max_len` at most
//! ```
//! Every field is an atomic of fixed width in the machine's byte order, since another process may write it at
//! any moment. The header is written once, before anybody else can see the segment; what is read from it is
//! checked before use. Any change here changes [`VERSION`].
#![allow(unsafe_code)]

use std::sync::atomic::{
    AtomicI8, AtomicI16, AtomicI32, AtomicI64, AtomicU8, AtomicU16, AtomicU32, AtomicU64,
};

/// Marks a type that may be looked at in place while other processes write to it.
///
/// # Safety
/// - Every bit pattern is a valid value.
/// - It consists of atomics (or of types marked by this trait) only: no plain integer, `bool`, enum, reference
///   or pointer, because a reference to it lives while others write.
/// - It is `repr(C)`, so that all builds agree on it.
pub unsafe trait SharedLayout: Sized + Sync {}

macro_rules! atomics {
    ($($atomic:ty)*) => { $(
        // SAFETY: an atomic integer: every bit pattern is valid, and concurrent writes are what it is for.
        unsafe impl SharedLayout for $atomic {}
    )* };
}
atomics!(AtomicU8 AtomicU16 AtomicU32 AtomicU64 AtomicI8 AtomicI16 AtomicI32 AtomicI64);

// SAFETY: an array of such types is laid out as one after the other.
unsafe impl<T: SharedLayout, const N: usize> SharedLayout for [T; N] {}

/// `IPCSEG` and two bytes that no text has.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"IPCSEG\x9d\x01");
/// Version of this layout.
pub(crate) const VERSION: u32 = 2;
/// The longest kind, in bytes.
pub(crate) const KIND_LEN: usize = 16;
/// As much of the type's name as is kept for error messages, in bytes.
pub(crate) const TYPE_LEN: usize = 192;
/// The longest name, in bytes.
pub(crate) const NAME_LEN: usize = 200;
/// The most slots a segment can have: what [`ID_SLOT_BITS`] can count, without slot 0.
pub(crate) const MAX_SLOTS: u32 = (1 << ID_SLOT_BITS) - 1;
/// Alignment of the data.
pub(crate) const DATA_ALIGN: u64 = 64;

#[repr(C)]
pub(crate) struct Header {
    /// [`MAGIC`].
    pub(crate) magic: AtomicU64,
    /// [`VERSION`].
    pub(crate) version: AtomicU32,
    /// Number of slots, 1 to [`MAX_SLOTS`].
    pub(crate) slots: AtomicU32,
    /// Version of the kind's own layout.
    pub(crate) kind_version: AtomicU32,
    /// Bytes of the type's name.
    pub(crate) type_len: AtomicU32,
    /// FNV-1a of the whole name of the type.
    pub(crate) type_hash: AtomicU64,
    /// Bytes of data at creation.
    pub(crate) len: AtomicU64,
    /// Bytes of data at most.
    pub(crate) max_len: AtomicU64,
    /// Inode of the pid namespace in which the pids below mean something.
    pub(crate) pid_namespace: AtomicU64,
    /// Inode of the time namespace in which the start times below mean something.
    pub(crate) time_namespace: AtomicU64,
    /// What kind of object this is, zero-padded text.
    pub(crate) kind: [AtomicU8; KIND_LEN],
    reserved: [AtomicU64; 5],
    /// The name of the type, cut off at [`TYPE_LEN`].
    pub(crate) type_name: [AtomicU8; TYPE_LEN],
    /// The name that it was made under, zero-padded; empty if it was made without.
    pub(crate) name: [AtomicU8; NAME_LEN],
}

// SAFETY: repr(C) and made of atomics only.
unsafe impl SharedLayout for Header {}

/// One participant. Claimed and given up by one compare-and-swap of `state`, so that a kill leaves it either
/// free or claimed.
#[repr(C)]
pub(crate) struct Slot {
    /// Generation << 32 | pid; a pid of 0 means free. The generation grows by one when the slot is given up.
    pub(crate) state: AtomicU64,
    /// Low 16 bits of the generation << 48 | 1 << 47 if the process has begun to exit | start time of the process
    /// in clock ticks after boot. Stored after the claim; while its generation is another, only the pid is known.
    pub(crate) start: AtomicU64,
}

// SAFETY: repr(C) and made of atomics only.
unsafe impl SharedLayout for Slot {}

/// An identity, as it stands in lock words: bits 0-11 the slot's number, counted from 1; bits 12-30 the low bits
/// of its generation; bit 31 is left to the lock.
pub(crate) const ID_SLOT_BITS: u32 = 12;
/// Bits of the generation within an identity.
pub(crate) const ID_GENERATION_BITS: u32 = 19;
/// Bits of the start time within [`Slot::start`].
pub(crate) const START_BITS: u32 = 47;
/// Where the generation begins within [`Slot::start`].
pub(crate) const START_TAG: u32 = 48;

/// Where the data begins in a segment of that many slots.
pub(crate) const fn data_offset(slots: u32) -> u64 {
    let end = size_of::<Header>() as u64 + slots as u64 * size_of::<Slot>() as u64;
    end.next_multiple_of(DATA_ALIGN)
}

const _: () = {
    use std::mem::offset_of;
    assert!(size_of::<Header>() == 512);
    assert!(offset_of!(Header, slots) == 12);
    assert!(offset_of!(Header, type_hash) == 24);
    assert!(offset_of!(Header, pid_namespace) == 48);
    assert!(offset_of!(Header, kind) == 64);
    assert!(offset_of!(Header, type_name) == 120);
    assert!(offset_of!(Header, name) == 312);
    assert!(size_of::<Slot>() == 16);
    assert!(ID_SLOT_BITS + ID_GENERATION_BITS == 31);
    assert!(data_offset(1024) == 16896);
};
