//! The manager: many objects in one store, with names.

mod kinds;
#[cfg(feature = "queue")]
mod queues;

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use ipc_core::{Cause, Error, Result, Segment};
use ipc_lock::{Barrier, Condvar, Event, Mutex, ReentrantMutex, RwLock, Semaphore, Shareable};
use serde::{Deserialize, Serialize};

use crate::array::Array;
use crate::dict::Dict;
use crate::list::List;
use crate::namespace::Namespace;
use crate::object::{DATA, Kind, Object, handle};
use crate::stats::Stats;
use crate::store::{Size, Store};
use crate::value::Value;
pub use kinds::Managed;

/// One piece of shared memory, which hands out objects of all kinds.
///
/// There is no server: every process that has a handle works in the memory itself. A clone, or what another process makes
/// of a serialised handle, is a handle to the same manager. So is what an unrelated program [opens](Manager::open) by
/// name. When the last handle to the manager and to all its objects is gone in every process, so is the memory.
///
/// An object without a name is found through its handles only; one with a [name](Manager::bind) by everybody who has the
/// manager. Containers can be values of others, and are shared then, not copied. An object lives as long as the manager,
/// unless it is deleted, as containers can be.
///
/// ```
/// use ipc_shared::{Dict, List, Manager};
///
/// let manager = Manager::new()?;
/// let prices: Dict<String, u32> = manager.dict()?;
/// manager.bind("prices", &prices)?;
/// prices.insert("bun".to_string(), 3)?;
///
/// // In another process, which was handed the manager:
/// let found: Dict<String, u32> = manager.find("prices")?;
/// assert_eq!(found.get("bun")?, Some(3));
///
/// let baskets: Dict<String, List<u32>> = manager.dict()?;
/// baskets.insert("ann".to_string(), manager.list()?)?;
/// baskets.get("ann")?.expect("it was just put there").push(&7)?;
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[doc(alias = "SyncManager")]
#[doc(alias = "BaseManager")]
#[doc(alias = "SharedMemoryManager")]
pub struct Manager {
    object: Object,
    marker: PhantomData<()>,
}

handle!(Manager);

/// What stands under a name.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq)]
struct Entry {
    type_name: String,
    at: u64,
    id: u64,
}

impl Manager {
    pub(crate) fn type_name() -> String {
        "Manager".to_owned()
    }

    pub(crate) fn from_object(object: Object) -> Result<Manager> {
        Ok(Manager { object, marker: PhantomData })
    }

    fn create_with(name: Option<&str>, size: Size) -> Result<Manager> {
        Store::create(name, size, |store| {
            let object = Object::create_map(store, &Self::type_name())?;
            object.set_main();
            Manager::from_object(object)
        })
    }

    /// A manager for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn new() -> Result<Manager> {
        Manager::create_with(None, Size::default())
    }

    /// As [`new`](Manager::new), but with at most about so many bytes of memory, 256 KiB at least, instead of 64 GiB.
    ///
    /// # Errors
    /// As [`new`](Manager::new).
    pub fn with_max_memory(bytes: u64) -> Result<Manager> {
        Manager::create_with(None, Size::of(bytes))
    }

    /// A manager that other programs of the same user can [`open`](Manager::open). See [`Segment::create`] for the life of
    /// a name.
    ///
    /// # Errors
    /// As [`new`](Manager::new); the name is taken by a living process, or no name.
    #[doc(alias = "start")]
    pub fn create(name: &str) -> Result<Manager> {
        Manager::create_with(Some(name), Size::default())
    }

    /// The manager of that name.
    ///
    /// # Errors
    /// There is none, or it is another kind of object.
    #[doc(alias = "connect")]
    pub fn open(name: &str) -> Result<Manager> {
        Object::main(&Store::open(name)?, &Self::type_name()).and_then(Manager::from_object)
    }

    /// The segment that it lies in, with all its objects but queues.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.object.store
    }

    fn names_dict(&self) -> Result<Dict<String, Entry>> {
        Dict::from_object(self.object.clone())
    }

    /// What its memory is used for.
    ///
    /// # Errors
    /// Memory that was damaged.
    pub fn stats(&self) -> Result<Stats> {
        self.store().stats()
    }

    /// Looks at every word of its memory: see [`Dict::check`].
    ///
    /// # Errors
    /// [`Cause::Damaged`], with what is wrong.
    pub fn check(&self) -> Result<()> {
        self.store().check()
    }

    /// Gives an object of this manager a name, by which everybody who has the manager can [`find`](Manager::find) it.
    ///
    /// # Errors
    /// Another object has the name ([`AlreadyExists`](std::io::ErrorKind::AlreadyExists)); an object of another manager; no
    /// memory left.
    #[doc(alias = "register")]
    pub fn bind<T: Managed>(&self, name: &str, object: &T) -> Result<()> {
        let fail = |cause: Cause| Error::new("bind", format!("{} `{name}`", type_name::<T>()), cause);
        let Some((at, id)) = object.place_in(self)? else {
            let why = "it belongs to another manager";
            return Err(fail(std::io::Error::new(std::io::ErrorKind::InvalidInput, why).into()));
        };
        let entry = Entry { type_name: T::managed_type(), at, id };
        if self.names_dict()?.compare_and_swap(name, None, Some(entry))? {
            Ok(())
        } else {
            let why = "another object of this manager has it";
            Err(fail(std::io::Error::new(std::io::ErrorKind::AlreadyExists, why).into()))
        }
    }

    /// The object of that name.
    ///
    /// # Errors
    /// There is none ([`Error::is_not_found`]), or it is of another kind or type: the error says of which.
    pub fn find<T: Managed>(&self, name: &str) -> Result<T> {
        let fail = |cause: Cause| Error::new("find", format!("object `{name}`"), cause);
        let why = "there is none of that name";
        let not_found = || fail(std::io::Error::new(std::io::ErrorKind::NotFound, why).into());
        let entry = self.names_dict()?.get(name)?.ok_or_else(not_found)?;
        if entry.type_name != T::managed_type() {
            let (found, expected) = (entry.type_name, T::managed_type());
            return Err(fail(Cause::Mismatch { property: "type", found, expected }));
        }
        T::open_in(self, entry.at, entry.id)
    }

    /// Takes a name away; the object stays. Whether there was one.
    ///
    /// # Errors
    /// Memory that was damaged.
    pub fn unbind(&self, name: &str) -> Result<bool> {
        self.names_dict()?.remove(name).map(|old| old.is_some())
    }

    /// The names of all objects that have one, and their types.
    ///
    /// # Errors
    /// Memory that was damaged.
    pub fn names(&self) -> Result<Vec<(String, String)>> {
        let items = self.names_dict()?.items()?;
        Ok(items.into_iter().map(|(name, entry)| (name, entry.type_name)).collect())
    }

    /// A dictionary.
    ///
    /// # Errors
    /// No memory left; as for all that follow.
    pub fn dict<K, V>(&self) -> Result<Dict<K, V>> {
        Dict::create_in(self.store())
    }

    /// A list.
    ///
    /// # Errors
    /// No memory left.
    pub fn list<T>(&self) -> Result<List<T>> {
        List::create_in(self.store())
    }

    /// A namespace.
    ///
    /// # Errors
    /// No memory left.
    #[doc(alias = "Namespace")]
    pub fn namespace(&self) -> Result<Namespace> {
        Namespace::create_in(self.store())
    }

    /// A value of plain data.
    ///
    /// # Errors
    /// No memory left.
    #[doc(alias = "Value")]
    pub fn value<T: Shareable>(&self, value: T) -> Result<Value<T>> {
        Value::create_in(self.store(), value)
    }

    /// An array of plain data.
    ///
    /// # Errors
    /// No memory left.
    #[doc(alias = "Array")]
    pub fn array<T: Shareable + Copy>(&self, values: &[T]) -> Result<Array<T>> {
        Array::create_in(self.store(), values)
    }

    /// Memory for another crate's object, of so many bytes, filled by `make`.
    fn foreign<T>(&self, len: usize, make: impl FnOnce(&Segment, u64) -> Result<T>) -> Result<T> {
        let name = format!("memory for {}", type_name::<T>());
        let mut made = None;
        Object::create(self.store(), Kind::Foreign, &name, len as u64 + 64, |_, at| {
            made = Some(make(self.segment(), (at + DATA).next_multiple_of(64))?);
            Ok(())
        })?;
        Ok(made.expect("made with the object"))
    }

    /// A mutex around plain data.
    ///
    /// # Errors
    /// No memory left.
    #[doc(alias = "Lock")]
    pub fn mutex<T: Shareable>(&self, value: T) -> Result<Mutex<T>> {
        self.foreign(Mutex::<T>::len_in(), |segment, at| Mutex::new_in(segment, at, value))
    }

    /// A reentrant mutex around plain data.
    ///
    /// # Errors
    /// No memory left.
    #[doc(alias = "RLock")]
    pub fn reentrant_mutex<T: Shareable>(&self, value: T) -> Result<ReentrantMutex<T>> {
        self.foreign(ReentrantMutex::<T>::len_in(), |segment, at| ReentrantMutex::new_in(segment, at, value))
    }

    /// A reader-writer lock around plain data.
    ///
    /// # Errors
    /// No memory left.
    pub fn rwlock<T: Shareable>(&self, value: T) -> Result<RwLock<T>> {
        self.foreign(RwLock::<T>::len_in(), |segment, at| RwLock::new_in(segment, at, value))
    }

    /// A semaphore.
    ///
    /// # Errors
    /// No memory left; more than 2,147,483,647 permits.
    #[doc(alias = "Semaphore")]
    pub fn semaphore(&self, permits: u32) -> Result<Semaphore> {
        self.foreign(Semaphore::len_in(), |segment, at| Semaphore::new_in(segment, at, permits))
    }

    /// A semaphore that never has more permits than it begins with.
    ///
    /// # Errors
    /// As [`semaphore`](Manager::semaphore).
    #[doc(alias = "BoundedSemaphore")]
    pub fn bounded_semaphore(&self, permits: u32) -> Result<Semaphore> {
        self.foreign(Semaphore::len_in(), |segment, at| Semaphore::bounded_in(segment, at, permits))
    }

    /// A condition variable.
    ///
    /// # Errors
    /// No memory left.
    #[doc(alias = "Condition")]
    pub fn condvar(&self) -> Result<Condvar> {
        self.foreign(Condvar::len_in(), Condvar::new_in)
    }

    /// An event.
    ///
    /// # Errors
    /// No memory left.
    #[doc(alias = "Event")]
    pub fn event(&self) -> Result<Event> {
        self.foreign(Event::len_in(), Event::new_in)
    }

    /// A barrier.
    ///
    /// # Errors
    /// No memory left; no party.
    #[doc(alias = "Barrier")]
    pub fn barrier(&self, parties: u32) -> Result<Barrier> {
        self.foreign(Barrier::len_in(), |segment, at| Barrier::new_in(segment, at, parties))
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager").field("names", &self.names().ok()).finish_non_exhaustive()
    }
}
