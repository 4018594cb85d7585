//! Changes that happen all together or not at all, whoever is killed when.
//!
//! 1. Take the locks: of domains in their order, then that of the arena.
//! 2. Write new data into memory that nobody can reach.
//! 3. Collect the words that have to change, and write them into the log of the first domain, its *leader*.
//! 4. One store makes the log valid: the commit.
//! 5. Make the changes, set the log back, release the locks.
//!
//! If it is one word of one domain that changes, it needs no log: to store it is the commit.
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
use crate::layout::{self, ARENA_LOG, Change, DOMAINS, Domain, LOG, LONG_LOG, PAGE};
use crate::store::Store;

/// More changes than this are looked up in a table.
const FEW: usize = 48;
/// To take a run of pages or to give one back is no more changes than this.
const RUN: usize = 400;
/// So many times one looks whether another thread of this process has made its changes: a second and more.
const ROUNDS: u32 = 10_000;

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
            transaction.lock(domain)?;
        }
        // Who reads what is written from here on, without the lock, sees the version that came before.
        fence(Ordering::Release);
        for domain in bits(domains) {
            if self.root().domains[domain].trash.load(Ordering::Relaxed) != 0 {
                transaction.sweep(domain)?;
            }
        }
        Ok(transaction)
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
    #[inline]
    fn lock(&mut self, index: usize) -> Result<()> {
        let domain = &self.store.root().domains[index];
        let acquired = domain.lock.lock(self.segment(), self.me.id().word());
        self.domains |= 1 << index;
        if acquired == Acquired::OwnerDied { self.recover(domain) } else { Ok(()) }
    }

    /// Finishes what the last owner of the lock had committed.
    #[cold]
    fn recover(&self, domain: &Domain) -> Result<()> {
        make(self.segment(), domain, &self.store.root().domains);
        self.follow(domain.leader.load(Ordering::Relaxed))?;
        // It may have been about to change one word, or just done it.
        let version = domain.version.load(Ordering::Relaxed);
        domain.version.store(version.wrapping_add(version & 1), Ordering::Release);
        Ok(())
    }

    /// Sees to it that the changes of the leader's transaction have been made.
    #[cold]
    fn follow(&self, leader: u64) -> Result<()> {
        let domains = &self.store.root().domains;
        let index = (leader as u32 as usize).wrapping_sub(1);
        let Some(domain) = domains.get(index) else { return Ok(()) };
        if self.domains >> index & 1 != 0 {
            make(self.segment(), domain, domains);
            return Ok(());
        }
        let mut rounds = 0;
        loop {
            let state = domain.state.load(Ordering::Acquire);
            if state >> 32 != leader >> 32 || state as u32 == 0 {
                return Ok(());
            }
            match domain.lock.try_lock(self.segment(), self.me.id().word()) {
                Some(_) => {
                    make(self.segment(), domain, domains);
                    domain.lock.unlock();
                }
                // Somebody is just making them. A thread of this process would be done soon; if it is not, it waits for
                // what this one holds, as happens only if somebody else wrote these words.
                None if domain.lock.owner() == Some(self.me.id().word()) && rounds >= ROUNDS => {
                    return Err(self.store.damaged("leader of a domain"));
                }
                None => std::thread::sleep(Duration::from_micros(100)),
            }
            rounds += 1;
        }
    }

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
    pub(crate) fn lock_arena(&mut self) -> Result<()> {
        if self.arena {
            return Ok(());
        }
        let arena = &self.store.root().arena;
        let acquired = arena.lock.lock(self.segment(), self.me.id().word());
        self.arena = true;
        if acquired == Acquired::OwnerDied {
            self.follow(arena.leader.load(Ordering::Relaxed))?;
        }
        fence(Ordering::Release);
        Ok(())
    }

    /// Frees a block of that many bytes, header included, when the transaction is committed.
    pub(crate) fn free(&mut self, domain: usize, position: u64, len: u64) {
        self.freed.push(Freed { domain, position, len });
    }

    /// Runs a closure of the user, which must not use the store. A child that was forked in it is refused.
    pub(crate) fn run<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        struct Restore;
        impl Drop for Restore {
            fn drop(&mut self) {
                WITHIN.set(false);
            }
        }
        WITHIN.set(true);
        let restore = Restore;
        let result = f();
        drop(restore);
        self.check_current()?;
        Ok(result)
    }

    /// A child that was forked meanwhile has a copy of this, but not the locks: it must write nothing.
    #[inline]
    fn check_current(&self) -> Result<()> {
        if self.me.is_current() {
            return Ok(());
        }
        let why = "this process was forked within the change, which is its parent's";
        Err(self.store.error("change", std::io::Error::other(why).into()))
    }

    /// Makes the changes, all of them or, with an error, none.
    #[inline]
    pub(crate) fn commit(mut self) -> Result<()> {
        self.apply()
    }

    /// The same, and keeps the locks for more.
    #[inline]
    pub(crate) fn apply(&mut self) -> Result<()> {
        self.check_current()?;
        if let [(position, word)] = self.changes[..]
            && self.freed.is_empty()
            && self.domains.is_power_of_two()
            && !self.arena
        {
            self.changes.clear();
            return self.change_one(position, word);
        }
        let log = self.free_all()?;
        if !self.changes.is_empty() {
            self.write_log(log)?;
            let root = self.store.root();
            make(self.segment(), &root.domains[self.leader()], &root.domains);
            self.changes.clear();
            self.index = None;
        }
        // Before anybody else can take them.
        for part in std::mem::take(&mut self.released) {
            // If it fails, the memory is kept.
            let _ = self.segment().release(part);
        }
        Ok(())
    }

    #[inline]
    fn change_one(&self, position: u64, word: u64) -> Result<()> {
        let place = self.segment().at::<AtomicU64>(position)?;
        let version = &self.store.root().domains[self.leader()].version;
        let before = version.load(Ordering::Relaxed);
        version.store(before | 1, Ordering::Relaxed);
        fence(Ordering::Release);
        place.store(word, Ordering::Relaxed);
        version.store((before | 1).wrapping_add(1), Ordering::Release);
        Ok(())
    }

    /// Frees what is to be freed; where there is room for a log of all changes.
    fn free_all(&mut self) -> Result<u64> {
        let freed = std::mem::take(&mut self.freed);
        let runs = freed.iter().filter(|freed| class_of(freed.len).is_none()).count();
        let most = self.changes.len() + 2 * freed.len() + runs * RUN;
        let (log, room, scratch) = if most <= LOG {
            (layout::log(self.leader()), LOG, None)
        } else if most <= LONG_LOG {
            self.lock_arena()?;
            (ARENA_LOG, LONG_LOG, None)
        } else {
            // Free before the transaction, and free after it.
            let room = most + 2 * RUN;
            let pages = ((room * size_of::<Change>()) as u64).div_ceil(PAGE);
            let page = self.take(pages, Run::Large { pages })?;
            (self.store.pages_at(page), room, Some((page, pages)))
        };
        for block in freed {
            self.free_now(block.domain, block.position, block.len)?;
        }
        if let Some((page, pages)) = scratch {
            // Nobody else can take the pages before this transaction is over: to them, they are free all the time.
            self.give(page, pages)?;
        }
        if self.changes.len() > room { Err(self.store.damaged("length of a log")) } else { Ok(log) }
    }

    #[inline]
    fn leader(&self) -> usize {
        self.domains.trailing_zeros() as usize % DOMAINS
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
            KEPT.with(|kept| kept.set(std::mem::take(&mut self.changes)));
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
