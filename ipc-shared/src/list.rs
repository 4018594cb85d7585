//! The list.

mod order;
mod vector;

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use ipc_core::{Result, Segment};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::IndexError;
use crate::memory;
use crate::object::{Object, handle};
use crate::stats::Stats;
use crate::store::{Size, Store};
use crate::transaction::Transaction;
use crate::values::Scratch;
pub(crate) use vector::Vector;

/// A list that processes share: any serde type, changed by any number of processes, one at a time.
///
/// A clone, or what another process makes of a serialised handle, is a handle to the same list. As a value in another
/// container of the same [`Manager`](crate::Manager) it is shared, not copied. Elements are copied in and out: to change
/// one, [`set`](List::set) it anew, or [`update`](List::update) it in one step.
///
/// **If a process dies** in an operation, that has happened as a whole or not at all, and everybody else goes on within
/// 100 ms. Who reads takes no lock, unless others change the list all the time.
///
/// To push and to pop costs the same however long the list is; to insert and to remove elsewhere copies 8 bytes for each
/// element.
///
/// ```
/// use ipc_shared::List;
///
/// let list: List<String> = List::new()?;
/// list.extend(["one", "three"].map(String::from))?;
/// list.insert(1, &"two".to_string())?;
/// assert_eq!(list.slice(1..)?, ["two", "three"]);
/// assert_eq!(list.pop()?.as_deref(), Some("three"));
/// # Ok::<(), ipc_core::Error>(())
/// ```
///
/// # Errors
/// Of every operation, beside its own: no memory left, in which case nothing has changed; an element that refuses to be
/// encoded or decoded; memory that was damaged by one who does not keep to the rules; a list that was
/// [deleted](List::delete).
#[doc(alias = "list")]
#[doc(alias = "ListProxy")]
#[doc(alias = "ShareableList")]
pub struct List<T> {
    pub(crate) object: Object,
    marker: PhantomData<fn(T) -> T>,
}

handle!(List<T>);

impl<T> List<T> {
    pub(crate) fn type_name() -> String {
        format!("List<{}>", type_name::<T>())
    }

    pub(crate) fn from_object(object: Object) -> Result<List<T>> {
        Ok(List { object, marker: PhantomData })
    }

    pub(crate) fn create_in(store: &Store) -> Result<List<T>> {
        Object::create_list(store, &Self::type_name()).and_then(List::from_object)
    }

    fn create_with(name: Option<&str>) -> Result<List<T>> {
        Store::create(name, Size::default(), |store| {
            let list = List::create_in(store)?;
            list.object.set_main();
            Ok(list)
        })
    }

    /// A list with memory of its own, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn new() -> Result<List<T>> {
        List::create_with(None)
    }

    /// A list that other programs of the same user can [`open`](List::open). See [`Segment::create`] for the life of a
    /// name.
    ///
    /// # Errors
    /// As [`new`](List::new); the name is taken by a living process, or no name.
    pub fn create(name: &str) -> Result<List<T>> {
        List::create_with(Some(name))
    }

    /// The list of that name.
    ///
    /// # Errors
    /// There is none, or it is another kind of object, or of another type, which is compared by its
    /// [name](std::any::type_name).
    pub fn open(name: &str) -> Result<List<T>> {
        Object::main(&Store::open(name)?, &Self::type_name()).and_then(List::from_object)
    }

    /// The segment that it lies in.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }

    fn store(&self) -> &Store {
        &self.object.store
    }

    /// How many elements there are.
    ///
    /// # Errors
    /// See [`List`].
    pub fn len(&self) -> Result<usize> {
        self.object.read_list(|vector| Ok(vector.len as usize))
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See [`List`].
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// What its memory is used for. All that lies in the same [`Manager`](crate::Manager) counts.
    ///
    /// # Errors
    /// See [`List`].
    pub fn stats(&self) -> Result<Stats> {
        self.store().stats()
    }

    /// Looks at every word of its memory: see [`Dict::check`](crate::Dict::check).
    ///
    /// # Errors
    /// [`Cause::Damaged`](ipc_core::Cause::Damaged), with what is wrong.
    pub fn check(&self) -> Result<()> {
        self.store().check()
    }

    /// Takes all elements away, at once. It needs no memory.
    ///
    /// # Errors
    /// See [`List`]; nothing has changed then.
    pub fn clear(&self) -> Result<()> {
        let (mut transaction, vector) = self.object.lock_list(0)?;
        self.object.clear_list(&mut transaction, vector);
        transaction.apply()?;
        transaction.sweep(self.object.list_domain())
    }

    /// Takes the list itself away, and gives its memory back to its [`Manager`](crate::Manager). All other handles are
    /// refused from then on.
    ///
    /// # Errors
    /// See [`List`]; nothing has changed then.
    pub fn delete(self) -> Result<()> {
        let (mut transaction, vector) = self.object.lock_list(1)?;
        self.object.clear_list(&mut transaction, vector);
        self.object.delete(&mut transaction)?;
        transaction.apply()?;
        transaction.sweep(self.object.list_domain())
    }

    #[cold]
    fn out_of_range(&self, index: usize, vector: Vector) -> ipc_core::Error {
        let error = IndexError { index, len: vector.len as usize };
        self.store().error("change a list of", std::io::Error::other(error).into())
    }

    /// The position of an element.
    fn element(&self, transaction: &Transaction<'_>, vector: Vector, index: usize) -> Result<u64> {
        if index as u64 >= vector.len {
            return Err(self.out_of_range(index, vector));
        }
        transaction.get(vector.slot(index as u64))
    }
}

impl<T: Serialize + DeserializeOwned> List<T> {
    fn encode(&self, value: &T, bytes: &mut Vec<u8>) -> Result<()> {
        self.object.encode("an element", value, bytes)
    }

    fn decode(&self, bytes: &[u8]) -> Result<T> {
        self.object.decode("an element", bytes)
    }

    /// The element whose block is there.
    fn at(&self, transaction: &Transaction<'_>, block: u64, read: &mut Vec<u8>) -> Result<T> {
        self.object.read_element(block, read)?;
        transaction.run(|| self.decode(read))?
    }

    /// The element at that index; `None` if there are not so many.
    ///
    /// # Errors
    /// See [`List`].
    #[doc(alias = "__getitem__")]
    pub fn get(&self, index: usize) -> Result<Option<T>> {
        let mut scratch = Scratch::new();
        let is_there = self.object.read_list(|vector| {
            if index as u64 >= vector.len {
                return Ok(false);
            }
            let block = self.object.now(vector.slot(index as u64))?;
            self.object.read_element(block, &mut scratch.read).map(|()| true)
        })?;
        if is_there { self.decode(&scratch.read).map(Some) } else { Ok(None) }
    }

    /// Changes an element; the old one.
    ///
    /// # Errors
    /// See [`List`]; there are not so many.
    #[doc(alias = "__setitem__")]
    pub fn set(&self, index: usize, value: &T) -> Result<T> {
        let Scratch { encoded, read } = &mut Scratch::new();
        self.encode(value, encoded)?;
        let (mut transaction, vector) = self.object.lock_list(0)?;
        let block = self.element(&transaction, vector, index)?;
        let old = self.at(&transaction, block, read)?;
        self.object.replace(&mut transaction, vector.slot(index as u64), encoded)?;
        transaction.commit()?;
        Ok(old)
    }

    /// Changes an element in one step; what `f` returns. For `f`, all holds that is said at
    /// [`Dict::update`](crate::Dict::update).
    ///
    /// # Errors
    /// See [`List`]; there are not so many.
    pub fn update<R>(&self, index: usize, f: impl FnOnce(&mut T) -> R) -> Result<R> {
        let Scratch { encoded, read } = &mut Scratch::new();
        let (mut transaction, vector) = self.object.lock_list(0)?;
        let block = self.element(&transaction, vector, index)?;
        let mut value = self.at(&transaction, block, read)?;
        let result = transaction.run(|| {
            let result = f(&mut value);
            self.encode(&value, encoded).map(|()| result)
        })??;
        self.object.replace(&mut transaction, vector.slot(index as u64), encoded)?;
        transaction.commit()?;
        Ok(result)
    }

    /// Adds an element at the end.
    ///
    /// # Errors
    /// See [`List`].
    #[doc(alias = "append")]
    pub fn push(&self, value: &T) -> Result<()> {
        let Scratch { encoded, .. } = &mut Scratch::new();
        self.encode(value, encoded)?;
        let (mut transaction, vector) = self.object.lock_list(0)?;
        self.object.push(&mut transaction, vector, encoded)?;
        transaction.commit()
    }

    /// Takes the last element away.
    ///
    /// # Errors
    /// See [`List`].
    pub fn pop(&self) -> Result<Option<T>> {
        let (mut transaction, vector) = self.object.lock_list(0)?;
        if vector.len == 0 {
            return Ok(None);
        }
        let block = transaction.get(vector.slot(vector.len - 1))?;
        let value = self.at(&transaction, block, &mut Scratch::new().read)?;
        self.object.set_len(&mut transaction, vector.len - 1);
        self.object.free_element(&mut transaction, block)?;
        transaction.commit()?;
        Ok(Some(value))
    }

    /// Adds an element before that index.
    ///
    /// # Errors
    /// See [`List`]; an index above the length.
    pub fn insert(&self, index: usize, value: &T) -> Result<()> {
        let Scratch { encoded, .. } = &mut Scratch::new();
        self.encode(value, encoded)?;
        let (mut transaction, vector) = self.object.lock_list(0)?;
        if index as u64 > vector.len {
            return Err(self.out_of_range(index, vector));
        }
        let block = self.object.new_element(&mut transaction, encoded)?;
        let mut positions = self.object.positions(&transaction, vector)?;
        positions.insert(index, block);
        self.object.rebuild(&mut transaction, vector, &positions)?;
        transaction.commit()
    }

    /// Takes the element at that index away. It needs no memory, unless more than 500 others follow.
    ///
    /// # Errors
    /// See [`List`]; there are not so many.
    #[doc(alias = "__delitem__")]
    pub fn remove(&self, index: usize) -> Result<T> {
        let (mut transaction, vector) = self.object.lock_list(0)?;
        let block = self.element(&transaction, vector, index)?;
        let value = self.at(&transaction, block, &mut Scratch::new().read)?;
        self.object.take_out(&mut transaction, vector, index as u64)?;
        self.object.free_element(&mut transaction, block)?;
        transaction.commit()?;
        Ok(value)
    }

    /// Adds all of them at the end, at once.
    ///
    /// # Errors
    /// See [`List`]; nothing has changed then.
    #[doc(alias = "__iadd__")]
    pub fn extend(&self, values: impl IntoIterator<Item = T>) -> Result<()> {
        let mut encoded = Vec::new();
        for value in values {
            let mut bytes = Vec::new();
            self.encode(&value, &mut bytes)?;
            encoded.push(bytes);
        }
        let (mut transaction, vector) = self.object.lock_list(0)?;
        let mut positions = self.object.positions(&transaction, vector)?;
        for bytes in &encoded {
            positions.push(self.object.new_element(&mut transaction, bytes)?);
        }
        self.object.rebuild(&mut transaction, vector, &positions)?;
        transaction.commit()
    }

    /// A copy of the elements in that range, as they are at one moment; those of it that are there.
    ///
    /// # Errors
    /// See [`List`].
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>> {
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => usize::MAX,
        };
        let elements = self.object.read_list(|vector| {
            let range = start as u64..(end as u64).min(vector.len);
            range
                .map(|index| {
                    let block = self.object.now(vector.slot(index))?;
                    let mut bytes = Vec::new();
                    self.object.read_element(block, &mut bytes).map(|()| bytes)
                })
                .collect::<Result<Vec<_>>>()
        })?;
        elements.iter().map(|bytes| self.decode(bytes)).collect()
    }

    /// A copy of all elements, as they are at one moment.
    ///
    /// # Errors
    /// See [`List`].
    pub fn to_vec(&self) -> Result<Vec<T>> {
        self.slice(..)
    }

    /// Goes through a copy of all elements as they are at this moment.
    ///
    /// # Errors
    /// See [`List`].
    #[doc(alias = "__iter__")]
    pub fn iter(&self) -> Result<std::vec::IntoIter<T>> {
        self.to_vec().map(Vec::into_iter)
    }

    /// The index of the first element that is equal; elements are compared by their bytes.
    ///
    /// # Errors
    /// See [`List`].
    #[doc(alias = "index")]
    pub fn index_of(&self, value: &T) -> Result<Option<usize>> {
        let mut wanted = Vec::new();
        self.encode(value, &mut wanted)?;
        self.object.read_list(|vector| {
            for index in 0..vector.len {
                let block = self.object.now(vector.slot(index))?;
                let len = self.object.element_len(block)?;
                if len == wanted.len() && memory::equals(self.segment(), block + 8, &wanted)? {
                    return Ok(Some(index as usize));
                }
            }
            Ok(None)
        })
    }
}

impl<T> fmt::Debug for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("List").field("len", &self.len().ok()).finish_non_exhaustive()
    }
}
