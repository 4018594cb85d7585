//! A dictionary of bytes to bytes: what [`Dict`](crate::Dict) and [`Namespace`](crate::Namespace) are made of.

use std::hint::spin_loop;
use std::ops::ControlFlow;
use std::sync::atomic::{Ordering, fence};

use ipc_core::Result;

use crate::layout::DOMAINS;
use crate::object::{DATA, Kind, Object};
use crate::store::Store;
use crate::table::{self, Found, PART, Part, Slots, domain_of, read_entry, read_value};
use crate::transaction::{Transaction, bits};

/// Who reads without a lock takes it after so many tries.
const TRIES: usize = 100;
/// All domains.
pub(crate) const ALL: u64 = u64::MAX;

/// A key's bytes, and what follows from them.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) hash: u64,
}

impl<'a> Key<'a> {
    #[inline]
    pub(crate) fn new(store: &Store, bytes: &'a [u8]) -> Key<'a> {
        Key { bytes, hash: store.hash(bytes) }
    }

    #[inline]
    pub(crate) fn domain(self) -> usize {
        domain_of(self.hash)
    }
}

impl Store {
    /// Reads without locks, until nothing has changed in those domains meanwhile; `None` if something always does.
    #[inline]
    pub(crate) fn read<R>(&self, domains: u64, mut read: impl FnMut() -> Result<R>) -> Result<Option<R>> {
        let domains_of = &self.root().domains;
        let sum = |order: Ordering| {
            bits(domains).try_fold(0_u64, |sum, domain| {
                let version = domains_of[domain].version.load(order);
                (version.is_multiple_of(2)).then(|| sum.wrapping_add(version))
            })
        };
        for _ in 0..TRIES {
            // Versions only grow, so that none of them has changed if their sum has not.
            if let Some(before) = sum(Ordering::Acquire) {
                let found = read();
                fence(Ordering::Acquire);
                if sum(Ordering::Relaxed) == Some(before) {
                    return found.map(Some);
                }
            }
            spin_loop();
        }
        Ok(None)
    }
}

impl Object {
    /// Makes an empty dictionary.
    pub(crate) fn create_map(store: &Store, type_name: &str) -> Result<Object> {
        Object::create(store, Kind::Dict, type_name, DOMAINS as u64 * PART, |_, _| Ok(()))
    }

    #[inline]
    pub(crate) fn part(&self, domain: usize) -> Part {
        Part { at: self.at + DATA + domain as u64 * PART }
    }

    /// Locks the key's domain, while what is needed first is fetched.
    #[inline]
    pub(crate) fn lock_key(&self, key: Key<'_>) -> Result<Transaction<'_>> {
        let part = self.part(key.domain());
        if let Ok(Some(slots)) = self.now(part.at).and_then(|word| Slots::of(&self.store, word)) {
            self.segment().prefetch(slots.place(key.hash));
        }
        self.store.begin(1 << key.domain())
    }

    #[inline]
    pub(crate) fn find_in(&self, transaction: &Transaction<'_>, key: Key<'_>) -> Result<Found> {
        self.check_there()?;
        transaction.find(self.part(key.domain()), key.hash, key.bytes)
    }

    /// Copies the key's value into the buffer; says where in it it begins.
    #[inline]
    pub(crate) fn get_bytes(&self, key: Key<'_>, to: &mut Vec<u8>) -> Result<Option<usize>> {
        let mut read = || {
            self.check_there()?;
            let part = self.part(key.domain());
            match table::find(&self.store, part, key.hash, key.bytes, |position| self.now(position))? {
                Found::Entry(_, entry) => read_value(self.segment(), entry, to).map(Some),
                Found::Free(_) => Ok(None),
            }
        };
        let domain = 1 << key.domain();
        if let Some(found) = self.store.read(domain, &mut read)? {
            return Ok(found);
        }
        let _transaction = self.store.begin(domain)?;
        read()
    }

    /// How many entries there are.
    pub(crate) fn count(&self) -> Result<u64> {
        self.read_all(|| {
            (0..DOMAINS)
                .try_fold(0_u64, |sum, domain| Ok(sum.wrapping_add(self.now(self.part(domain).at + 8)?)))
        })
    }

    /// Reads something that concerns all domains, as it is at one moment.
    pub(crate) fn read_all<R>(&self, mut read: impl FnMut() -> Result<R>) -> Result<R> {
        let mut read = || self.check_there().and_then(|()| read());
        if let Some(found) = self.store.read(ALL, &mut read)? {
            return Ok(found);
        }
        let _transaction = self.store.begin(ALL)?;
        read()
    }

    /// All entries of the domains as they are at one moment: the bytes of key and value, and where the value begins.
    pub(crate) fn entries(&self) -> Result<Vec<(Vec<u8>, usize)>> {
        self.read_all(|| {
            let mut entries = Vec::new();
            for domain in 0..DOMAINS {
                let word = |position| self.now(position);
                table::each(&self.store, self.part(domain), word, |_, entry| {
                    entries.push((read_entry(self.segment(), entry)?, entry.key));
                    Ok(ControlFlow::Continue(()))
                })?;
            }
            Ok(entries)
        })
    }
}
