//! Processes for tests: those of the harness, and fresh ones.

pub(crate) use ipc_crash_test::alone::*;
pub(crate) use ipc_crash_test::fresh::*;
