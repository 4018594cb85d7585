//! What lies in shared memory. This file is the specification; any change here changes [`VERSION`].
//!
//! ```text
//! 0       Root: the domains, and the lists of free pages
//! META    Page[pages]: what each page of the arena is used for
//! arena   the pages: runs of them are slabs of small blocks, or large blocks
//! ```
//! A *position* counts bytes from the start of the segment's data, and is a multiple of 8.
//!
//! A *domain* is a lock, with what it protects: lists of free blocks, a log, and a part of each container (see `table.rs`,
//! `list.rs`). All changes of words that others can reach go through the log of a domain: see `transaction.rs`.
//!
//! A *block* is a position within a slab of its size class, or the first page of a run of its own. Its first word is its
//! *header*: how many bytes of key and of value follow it, [`key`](header) in the upper half. In a free block it is the
//! position of the next one on the list, or 0.
#![allow(unsafe_code)]

use std::mem::offset_of;
use std::sync::atomic::AtomicU64;

use ipc_core::SharedLayout;
use ipc_lock::raw::RawLock;

/// Version of the layouts in this file.
pub(crate) const VERSION: u32 = 2;
/// What the segment's kind is called.
pub(crate) const KIND: &str = "store";
/// How many processes can take part in one store.
pub(crate) const PARTICIPANTS: u32 = 1024;

/// How many domains a store has: so many processes can write at the same time.
pub(crate) const DOMAINS: usize = 64;
/// Changes that a domain's own log has room for.
pub(crate) const LOG: usize = 64;
/// Changes that the arena's own log has room for: for all that has to work without free memory.
pub(crate) const LONG_LOG: usize = 1024;
/// Bytes of a page of the arena.
pub(crate) const PAGE: u64 = 4096;
/// Free runs of pages have lengths of 2^0 to 2^(ORDERS - 1).
pub(crate) const ORDERS: usize = 25;
/// The bytes of a block, by size class.
pub(crate) const SIZES: [u64; 28] = [
    16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 640, 768, 896, 1024, 1280,
    1536, 1792, 2048, 2560, 3072, 3584, 4096,
];

/// One change: that word at that position.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) position: AtomicU64,
    pub(crate) word: AtomicU64,
}

/// What one lock protects. All that most changes touch, up to the lock's own word, is one cache line.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Domain {
    /// Odd while changes are being made.
    pub(crate) version: AtomicU64,
    /// The number of the last transaction << 32 | how many changes of it have still to be made; 0 if none.
    pub(crate) state: AtomicU64,
    /// Where those changes are written down: in a domain's log, in the arena's, or in free pages.
    pub(crate) changes: AtomicU64,
    /// The domains that they concern, as bits.
    pub(crate) concerned: AtomicU64,
    /// Which log had a say here last: its transaction's number << 32 | its domain, counted from 1.
    pub(crate) leader: AtomicU64,
    /// A block that has to be freed with all that its slots lead to: see `trash.rs`; 0 if there is none.
    pub(crate) trash: AtomicU64,
    pub(crate) lock: RawLock,
    /// How many slots of it are left.
    pub(crate) trash_slots: AtomicU64,
    /// The first free block of each size class.
    pub(crate) free: [AtomicU64; SIZES.len()],
    pub(crate) log: [Change; LOG],
}

/// What hands out pages.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Arena {
    /// Taken after those of domains.
    pub(crate) lock: RawLock,
    /// As [`Domain::leader`].
    pub(crate) leader: AtomicU64,
    /// The first free run of each order: its page + 1, or 0.
    pub(crate) free: [AtomicU64; ORDERS],
    pub(crate) log: [Change; LONG_LOG],
}

/// The start of a store.
#[repr(C, align(128))]
#[derive(Debug)]
pub(crate) struct Root {
    /// A random number, by which the store is known within a process.
    pub(crate) id: AtomicU64,
    /// The keys of the hash function, random.
    pub(crate) keys: [AtomicU64; 2],
    /// How many pages the arena has.
    pub(crate) pages: AtomicU64,
    /// The identity of the next object.
    pub(crate) next_object: AtomicU64,
    /// The position of the first object; protected by domain 0, like `next_object`.
    pub(crate) first_object: AtomicU64,
    /// The object that everything starts from: the only one, or a manager's table of names.
    pub(crate) main: AtomicU64,
    pub(crate) arena: Arena,
    pub(crate) domains: [Domain; DOMAINS],
}

/// What a page is used for: 0 for all but the first of a run.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Page {
    /// A [`Run`](crate::arena::Run).
    pub(crate) state: AtomicU64,
    /// On a list of free runs, the next one's page + 1 << 32 | the previous one's page + 1.
    pub(crate) links: AtomicU64,
}

/// The start of a value's or an array's data. What they hold follows, from the next multiple of 64 on.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) lock: RawLock,
    /// Of a value that has two copies: how many times it was changed; bit 0 says which copy is valid. Of an array: its
    /// length.
    pub(crate) state: AtomicU64,
}

macro_rules! shared {
    ($($name:ident)*) => { $(
        // SAFETY: repr(C) and made of atomics only.
        unsafe impl SharedLayout for $name {}
    )* };
}
shared!(Change Domain Arena Root Page Cell);

/// Where the table of pages begins.
pub(crate) const META: u64 = (size_of::<Root>() as u64).next_multiple_of(PAGE);

/// Where the arena begins, if it has so many pages.
pub(crate) fn arena(pages: u64) -> u64 {
    META + (pages * size_of::<Page>() as u64).next_multiple_of(PAGE)
}

/// Where a page's entry is.
pub(crate) fn page(page: u64) -> u64 {
    META + page * size_of::<Page>() as u64
}

/// Where the first free run of an order stands.
pub(crate) fn free_run(order: u32) -> u64 {
    (offset_of!(Root, arena) + offset_of!(Arena, free)) as u64 + u64::from(order) * 8
}

/// Where the first free block of a class of a domain stands.
pub(crate) fn free_block(domain: usize, class: usize) -> u64 {
    domain_at(domain) + (offset_of!(Domain, free) + class * 8) as u64
}

/// Where a domain's own log is.
pub(crate) fn log(domain: usize) -> u64 {
    domain_at(domain) + offset_of!(Domain, log) as u64
}

/// Where a domain's [`Domain::trash`] and [`Domain::trash_slots`] are.
pub(crate) fn trash(domain: usize) -> [u64; 2] {
    [offset_of!(Domain, trash), offset_of!(Domain, trash_slots)]
        .map(|offset| domain_at(domain) + offset as u64)
}

fn domain_at(domain: usize) -> u64 {
    (offset_of!(Root, domains) + domain * size_of::<Domain>()) as u64
}

/// Where the arena's own log is.
pub(crate) const ARENA_LOG: u64 = (offset_of!(Root, arena) + offset_of!(Arena, log)) as u64;
/// Where [`Root::next_object`] is.
pub(crate) const NEXT_OBJECT: u64 = offset_of!(Root, next_object) as u64;
/// Where [`Root::first_object`] is.
pub(crate) const FIRST_OBJECT: u64 = offset_of!(Root, first_object) as u64;

/// A block's first word.
pub(crate) fn header(key: usize, value: usize) -> u64 {
    (key as u64) << 32 | value as u64
}

/// How many bytes of key and of value a block has, after its header.
pub(crate) fn lengths(header: u64) -> (usize, usize) {
    ((header >> 32) as usize, header as u32 as usize)
}

const _: () = {
    assert!(offset_of!(Domain, lock) == 48);
    assert!(offset_of!(Domain, free) == 128);
    assert!(offset_of!(Domain, log) == 352);
    assert!(size_of::<Domain>() == 1408);
    assert!(size_of::<Page>() == 16);
    assert!(offset_of!(Root, domains) == 16896);
    assert!(META == 110592);
};
