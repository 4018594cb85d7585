//! Several entries changed in one step.

use std::borrow::Borrow;

use ipc_core::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Dict;
use crate::map::Key;
use crate::table::domain_of;

impl<K: Serialize + DeserializeOwned, V: Serialize + DeserializeOwned> Dict<K, V> {
    /// Changes several entries in one step: `f` gets the values of the keys in their order, `None` where there is no entry,
    /// and leaves there what they are to be. Nobody sees some of them changed and others not. Returns what `f` returns.
    ///
    /// For `f`, all holds that is said at [`update`](Dict::update).
    ///
    /// ```
    /// # use ipc_shared::Dict;
    /// let accounts: Dict<String, i64> = Dict::new()?;
    /// accounts.extend([("ann".to_string(), 100), ("bob".to_string(), 0)])?;
    /// accounts.update_many(&["ann", "bob"], |balances| {
    ///     let [Some(from), Some(to)] = balances else { return };
    ///     *from -= 30;
    ///     *to += 30;
    /// })?;
    /// assert_eq!(accounts.get("bob")?, Some(30));
    /// # Ok::<(), ipc_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// See [`Dict`]; a key that is named twice. Nothing has changed then.
    pub fn update_many<Q, R>(&self, keys: &[&Q], f: impl FnOnce(&mut [Option<V>]) -> R) -> Result<R>
    where
        K: Borrow<Q>,
        Q: Serialize + ?Sized,
    {
        let mut encoded = Vec::with_capacity(keys.len());
        for key in keys {
            let mut bytes = Vec::new();
            self.object.encode("a key", key, &mut bytes)?;
            encoded.push((self.store().hash(&bytes), bytes));
        }
        let mut sorted: Vec<&[u8]> = encoded.iter().map(|(_, bytes)| bytes.as_slice()).collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            let why = std::io::Error::new(std::io::ErrorKind::InvalidInput, "a key is named twice");
            return Err(self.store().error("update entries of", why.into()));
        }
        let domains = encoded.iter().fold(0, |all, (hash, _)| all | 1 << domain_of(*hash));
        let mut transaction = self.store().begin(domains)?;
        let mut read = Vec::new();
        let mut values = Vec::with_capacity(keys.len());
        for (hash, bytes) in &encoded {
            let found = self.object.find_in(&transaction, Key { bytes, hash: *hash })?;
            values.push(self.value(&transaction, found, &mut read)?);
        }
        let result = transaction.run(|| f(&mut values))?;
        for ((hash, bytes), value) in encoded.iter_mut().zip(&values) {
            let found = self.object.find_in(&transaction, Key { bytes, hash: *hash })?;
            self.store_value(&mut transaction, found, *hash, bytes, value.as_ref())?;
        }
        transaction.commit()?;
        Ok(result)
    }
}
