//! The harness finds what it is made to find, and nothing where there is nothing.

mod blocking;
mod futex;
mod leftovers;
mod meanwhile;
mod mutex;
mod pthread;
mod recovery;
mod torn;
mod waiters;
mod walk;
