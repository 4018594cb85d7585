//! The contract of ipc-pool, a module a subject. Every test is named after the property that it proves.

mod apply;
mod cancelling;
mod damage;
mod deaths;
mod endings;
mod failures;
mod family;
mod handles;
mod help;
mod maps;
mod settings;
mod stops;
mod timeouts;
