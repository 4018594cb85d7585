//! The contract of ipc-shared, a module a subject. Every test is named after the property that it proves.

mod crash;
mod dict;
mod fork;
mod help;
mod hostile;
mod kills;
mod list;
mod manager;
mod plain;
