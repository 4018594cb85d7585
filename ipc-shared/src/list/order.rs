//! Other orders of the same elements.

use std::cmp::Ordering;

use ipc_core::Result;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::List;
use crate::values::Scratch;

impl<T: Serialize + DeserializeOwned> List<T> {
    /// Puts the elements in their order, at once.
    ///
    /// # Errors
    /// See [`List`]; nothing has changed then.
    pub fn sort(&self) -> Result<()>
    where
        T: Ord,
    {
        self.sort_by(T::cmp)
    }

    /// Puts the elements in that order, at once; equal ones stay as they are. For `compare`, all holds that is said at
    /// [`Dict::update`](crate::Dict::update).
    ///
    /// # Errors
    /// See [`List`]; nothing has changed then.
    pub fn sort_by(&self, mut compare: impl FnMut(&T, &T) -> Ordering) -> Result<()> {
        self.arrange(|elements| elements.sort_by(|(one, _), (other, _)| compare(one, other)))
    }

    /// Turns the order around.
    ///
    /// # Errors
    /// See [`List`]; nothing has changed then.
    pub fn reverse(&self) -> Result<()> {
        self.arrange(|elements| elements.reverse())
    }

    /// Takes away all elements for which `keep` is false, at once. For `keep`, all holds that is said at
    /// [`Dict::update`](crate::Dict::update).
    ///
    /// # Errors
    /// See [`List`]; nothing has changed then.
    pub fn retain(&self, mut keep: impl FnMut(&T) -> bool) -> Result<()> {
        self.arrange(|elements| elements.retain(|(element, _)| keep(element)))
    }

    /// Puts the elements, with their positions, in another order; those that are left out are gone.
    fn arrange(&self, f: impl FnOnce(&mut Vec<(T, u64)>)) -> Result<()> {
        let (mut transaction, vector) = self.object.lock_list(0)?;
        let before = self.object.positions(&transaction, vector)?;
        let Scratch { read, .. } = &mut Scratch::new();
        let elements = before.iter().map(|&block| Ok((self.at(&transaction, block, read)?, block)));
        let mut elements = elements.collect::<Result<Vec<_>>>()?;
        transaction.run(|| f(&mut elements))?;
        let after: Vec<u64> = elements.into_iter().map(|(_, block)| block).collect();
        if after.len() < before.len() {
            let kept: std::collections::HashSet<u64> = after.iter().copied().collect();
            for block in before.into_iter().filter(|block| !kept.contains(block)) {
                self.object.free_element(&mut transaction, block)?;
            }
        }
        self.object.rebuild(&mut transaction, vector, &after)?;
        transaction.commit()
    }
}
