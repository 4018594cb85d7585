//! What came of some items, on its way to who waits for it.

use crate::error::TaskError;
use crate::wire;

/// The results of so many items, or an error for each. Not an iterator of any kind behind a `dyn`: with small items, a call
/// for each, and what it returns through memory, take longer than all else.
pub(crate) struct Outcomes<'a> {
    bytes: &'a [u8],
    items: u32,
    /// Of each of them.
    error: Option<TaskError>,
}

impl<'a> Outcomes<'a> {
    /// Out of bytes that somebody may have spoilt.
    pub(crate) fn read(bytes: &'a [u8], items: u32) -> Outcomes<'a> {
        Outcomes { bytes, items, error: None }
    }

    pub(crate) fn failed(items: u32, error: TaskError) -> Outcomes<'a> {
        Outcomes { bytes: &[], items, error: Some(error) }
    }

    #[cold]
    fn damaged() -> TaskError {
        TaskError::Result("what its worker sent is no result".to_owned())
    }
}

impl<'a> Iterator for Outcomes<'a> {
    type Item = Result<&'a [u8], TaskError>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        self.items = self.items.checked_sub(1)?;
        if let Some(error) = &self.error {
            return Some(Err(error.clone()));
        }
        let Some((item, rest)) = wire::pop(self.bytes) else { return Some(Err(Outcomes::damaged())) };
        self.bytes = rest;
        if item.failed {
            let failure = item.failure();
            return Some(Err(failure.map_or_else(|error| TaskError::Result(error.into()), TaskError::from)));
        }
        Some(Ok(item.bytes))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.items as usize, Some(self.items as usize))
    }
}

impl ExactSizeIterator for Outcomes<'_> {}
