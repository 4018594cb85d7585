//! What concerns all entries of a dictionary.

use std::ops::ControlFlow;

use ipc_core::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Dict;
use crate::layout::DOMAINS;
use crate::map::ALL;
use crate::table::{self, Entry, Part, read_entry};
use crate::transaction::Transaction;

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Dict<K, V> {
    /// All entries as they are at one moment, in no order.
    ///
    /// # Errors
    /// See [`Dict`].
    pub fn items(&self) -> Result<Vec<(K, V)>> {
        self.object.entries()?.iter().map(|(bytes, key)| self.item(bytes, *key)).collect()
    }

    /// Out of the bytes of both; the value begins at `value`.
    fn item(&self, bytes: &[u8], value: usize) -> Result<(K, V)> {
        let (key, value) = bytes.split_at(value);
        Ok((self.object.decode("a key", key)?, self.object.decode("a value", value)?))
    }

    /// All keys as they are at one moment, in no order.
    ///
    /// # Errors
    /// See [`Dict`].
    pub fn keys(&self) -> Result<Vec<K>> {
        self.object
            .entries()?
            .iter()
            .map(|(bytes, key)| self.object.decode("a key", &bytes[..*key]))
            .collect()
    }

    /// All values as they are at one moment, in no order.
    ///
    /// # Errors
    /// See [`Dict`].
    pub fn values(&self) -> Result<Vec<V>> {
        self.object
            .entries()?
            .iter()
            .map(|(bytes, key)| self.object.decode("a value", &bytes[*key..]))
            .collect()
    }

    /// Goes through a copy of all entries as they are at this moment, decoding one after the other.
    ///
    /// # Errors
    /// See [`Dict`].
    #[doc(alias = "__iter__")]
    pub fn iter(&self) -> Result<impl Iterator<Item = Result<(K, V)>> + '_> {
        Ok(self.object.entries()?.into_iter().map(|(bytes, key)| self.item(&bytes, key)))
    }

    /// Inserts all of them, one after the other.
    ///
    /// # Errors
    /// See [`Dict`]; those before it are inserted then.
    #[doc(alias = "update")]
    pub fn extend(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<()> {
        entries.into_iter().try_for_each(|(key, value)| self.insert(key, value).map(drop))
    }

    /// Takes away all entries for which `keep` is false. Each is decided in one step, but not all at once: others may change
    /// some meanwhile. As for [`update`](Dict::update), `keep` cannot change containers.
    ///
    /// # Errors
    /// See [`Dict`]; some may be gone then.
    pub fn retain(&self, mut keep: impl FnMut(&K, &V) -> bool) -> Result<()> {
        for domain in 0..DOMAINS {
            let mut transaction = self.store().begin(1 << domain)?;
            self.object.check_there()?;
            let part = self.object.part(domain);
            let mut gone = Vec::new();
            self.each(&transaction, part, |slot, entry| {
                let bytes = read_entry(self.segment(), entry)?;
                let keeps =
                    transaction.run(|| self.item(&bytes, entry.key).map(|(key, value)| keep(&key, &value)));
                if !keeps?? {
                    gone.push((slot, entry));
                }
                Ok(ControlFlow::Continue(()))
            })?;
            for (slot, entry) in gone {
                transaction.remove(part, domain, slot, entry)?;
                transaction.apply()?;
            }
        }
        Ok(())
    }

    /// Takes an entry away, whichever; `None` if there is none.
    ///
    /// # Errors
    /// See [`Dict`].
    #[doc(alias = "popitem")]
    pub fn pop_item(&self) -> Result<Option<(K, V)>> {
        loop {
            for domain in 0..DOMAINS {
                if self.object.now(self.object.part(domain).at + 8)? == 0 {
                    continue;
                }
                let mut transaction = self.store().begin(1 << domain)?;
                self.object.check_there()?;
                let part = self.object.part(domain);
                let mut first = None;
                self.each(&transaction, part, |slot, entry| {
                    first = Some((slot, entry));
                    Ok(ControlFlow::Break(()))
                })?;
                let Some((slot, entry)) = first else { continue };
                let bytes = read_entry(self.segment(), entry)?;
                transaction.remove(part, domain, slot, entry)?;
                transaction.commit()?;
                return self.item(&bytes, entry.key).map(Some);
            }
            if self.is_empty()? {
                return Ok(None);
            }
        }
    }

    fn each(
        &self,
        transaction: &Transaction<'_>,
        part: Part,
        f: impl FnMut(u64, Entry) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        table::each(self.store(), part, |position| transaction.get(position), f)
    }
}

impl<K, V> Dict<K, V> {
    /// Takes all entries away, at once. It needs no memory.
    ///
    /// # Errors
    /// See [`Dict`]; nothing has changed then.
    pub fn clear(&self) -> Result<()> {
        let mut transaction = self.store().begin(ALL)?;
        self.object.check_there()?;
        self.clear_in(&mut transaction)?;
        transaction.commit()?;
        self.sweep()
    }

    /// Takes the dictionary itself away, and gives its memory back to its [`Manager`](crate::Manager). All other handles
    /// are refused from then on. What is not deleted goes with the manager; so does what lay in this one's values. It
    /// needs no memory.
    ///
    /// # Errors
    /// See [`Dict`]; nothing has changed then.
    pub fn delete(self) -> Result<()> {
        let mut transaction = self.store().begin(ALL)?;
        self.object.check_there()?;
        self.clear_in(&mut transaction)?;
        self.object.delete(&mut transaction)?;
        transaction.commit()?;
        self.sweep()
    }

    fn clear_in(&self, transaction: &mut Transaction<'_>) -> Result<()> {
        (0..DOMAINS).try_for_each(|domain| transaction.clear(self.object.part(domain), domain))
    }

    /// Frees what was there, a part at a time: whoever locks one does.
    fn sweep(&self) -> Result<()> {
        (0..DOMAINS).try_for_each(|domain| self.store().begin(1 << domain).map(drop))
    }
}
