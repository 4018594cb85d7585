//! The contract of ipc-core, one module per type. Every test is named after the property that it proves.

mod blob;
mod crash;
mod fork;
mod futex;
mod help;
mod name;
mod participant;
mod segment;
mod transfer;
mod watch;
