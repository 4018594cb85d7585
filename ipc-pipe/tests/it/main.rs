//! The contract of ipc-pipe, a module a subject. Every test is named after the property that it proves.

mod bytes;
mod crash;
mod ends;
mod handles;
mod help;
mod hostile;
mod kills;
mod net;
mod readiness;
mod sharing;
mod verbs;
