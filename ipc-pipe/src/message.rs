//! A message that is looked at where it lies.

use ipc_queue::Bytes;

/// The bytes of a message, while they are still in the pipe.
///
/// Not a slice, since other processes could write there, although none of this library does.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a>(pub(crate) Place<'a>);

/// Where they are.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    Shared(Bytes<'a>),
    /// They came over a network.
    Own(&'a [u8]),
}

impl Message<'_> {
    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        match &self.0 {
            Place::Shared(bytes) => bytes.len(),
            Place::Own(bytes) => bytes.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies those from `offset` on into the buffer, as many as fit and are there; says how many.
    #[inline]
    pub fn read_at(&self, offset: usize, buffer: &mut [u8]) -> usize {
        match &self.0 {
            Place::Shared(bytes) => bytes.read_at(offset, buffer),
            Place::Own(bytes) => {
                let rest = bytes.get(offset..).unwrap_or_default();
                let len = rest.len().min(buffer.len());
                buffer[..len].copy_from_slice(&rest[..len]);
                len
            }
        }
    }

    /// A copy of them.
    pub fn to_vec(&self) -> Vec<u8> {
        match &self.0 {
            Place::Shared(bytes) => bytes.to_vec(),
            Place::Own(bytes) => bytes.to_vec(),
        }
    }
}
