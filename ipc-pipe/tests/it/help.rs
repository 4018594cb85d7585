//! Processes for tests: those of the harness, and fresh ones.

use ipc_pipe::Stats;

pub(crate) use ipc_crash_test::alone::*;
pub(crate) use ipc_crash_test::fresh::*;

/// Waits until so many sleep in their wait for a message.
pub(crate) fn until_receiving(count: usize, stats: impl Fn() -> Stats) {
    until("they wait for a message", || stats().waiting_to_receive.len() == count);
}

/// Waits until somebody sleeps in a wait for room.
pub(crate) fn until_sending(stats: impl Fn() -> Stats) {
    until("somebody waits for room", || !stats().waiting_to_send.is_empty());
}
