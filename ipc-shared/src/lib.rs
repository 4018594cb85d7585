#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod arena;
mod array;
mod check;
mod dict;
mod error;
mod heap;
mod layout;
mod list;
mod manager;
mod map;
mod memory;
mod namespace;
mod object;
mod plain;
mod stats;
mod store;
mod table;
mod transaction;
mod trash;
mod value;
mod values;

pub use array::{Array, ArrayGuard, OwnerDied};
pub use dict::Dict;
pub use error::IndexError;
pub use ipc_core::{Cause, Error};
pub use ipc_lock::{Shareable, shareable};
pub use list::List;
pub use manager::{Managed, Manager};
pub use namespace::Namespace;
pub use stats::Stats;
pub use value::{Value, ValueGuard};
