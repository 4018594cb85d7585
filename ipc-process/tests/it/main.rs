//! The contract of ipc-process, a module a subject.
mod basics;
