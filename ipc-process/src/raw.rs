//! For crates that run functions in children by themselves: how a function travels, and what is known of its panic.
//!
//! A child runs the same file as its parent, which is checked when it starts, so that an offset in the program means the
//! same function in both.

pub use crate::entry::panic_of;
pub use crate::function::conjure;
pub use crate::sys::{code_address, code_offset, signal_name};
