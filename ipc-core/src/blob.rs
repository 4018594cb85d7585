//! Bytes that are written once and then shared without copying.

use std::fmt;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use memmap2::Mmap;
use serde_core::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Cause, Error, Result, os};
use crate::{mapping, sys, transfer};

/// Bytes of any size that any number of processes read in place.
///
/// They are copied once, into memory of their own, which the kernel then seals: nobody can change it any more,
/// so it is an ordinary `&[u8]` to everybody who has it. A clone costs nothing; sending one to another process,
/// inside arguments or a message, costs a descriptor, whatever its size. The memory is given back when the last
/// process has dropped it, exited or been killed.
///
/// This is the way for large data: serde encodes a `Vec<u8>` byte by byte.
///
/// ```
/// let picture = ipc_core::Blob::new(&[7; 1 << 20])?;
/// assert_eq!(picture.len(), 1 << 20);
/// assert_eq!(picture[5], 7);
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[derive(Clone)]
#[doc(alias = "SharedMemory")]
pub struct Blob(Arc<Inner>);

struct Inner {
    map: Mmap,
    fd: Arc<OwnedFd>,
}

impl Blob {
    /// Copies the bytes into shared memory.
    ///
    /// # Errors
    /// No memory left (with both sizes), [`Cause::FileLimit`], no descriptor left.
    pub fn new(bytes: &[u8]) -> Result<Blob> {
        let fail = |cause: Cause| Error::new("create", format!("blob of {} bytes", bytes.len()), cause);
        mapping::check_size(0, bytes.len() as u64).map_err(fail)?;
        let fd = sys::memfd("ipc-blob").map_err(|errno| fail(os(errno)))?;
        sys::write_all(fd.as_fd(), bytes).map_err(|errno| fail(os(errno)))?;
        sys::seal_contents(fd.as_fd()).map_err(|errno| fail(os(errno)))?;
        Blob::open(Arc::new(fd))
    }

    pub(crate) fn open(fd: Arc<OwnedFd>) -> Result<Blob> {
        let fail = |cause: Cause| Error::new("open", "blob", cause);
        let map = sys::map_frozen(fd.as_fd()).map_err(|error| fail(error.into()))?;
        let map = map.ok_or_else(|| fail(Cause::NotSealed))?;
        Ok(Blob(Arc::new(Inner { map, fd })))
    }
}

impl Deref for Blob {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0.map
    }
}

impl AsRef<[u8]> for Blob {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsFd for Blob {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.fd.as_fd()
    }
}

impl PartialEq for Blob {
    fn eq(&self, other: &Blob) -> bool {
        **self == **other
    }
}

impl Eq for Blob {}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Blob({} bytes)", self.len())
    }
}

impl Serialize for Blob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        transfer::share(&self.0.fd, serializer)
    }
}

impl<'de> Deserialize<'de> for Blob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Blob, D::Error> {
        Blob::open(transfer::shared(deserializer)?).map_err(serde_core::de::Error::custom)
    }
}
