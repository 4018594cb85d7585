//! ipc-pipe: beside a pair of sockets, and what other crates and Python have for the same.

use std::time::Duration;

use crate::case::{Case, Goal, Unit};
use crate::cpus::Cpus;
use crate::pingpong::{ByPipe, ByRecord, BySocket, BySpin};
use crate::{pipes, python, stream};

const COUNT: u64 = 2_000_000;
const MIB: usize = 1 << 20;
const LARGE: u64 = 1000;
const SOCKETPAIR: &str = "socketpair";

fn bytes() -> Duration {
    pipes::bytes(Cpus::Any, 64, COUNT)
}

fn messages() -> Duration {
    pipes::messages(COUNT)
}

/// So many messages take too long with sockets.
fn datagrams() -> Duration {
    stream::datagrams(Cpus::Any, COUNT / 20).mul_f64(20.0)
}

pub(crate) fn cases() -> Vec<Case> {
    let stream = |id, peer, goal, ours, theirs| Case::stream(id, peer, COUNT, goal, ours, theirs);
    let (least, most) = (Goal::RatioAtLeast, Goal::RatioAtMost);
    let gigabytes = Unit::GigabytesPerSecond(MIB * LARGE as usize);
    let mut cases = vec![
        stream("pipe/64B", SOCKETPAIR, least(10.0), bytes, datagrams),
        stream(
            "pipe/64B-pinned",
            SOCKETPAIR,
            Goal::None,
            || pipes::bytes(Cpus::Two, 64, COUNT),
            || stream::datagrams(Cpus::Two, COUNT / 20).mul_f64(20.0),
        ),
        stream("pipe/typed-socketpair", SOCKETPAIR, Goal::None, messages, datagrams),
        Case::new(
            "pipe/1MiB",
            SOCKETPAIR,
            gigabytes,
            least(4.0),
            10,
            || pipes::bytes(Cpus::Any, MIB, LARGE),
            || pipes::sockets(MIB, LARGE / 5).mul_f64(5.0),
        ),
        Case::round_trips::<ByPipe, BySpin>("pipe/round-trip-running", "cache-line", Cpus::Two, most(3.0)),
        Case::round_trips::<ByPipe, ByRecord>(
            "pipe/round-trip-running-record",
            "bare-record",
            Cpus::Two,
            Goal::None,
        ),
        Case::round_trips::<ByPipe, BySocket>("pipe/round-trip-asleep", SOCKETPAIR, Cpus::Any, most(1.0)),
        Case::latency::<ByPipe, BySpin>("pipe/latency-running", "cache-line", Cpus::Two, false),
        Case::latency::<ByPipe, BySocket>("pipe/round-trip-woken", SOCKETPAIR, Cpus::Any, true)
            .goal(most(1.0)),
        Case::alone("pipe/eof-after-kill", Unit::Millis, Goal::AtMost(1.0), 1000, pipes::end_after_kill)
            .with_percentiles(),
    ];
    if python::is_there() {
        cases.push(stream("pipe/64B-python", "multiprocessing.Pipe", least(50.0), bytes, || {
            python::run("pipe", COUNT / 100).mul_f64(100.0)
        }));
    }
    cases.extend(peers());
    cases
}

#[cfg(not(feature = "peers"))]
fn peers() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "peers")]
fn peers() -> Vec<Case> {
    use crate::peers;

    let stream =
        |id, ours, theirs| Case::stream(id, "ipc-channel", COUNT, Goal::RatioAtLeast(20.0), ours, theirs);
    vec![
        stream("pipe/64B-ipc-channel", bytes, || peers::ipc_channel_bytes(COUNT / 20).mul_f64(20.0)),
        stream("pipe/typed", messages, || peers::ipc_channel(COUNT / 20).mul_f64(20.0)),
    ]
}
