//! The contract of ipc-pool, a module a subject. Every test is named after the property that it proves.

mod apply;
mod deaths;
mod help;
mod maps;
