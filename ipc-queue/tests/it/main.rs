//! The contract of ipc-queue, a module a subject. Every test is named after the property that it proves.

mod any;
mod bytes;
mod crash;
mod help;
mod hostile;
mod joinable;
mod kills;
mod memory;
mod model;
mod raw;
mod roles;
mod verbs;
