//! The contract of ipc-lock, a module a type. Every test is named after the property that it proves.

mod barrier;
mod condvar;
mod crash;
mod event;
mod help;
mod hostile;
mod kills;
mod mutex;
mod names;
mod reentrant;
mod rwlock;
mod semaphore;
mod shareable;
