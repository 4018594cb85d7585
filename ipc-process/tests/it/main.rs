//! The contract of ipc-process, a module a subject.

mod arguments;
mod common;
mod crash;
mod daemons;
mod family;
mod foreign;
mod functions;
mod joining;
mod limits;
mod outcomes;
mod program;
mod reaping;
mod stdio;
