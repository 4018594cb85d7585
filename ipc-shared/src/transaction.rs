//! Changes that happen all together or not at all, whoever is killed when.
//!
//! 1. Take the locks: of domains in their order, then that of the arena.
//! 2. Write new data into memory that nobody can reach.
//! 3. Collect the words that have to change, and write them into the log of the first domain, its *leader*.
//! 4. One store makes the log valid: the commit.
//! 5. Make the changes, set the log back, release the locks.
//!
//! Killed before the commit, nothing has happened: also what the allocator would have changed is only in the log. Killed
//! after it, whoever gets one of the locks finds that its owner died, and makes the changes first, again if need be: they
//! are words with their positions, so that twice is as good as once. Each other domain knows its leader, and whoever gets
//! its lock from a dead process sees to the leader's log before anything else.
//!
//! While changes are made, the versions of the domains they concern are odd. Who reads without a lock reads again if the
//! version was odd, or is another afterwards.

use std::cell::Cell;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use foldhash::HashMap;
use ipc_core::{Cause, Error, Identity, Result, Segment};
use ipc_lock::raw::{Acquired, identity};

use crate::arena::Run;
use crate::heap::class_of;
use crate::layout::{self, Change, DOMAINS, Domain, LOG, PAGE};
use crate::store::Store;

/// More changes than this are looked up in a table.
const FEW: usize = 48;

thread_local! {
    /// Memory that each thread keeps for changes.
    static KEPT: Cell<Vec<(u64, u64)>> = const { Cell::new(Vec::new()) };
    /// This thread runs a closure of its user within a transaction.
    static WITHIN: Cell<bool> = const { Cell::new(false) };
}

/// A block to be freed.
struct Freed {
    domain: usize,
    position: u64,
    len: u64,
}

/// Locks that are held, and changes that are not made yet. Dropped, it has changed nothing.
pub(crate) struct Transaction<'a> {
    store: &'a Store,
    me: Identity<'a>,
    /// The domains whose locks are held, as bits.
    domains: u64,
    arena: bool,
    changes: Vec<(u64, u64)>,
    /// Where in `changes` a position stands, once they are many.
    index: Option<HashMap<u64, usize>>,
    /// What is freed by this transaction is not used by it: others would find it spoilt if this one is killed.
    freed: Vec<Freed>,
    /// Runs whose memory is to be given back afterwards, as bytes.
    pub(crate) released: Vec<Range<u64>>,
}

impl Store {
    /// Takes the locks of those domains, bits of `domains`.
    pub(crate) fn begin(&self, domains: u64) -> Result<Transaction<'_>> {
        if WITHIN.get() {
            let why = "a closure that runs within a change of a store cannot change one itself";
            return Err(self.error("change", std::io::Error::new(std::io::ErrorKind::Deadlock, why).into()));
        }
        let me = identity(self.segment());
        let mut transaction = Transaction {
            store: self,
            me,
            domains: 0,
            arena: false,
            changes: KEPT.take(),
            index: None,
            freed: Vec::new(),
            released: Vec::new(),
        };
        transaction.changes.clear();
        for domain in bits(domains) {
            self.lock(domain, me.id().word());
            transaction.domains |= 1 << domain;
        }
        // Who reads what is written from here on, without the lock, sees the version that came before.
        fence(Ordering::Release);
        Ok(transaction)
    }

    #[inline]
    fn lock(&self, index: usize, me: u32) {
        let domain = &self.root().domains[index];
        if domain.lock.lock(self.segment(), me) == Acquired::OwnerDied {
            self.recover(index, me);
        }
    }

    /// Finishes what the last owner of the lock had committed.
    #[cold]
    fn recover(&self, index: usize, me: u32) {
        let domain = &self.root().domains[index];
        make(self.segment(), domain, &self.root().domains);
        self.follow(domain.leader.load(Ordering::Relaxed), me);
    }

    /// Sees to it that the changes of the leader's transaction have been made.
    #[cold]
    fn follow(&self, leader: u64, me: u32) {
        let domains = &self.root().domains;
        let Some(domain) = (leader as u32 as usize).checked_sub(1).and_then(|index| domains.get(index))
        else {
            return;
        };
        loop {
            let state = domain.state.load(Ordering::Acquire);
            if state >> 32 != leader >> 32 || state as u32 == 0 {
                return;
            }
            match domain.lock.try_lock(self.segment(), me) {
                Some(_) => {
                    make(self.segment(), domain, domains);
                    domain.lock.unlock();
                }
                // Somebody is just making them.
                None => std::thread::sleep(Duration::from_micros(100)),
            }
        }
    }
}

/// Makes the changes in the log of that domain, if there are any.
fn make(segment: &Segment, domain: &Domain, domains: &[Domain; DOMAINS]) {
    let state = domain.state.load(Ordering::Acquire);
    let count = state as u32 as usize;
    if count == 0 {
        return;
    }
    let concerned = domain.concerned.load(Ordering::Relaxed);
    for index in bits(concerned) {
        let version = &domains[index].version;
        version.store(version.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
    }
    fence(Ordering::Release);
    let changes = segment.slice::<Change>(domain.changes.load(Ordering::Relaxed), count);
    for change in changes.unwrap_or_default() {
        // A position that no honest process writes is passed over.
        if let Ok(word) = segment.at::<AtomicU64>(change.position.load(Ordering::Relaxed)) {
            word.store(change.word.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }
    for index in bits(concerned) {
        let version = &domains[index].version;
        version.store((version.load(Ordering::Relaxed) | 1).wrapping_add(1), Ordering::Release);
    }
    domain.state.store(state & !u64::from(u32::MAX), Ordering::Release);
}

impl<'a> Transaction<'a> {
    pub(crate) fn store(&self) -> &'a Store {
        self.store
    }

    #[inline]
    pub(crate) fn segment(&self) -> &'a Segment {
        self.store.segment()
    }

    /// The word at that position, as this transaction leaves it.
    #[inline]
    pub(crate) fn get(&self, position: u64) -> Result<u64> {
        match self.pending(position) {
            Some(at) => Ok(self.changes[at].1),
            None => Ok(self.segment().at::<AtomicU64>(position)?.load(Ordering::Relaxed)),
        }
    }

    /// Changes the word at that position.
    #[inline]
    pub(crate) fn set(&mut self, position: u64, word: u64) {
        match self.pending(position) {
            Some(at) => self.changes[at].1 = word,
            None => {
                self.changes.push((position, word));
                if self.changes.len() > FEW {
                    self.note();
                }
            }
        }
    }

    #[inline]
    fn pending(&self, position: u64) -> Option<usize> {
        if self.changes.len() > FEW {
            return self.index.as_ref().and_then(|index| index.get(&position).copied());
        }
        self.changes.iter().position(|change| change.0 == position)
    }

    #[cold]
    fn note(&mut self) {
        match &mut self.index {
            Some(index) if index.len() + 1 == self.changes.len() => {
                _ = self.changes.last().map(|last| index.insert(last.0, self.changes.len() - 1));
            }
            _ => {
                let places = self.changes.iter().enumerate();
                self.index = Some(places.map(|(at, change)| (change.0, at)).collect());
            }
        }
    }

    /// Takes the lock of the arena, if this transaction has it not yet.
    pub(crate) fn lock_arena(&mut self) {
        if self.arena {
            return;
        }
        let arena = &self.store.root().arena;
        let me = self.me.id().word();
        let acquired = arena.lock.lock(self.segment(), me);
        self.arena = true;
        if acquired == Acquired::OwnerDied {
            self.store.follow(arena.leader.load(Ordering::Relaxed), me);
        }
        fence(Ordering::Release);
    }

    /// Frees a block of that many bytes, header included, when the transaction is committed.
    pub(crate) fn free(&mut self, domain: usize, position: u64, len: u64) {
        self.freed.push(Freed { domain, position, len });
    }

    /// Runs a closure of the user, which must not use the store.
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> R {
        struct Restore;
        impl Drop for Restore {
            fn drop(&mut self) {
                WITHIN.set(false);
            }
        }
        WITHIN.set(true);
        let _restore = Restore;
        f()
    }

    /// Makes the changes, all of them or, with an error, none.
    #[inline]
    pub(crate) fn commit(mut self) -> Result<()> {
        let scratch = self.free_all()?;
        let log = match scratch {
            None => layout::log(self.leader()),
            Some((page, run)) => {
                // Nobody else can take the pages before this transaction is over: to them, they are free all the time.
                self.give(page, run)?;
                self.store.pages_at(page)
            }
        };
        if !self.changes.is_empty() {
            self.write_log(log)?;
            let root = self.store.root();
            make(self.segment(), &root.domains[self.leader()], &root.domains);
        }
        // Before anybody else can take them.
        for part in std::mem::take(&mut self.released) {
            // If it fails, the memory is kept.
            let _ = self.segment().release(part);
        }
        Ok(())
    }

    /// Frees what is to be freed; pages for the log, if its own place will not do.
    fn free_all(&mut self) -> Result<Option<(u64, u64)>> {
        let freed = std::mem::take(&mut self.freed);
        // A small block that is freed takes two changes, a large one mostly some more, but at times many.
        let is_long = self.changes.len() + 2 * freed.len() > LOG;
        let scratch = if is_long { Some(self.scratch(&freed)?) } else { None };
        if freed.is_empty() {
            return Ok(scratch);
        }
        let before = freed.iter().any(|freed| class_of(freed.len).is_none()).then(|| self.changes.clone());
        let free = |transaction: &mut Self| {
            freed.iter().try_for_each(|freed| transaction.free_now(freed.domain, freed.position, freed.len))
        };
        free(self)?;
        if scratch.is_some() || self.changes.len() <= LOG {
            return Ok(scratch);
        }
        // Once more, since pages that are only just being freed cannot have the log.
        self.changes = before.unwrap_or_default();
        self.index = None;
        if self.changes.len() > FEW {
            self.note();
        }
        self.released.clear();
        let scratch = self.scratch(&freed)?;
        free(self)?;
        Ok(Some(scratch))
    }

    #[inline]
    fn leader(&self) -> usize {
        self.domains.trailing_zeros() as usize % DOMAINS
    }

    /// Pages for a long log: free before the transaction, and free after it.
    #[cold]
    fn scratch(&mut self, freed: &[Freed]) -> Result<(u64, u64)> {
        // A run that is given back takes some changes for each size of run that it is joined with.
        let runs = freed.iter().filter(|freed| class_of(freed.len).is_none()).count() + 2;
        let most = self.changes.len() + 2 * freed.len() + runs * layout::ORDERS * 12;
        let pages = ((most * size_of::<Change>()) as u64).div_ceil(PAGE);
        let page = self.take(pages, Run::Large { pages })?;
        Ok((page, pages))
    }

    #[inline]
    fn write_log(&self, at: u64) -> Result<()> {
        let leader = self.leader();
        let root = self.store.root();
        let domain = &root.domains[leader];
        let log = self.segment().slice::<Change>(at, self.changes.len())?;
        for (entry, change) in log.iter().zip(&self.changes) {
            entry.position.store(change.0, Ordering::Relaxed);
            entry.word.store(change.1, Ordering::Relaxed);
        }
        domain.changes.store(at, Ordering::Relaxed);
        domain.concerned.store(self.domains, Ordering::Relaxed);
        let number = (domain.state.load(Ordering::Relaxed) >> 32).wrapping_add(1) << 32;
        let follow = number | (leader as u64 + 1);
        for other in bits(self.domains & !(1 << leader)) {
            root.domains[other].leader.store(follow, Ordering::Relaxed);
        }
        if self.arena {
            root.arena.leader.store(follow, Ordering::Relaxed);
        }
        domain.state.store(number | self.changes.len() as u64, Ordering::Release);
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    #[inline]
    fn drop(&mut self) {
        // A child that was forked meanwhile has a copy of this, but not the locks.
        if self.me.is_current() {
            let root = self.store.root();
            if self.arena {
                root.arena.lock.unlock();
            }
            for domain in bits(self.domains) {
                root.domains[domain].lock.unlock();
            }
        }
        if self.changes.capacity() <= 1 << 12 {
            KEPT.set(std::mem::take(&mut self.changes));
        }
    }
}

/// The numbers of the bits that are set.
#[inline]
pub(crate) fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}

impl Store {
    /// An error about this store.
    #[cold]
    pub(crate) fn error(&self, operation: &'static str, cause: Cause) -> Error {
        Error::new(operation, self.segment().label(), cause)
    }

    /// A word has a value that no honest process writes.
    #[cold]
    pub(crate) fn damaged(&self, field: &'static str) -> Error {
        self.error("use", Cause::Damaged { field })
    }
}
