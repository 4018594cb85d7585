//! The dictionary.

mod all;
mod many;

use std::any::type_name;
use std::borrow::Borrow;
use std::fmt;
use std::marker::PhantomData;

use ipc_core::{Result, Segment};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::map::Key;
use crate::object::{Object, handle};
use crate::stats::Stats;
use crate::store::{Size, Store};
use crate::table::{Found, domain_of, read_value};
use crate::transaction::Transaction;
use crate::values::Scratch;

/// A dictionary that processes share: any serde types, changed by any number of processes at once.
///
/// A clone, or what another process makes of a serialised handle, is a handle to the same dictionary. As a value in
/// another container of the same [`Manager`](crate::Manager) it is shared, not copied. Values are copied in and out:
/// to change one, [`insert`](Dict::insert) it anew, or [`update`](Dict::update) it in one step.
///
/// **If a process dies** in an operation, that has happened as a whole or not at all, and everybody else goes on within
/// 100 ms. Who reads takes no lock, unless others change the same part of the dictionary all the time, so a reader that
/// is stopped stops nobody else.
///
/// Two keys are the same if they are encoded to the same bytes, by postcard: `&str` as `String`, slices as `Vec`. A type
/// whose equal values are encoded differently, such as a `HashMap`, is no good key; nor is a float.
///
/// ```
/// use ipc_shared::Dict;
///
/// let stock: Dict<String, u32> = Dict::new()?;
/// stock.insert("apples".to_string(), 3)?;
/// stock.update("apples", |old| old.map(|count| count + 1))?;
/// assert_eq!(stock.get("apples")?, Some(4));
/// # Ok::<(), ipc_core::Error>(())
/// ```
///
/// # Errors
/// Of every operation, beside its own: no memory left, in which case nothing has changed; a key or value that refuses to
/// be encoded or decoded; memory that was damaged by one who does not keep to the rules; a dictionary that was
/// [deleted](Dict::delete).
#[doc(alias = "dict")]
#[doc(alias = "DictProxy")]
pub struct Dict<K, V> {
    pub(crate) object: Object,
    marker: PhantomData<fn(K) -> V>,
}

handle!(Dict<K, V>);

impl<K, V> Dict<K, V> {
    pub(crate) fn type_name() -> String {
        format!("Dict<{}, {}>", type_name::<K>(), type_name::<V>())
    }

    pub(crate) fn from_object(object: Object) -> Result<Dict<K, V>> {
        Ok(Dict { object, marker: PhantomData })
    }

    pub(crate) fn create_in(store: &Store) -> Result<Dict<K, V>> {
        Object::create_map(store, &Self::type_name()).and_then(Dict::from_object)
    }

    fn create_with(name: Option<&str>, size: Size) -> Result<Dict<K, V>> {
        Store::create(name, size, |store| {
            let dict = Dict::create_in(store)?;
            dict.object.set_main();
            Ok(dict)
        })
    }

    /// A dictionary with memory of its own, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn new() -> Result<Dict<K, V>> {
        Dict::create_with(None, Size::default())
    }

    /// As [`new`](Dict::new), but with at most about so many bytes of memory, 256 KiB at least.
    ///
    /// # Errors
    /// As [`new`](Dict::new).
    pub fn with_max_memory(bytes: u64) -> Result<Dict<K, V>> {
        Dict::create_with(None, Size::of(bytes))
    }

    /// A dictionary that other programs of the same user can [`open`](Dict::open). See [`Segment::create`] for the life
    /// of a name.
    ///
    /// # Errors
    /// As [`new`](Dict::new); the name is taken by a living process, or no name.
    pub fn create(name: &str) -> Result<Dict<K, V>> {
        Dict::create_with(Some(name), Size::default())
    }

    /// The dictionary of that name.
    ///
    /// # Errors
    /// There is none, or it is another kind of object, or of another version or other types, which are compared by their
    /// [names](std::any::type_name).
    pub fn open(name: &str) -> Result<Dict<K, V>> {
        let store = Store::open(name)?;
        Object::main(&store, &Self::type_name()).and_then(Dict::from_object)
    }

    /// The segment that it lies in.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.object.store
    }

    /// How many entries there are, at one moment during the call.
    ///
    /// # Errors
    /// See [`Dict`].
    pub fn len(&self) -> Result<usize> {
        self.object.count().map(|count| count as usize)
    }

    /// Whether there are none.
    ///
    /// # Errors
    /// See [`Dict`].
    pub fn is_empty(&self) -> Result<bool> {
        self.len().map(|len| len == 0)
    }

    /// What its memory is used for. All that lies in the same [`Manager`](crate::Manager) counts.
    ///
    /// # Errors
    /// See [`Dict`].
    pub fn stats(&self) -> Result<Stats> {
        self.store().stats()
    }

    /// Looks at every word of its memory, and of all that lies in the same [`Manager`](crate::Manager); nobody can
    /// change anything meanwhile. For tests, and for those who do not trust those whom they share it with.
    ///
    /// # Errors
    /// [`Cause::Damaged`](ipc_core::Cause::Damaged), with what is wrong.
    pub fn check(&self) -> Result<()> {
        self.store().check()
    }
}

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Dict<K, V> {
    /// The key's value.
    ///
    /// # Errors
    /// See [`Dict`].
    pub fn get<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let Scratch { encoded, read } = &mut Scratch::new();
        self.object.encode("a key", key, encoded)?;
        match self.object.get_bytes(Key::new(self.store(), encoded), read)? {
            Some(start) => self.object.decode("a value", &read[start..]).map(Some),
            None => Ok(None),
        }
    }

    /// Whether there is an entry with that key.
    ///
    /// # Errors
    /// See [`Dict`].
    #[doc(alias = "__contains__")]
    pub fn contains_key<Q>(&self, key: &Q) -> Result<bool>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let Scratch { encoded, read } = &mut Scratch::new();
        self.object.encode("a key", key, encoded)?;
        Ok(self.object.get_bytes(Key::new(self.store(), encoded), read)?.is_some())
    }

    /// The value that was found.
    #[inline]
    fn value(&self, transaction: &Transaction<'_>, found: Found, read: &mut Vec<u8>) -> Result<Option<V>> {
        match found {
            Found::Entry(_, entry) => {
                let start = read_value(self.segment(), entry, read)?;
                transaction.run(|| self.object.decode("a value", &read[start..]).map(Some))?
            }
            Found::Free(_) => Ok(None),
        }
    }

    /// Encodes the key, and locks its domain; with what is found there, and the key's hash.
    #[inline]
    fn lock<Q>(&self, key: &Q, encoded: &mut Vec<u8>) -> Result<(Transaction<'_>, Found, u64)>
    where
        Q: Serialize + ?Sized,
    {
        self.object.encode("a key", key, encoded)?;
        let key = Key::new(self.store(), encoded);
        let transaction = self.object.lock_key(key)?;
        let found = self.object.find_in(&transaction, key)?;
        Ok((transaction, found, key.hash))
    }

    /// Writes the value, which is encoded behind the key, or takes the entry away.
    #[inline]
    fn store_value(
        &self,
        transaction: &mut Transaction<'_>,
        found: Found,
        hash: u64,
        encoded: &mut Vec<u8>,
        value: Option<&V>,
    ) -> Result<()> {
        let (domain, key) = (domain_of(hash), encoded.len());
        let part = self.object.part(domain);
        match (value, found) {
            (Some(value), _) => {
                // It may be anybody's code, and takes as long as it takes.
                transaction.run(|| self.object.encode("a value", value, encoded))??;
                transaction.put(part, domain, hash, (encoded, key), found)
            }
            (None, Found::Entry(slot, old)) => transaction.remove(part, domain, slot, old),
            (None, Found::Free(_)) => Ok(()),
        }
    }

    /// Gives the key that value; the old one, if there was one.
    ///
    /// # Errors
    /// See [`Dict`]; the old value stays then.
    #[doc(alias = "__setitem__")]
    pub fn insert(&self, key: K, value: V) -> Result<Option<V>> {
        let Scratch { encoded, read } = &mut Scratch::new();
        self.object.encode("a key", &key, encoded)?;
        let len = encoded.len();
        self.object.encode("a value", &value, encoded)?;
        let key = Key::new(self.store(), &encoded[..len]);
        let domain = key.domain();
        let mut transaction = self.object.lock_key(key)?;
        let found = self.object.find_in(&transaction, key)?;
        let old = match found {
            Found::Entry(_, entry) => Some(read_value(self.segment(), entry, read)?),
            Found::Free(_) => None,
        };
        transaction.put(self.object.part(domain), domain, key.hash, (encoded, len), found)?;
        transaction.commit()?;
        // Only now, so that nobody waits for it.
        match old {
            Some(start) => self.object.decode("a value", &read[start..]).map(Some),
            None => Ok(None),
        }
    }

    /// Takes the entry away; its value, if there was one.
    ///
    /// # Errors
    /// See [`Dict`].
    #[doc(alias = "pop")]
    #[doc(alias = "__delitem__")]
    pub fn remove<Q>(&self, key: &Q) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let Scratch { encoded, read } = &mut Scratch::new();
        let (mut transaction, found, hash) = self.lock(key, encoded)?;
        let old = self.value(&transaction, found, read)?;
        self.store_value(&mut transaction, found, hash, encoded, None)?;
        transaction.commit()?;
        Ok(old)
    }

    /// Changes one entry in one step: `f` gets the value, or `None` if there is no such entry, and returns the new one, or
    /// `None` to have no such entry. Returns the new value. Nobody else changes the entry meanwhile.
    ///
    /// While `f` runs, others who change this part of the dictionary wait, so it should be short. It can read from
    /// containers, but not change them: that is an error. If it panics, the old value stays, and nobody waits for ever.
    ///
    /// # Errors
    /// See [`Dict`]; the old value stays then.
    #[doc(alias = "setdefault")]
    pub fn update<Q>(&self, key: &Q, f: impl FnOnce(Option<V>) -> Option<V>) -> Result<Option<V>>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let Scratch { encoded, read } = &mut Scratch::new();
        let (mut transaction, found, hash) = self.lock(key, encoded)?;
        let old = self.value(&transaction, found, read)?;
        let new = transaction.run(|| f(old))?;
        self.store_value(&mut transaction, found, hash, encoded, new.as_ref())?;
        transaction.commit()?;
        Ok(new)
    }

    /// The key's value; if there is none, it gets what `f` returns. One step, as [`update`](Dict::update).
    ///
    /// # Errors
    /// See [`Dict`].
    #[doc(alias = "setdefault")]
    pub fn get_or_insert_with(&self, key: K, f: impl FnOnce() -> V) -> Result<V> {
        if let Some(value) = self.get(&key)? {
            return Ok(value);
        }
        let Scratch { encoded, read } = &mut Scratch::new();
        let (mut transaction, found, hash) = self.lock(&key, encoded)?;
        if let Some(value) = self.value(&transaction, found, read)? {
            return Ok(value);
        }
        let value = transaction.run(f)?;
        self.store_value(&mut transaction, found, hash, encoded, Some(&value))?;
        transaction.commit()?;
        Ok(value)
    }

    /// If the key's value is `expected` (`None`: if there is no such entry), it becomes `new` (`None`: the entry is taken
    /// away). Whether it was; values are compared by their bytes.
    ///
    /// # Errors
    /// See [`Dict`].
    #[doc(alias = "compare_exchange")]
    pub fn compare_and_swap<Q>(&self, key: &Q, expected: Option<&V>, new: Option<V>) -> Result<bool>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let mut wanted = Vec::new();
        expected.map(|value| self.object.encode("a value", value, &mut wanted)).transpose()?;
        let Scratch { encoded, read } = &mut Scratch::new();
        let (mut transaction, found, hash) = self.lock(key, encoded)?;
        let is_as_expected = match found {
            Found::Entry(_, old) => {
                let start = read_value(self.segment(), old, read)?;
                expected.is_some() && read[start..] == *wanted
            }
            Found::Free(_) => expected.is_none(),
        };
        if is_as_expected {
            self.store_value(&mut transaction, found, hash, encoded, new.as_ref())?;
            transaction.commit()?;
        }
        Ok(is_as_expected)
    }
}

impl<K, V> fmt::Debug for Dict<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dict").field("len", &self.len().ok()).finish_non_exhaustive()
    }
}
