//! What a container can say besides yes.

use std::fmt;

/// There are not so many elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndexError {
    /// What was asked for.
    pub index: usize,
    /// How many there are.
    pub len: usize,
}

impl fmt::Display for IndexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.len == 1 { "is 1 element" } else { &format!("are {} elements", self.len) };
        write!(f, "index {} is out of range: there {plural}", self.index)
    }
}

impl std::error::Error for IndexError {}
