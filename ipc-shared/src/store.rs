//! A store: a segment with all that containers are made of. What all handles to anything in it have in common.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use ipc_core::{Cause, Error, ForkMutex, Place, Result, Segment, Spec};
use siphasher::sip::SipHasher13;

use crate::layout::{self, KIND, PAGE, PARTICIPANTS, Root, VERSION};

/// Pages of an arena for which nothing else was asked: 64 GiB of address space.
const PAGES: u64 = 1 << 24;

/// A handle to a store.
#[derive(Clone)]
pub(crate) struct Store(Arc<Inner>);

struct Inner {
    root: Place<Root>,
    /// Read once, so that nobody can change them.
    id: u64,
    keys: [u64; 2],
    pages: u64,
}

/// The stores that this process has, by their number: a handle that lies in a store leads to others in it.
static OPEN: ForkMutex<Option<HashMap<u64, Weak<Inner>>>> = ForkMutex::new(None);

/// Sizes of a store to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) pages: u64,
}

impl Default for Size {
    fn default() -> Size {
        Size { pages: PAGES }
    }
}

impl Size {
    /// Room for about so many bytes.
    pub(crate) fn of(bytes: u64) -> Size {
        // As many as there is address space for; the rest of the sum must not overflow.
        Size { pages: (bytes / PAGE).clamp(64, 1 << 31) }
    }
}

/// What all stores are. The types of what is in them are looked at object by object.
fn spec() -> Spec<'static> {
    Spec::new(KIND, VERSION).participants(PARTICIPANTS).len(size_of::<Root>() as u64)
}

impl Store {
    /// Makes a store, with a name if there is one; `fill` puts something in before anybody can see it.
    pub(crate) fn create<R>(
        name: Option<&str>,
        size: Size,
        fill: impl FnOnce(&Store) -> Result<R>,
    ) -> Result<R> {
        let mut filled = None;
        let init = |segment: &Segment| {
            let store = Store::init(segment, size)?;
            filled = Some(fill(&store)?);
            Ok(())
        };
        let spec = spec().max_len(layout::arena(size.pages) + size.pages * PAGE);
        match name {
            Some(name) => Segment::create(name, &spec, init).map(drop),
            None => Segment::anonymous(&spec).and_then(|segment| init(&segment)),
        }?;
        Ok(filled.expect("filled by init"))
    }

    fn init(segment: &Segment, size: Size) -> Result<Store> {
        let root = Place::<Root>::new(segment, 0)?;
        // Each is seeded by the system.
        let random = || RandomState::new().build_hasher().finish();
        root.id.store(random() | 1, Ordering::Relaxed);
        root.keys.iter().for_each(|key| key.store(random(), Ordering::Relaxed));
        root.pages.store(size.pages, Ordering::Relaxed);
        root.next_object.store(1, Ordering::Relaxed);
        let store = Store::at(segment)?;
        store.free_pages()?;
        Ok(store)
    }

    /// Opens the store of that name.
    pub(crate) fn open(name: &str) -> Result<Store> {
        Segment::open(name, &spec()).and_then(|segment| Store::at(&segment))
    }

    /// The store in a segment that was handed over.
    pub(crate) fn receive(segment: &Segment) -> Result<Store> {
        segment.expect(&spec())?;
        Store::at(segment)
    }

    fn at(segment: &Segment) -> Result<Store> {
        let mut open = OPEN.lock();
        let root = Place::<Root>::new(segment, 0)?;
        let id = root.id.load(Ordering::Relaxed);
        let open = open.get_or_insert_default();
        if let Some(inner) = open.get(&id).and_then(Weak::upgrade)
            && inner.root.segment() == segment
        {
            return Ok(Store(inner));
        }
        let pages = root.pages.load(Ordering::Relaxed);
        let end = pages.checked_mul(PAGE).and_then(|len| len.checked_add(layout::arena(pages.min(1 << 40))));
        if end.is_none_or(|end| end > segment.max_len()) {
            return Err(Error::new("open", segment.label(), Cause::Damaged { field: "number of pages" }));
        }
        let keys = [0, 1].map(|key| root.keys[key].load(Ordering::Relaxed));
        let store = Store(Arc::new(Inner { root, id, keys, pages }));
        open.retain(|_, inner| inner.strong_count() > 0);
        open.insert(id, Arc::downgrade(&store.0));
        Ok(store)
    }

    /// The store with that number, if this process has it.
    pub(crate) fn find(id: u64) -> Option<Store> {
        let open = OPEN.lock();
        open.as_ref()?.get(&id)?.upgrade().map(Store)
    }

    #[inline]
    pub(crate) fn root(&self) -> &Root {
        &self.0.root
    }

    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        self.0.root.segment()
    }

    /// Its number.
    #[inline]
    pub(crate) fn id(&self) -> u64 {
        self.0.id
    }

    /// How many pages its arena has.
    #[inline]
    pub(crate) fn pages(&self) -> u64 {
        self.0.pages
    }

    /// Whether a position lies in the arena.
    #[inline]
    pub(crate) fn is_in_arena(&self, position: u64) -> bool {
        position >= layout::arena(self.pages()) && position < self.pages_at(self.pages())
    }

    /// The page that begins at a position.
    pub(crate) fn page_of(&self, position: u64) -> Option<u64> {
        let offset = position.checked_sub(layout::arena(self.pages()))?;
        (offset.is_multiple_of(PAGE) && offset / PAGE < self.pages()).then_some(offset / PAGE)
    }

    /// The keyed hash of a key's bytes. All processes agree on it, and nobody else can tell which keys collide.
    #[inline]
    pub(crate) fn hash(&self, key: &[u8]) -> u64 {
        SipHasher13::new_with_keys(self.0.keys[0], self.0.keys[1]).hash(key)
    }
}

impl PartialEq for Store {
    /// Whether both are handles to the same store.
    fn eq(&self, other: &Store) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segment().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_collide_in_one_store_do_not_in_another() {
        let [one, other] =
            [(), ()].map(|()| Store::create(None, Size::of(0), |store| Ok(store.clone())).unwrap());
        let place = |store: &Store, key: u32| store.hash(&key.to_le_bytes()) & 0xff;
        let flood: Vec<u32> = (0..100_000).filter(|key| place(&one, *key) == 7).collect();
        assert!(flood.len() > 200);
        let most = (0..256).map(|at| flood.iter().filter(|key| place(&other, **key) == at).count()).max();
        assert!(most < Some(20), "{most:?} of {} in one place", flood.len());
    }
}
