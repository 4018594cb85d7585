#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod arena;
mod check;
mod dict;
mod heap;
mod layout;
mod map;
mod memory;
mod object;
mod stats;
mod store;
mod table;
mod transaction;

pub use dict::Dict;
pub use stats::Stats;
