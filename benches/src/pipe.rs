//! ipc-pipe: beside a pair of sockets, and what other crates and Python have for the same.

use std::time::Duration;

use crate::case::{Case, Goal, Unit};
use crate::contest::{ByPipe, BySocket, BySpin, Cpus, ping_pong, ping_pong_seldom};
use crate::{pipes, stream};

const COUNT: u64 = 2_000_000;
const ROUNDS: u32 = 20_000;
const MIB: usize = 1 << 20;
const LARGE: u64 = 1000;

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        one_way("pipe/64B", "socketpair", Goal::RatioAtLeast(10.0), || {
            stream::datagrams(COUNT / 20).mul_f64(20.0)
        }),
        typed("pipe/typed-socketpair", "socketpair", Goal::None, || {
            stream::datagrams(COUNT / 20).mul_f64(20.0)
        }),
        Case {
            id: "pipe/1MiB",
            peer: "socketpair",
            unit: Unit::GigabytesPerSecond(MIB * LARGE as usize),
            goal: Goal::RatioAtLeast(4.0),
            rounds: 10,
            ours: Box::new(|| pipes::bytes(MIB, LARGE)),
            theirs: Box::new(|| pipes::sockets(MIB, LARGE / 5).mul_f64(5.0)),
        },
        round_trip("pipe/round-trip-running", Cpus::Two, "cache-line", 3.0, || {
            ping_pong::<BySpin>(ROUNDS, Cpus::Two)
        }),
        round_trip("pipe/round-trip-asleep", Cpus::Any, "socketpair", 1.0, || {
            ping_pong::<BySocket>(ROUNDS, Cpus::Any)
        }),
        Case {
            id: "pipe/round-trip-woken",
            peer: "socketpair",
            unit: Unit::Nanos(500),
            goal: Goal::RatioAtMost(1.0),
            rounds: 6,
            ours: Box::new(|| ping_pong_seldom::<ByPipe>(500)),
            theirs: Box::new(|| ping_pong_seldom::<BySocket>(500)),
        },
        Case {
            id: "pipe/eof-after-kill",
            peer: "nothing",
            unit: Unit::Millis,
            goal: Goal::AtMost(1.0),
            rounds: 1000,
            ours: Box::new(pipes::end_after_kill),
            theirs: Box::new(|| Duration::from_nanos(1)),
        },
    ];
    cases.extend(peers());
    cases
}

fn one_way(id: &'static str, peer: &'static str, goal: Goal, theirs: fn() -> Duration) -> Case {
    let ours = Box::new(|| pipes::bytes(64, COUNT));
    Case { id, peer, unit: Unit::MillionsPerSecond(COUNT), goal, rounds: 10, ours, theirs: Box::new(theirs) }
}

fn typed(id: &'static str, peer: &'static str, goal: Goal, theirs: fn() -> Duration) -> Case {
    Case { ours: Box::new(|| pipes::messages(COUNT)), ..one_way(id, peer, goal, theirs) }
}

fn round_trip(id: &'static str, cpus: Cpus, peer: &'static str, most: f64, theirs: fn() -> Duration) -> Case {
    Case {
        id,
        peer,
        unit: Unit::Nanos(u64::from(ROUNDS)),
        goal: Goal::RatioAtMost(most),
        rounds: 20,
        ours: Box::new(move || ping_pong::<ByPipe>(ROUNDS, cpus)),
        theirs: Box::new(theirs),
    }
}

#[cfg(not(feature = "peers"))]
fn peers() -> Vec<Case> {
    Vec::new()
}

#[cfg(feature = "peers")]
fn peers() -> Vec<Case> {
    use crate::peers;

    let mut cases = vec![
        one_way("pipe/64B-ipc-channel", "ipc-channel", Goal::RatioAtLeast(20.0), || {
            peers::ipc_channel_bytes(COUNT / 20).mul_f64(20.0)
        }),
        typed("pipe/typed", "ipc-channel", Goal::RatioAtLeast(20.0), || {
            peers::ipc_channel(COUNT / 20).mul_f64(20.0)
        }),
    ];
    if peers::has_python() {
        cases.push(one_way("pipe/64B-python", "multiprocessing.Pipe", Goal::RatioAtLeast(50.0), || {
            peers::python_pipe(COUNT / 100).mul_f64(100.0)
        }));
    } else {
        println!("SKIP pipe/64B-python: there is no python3");
    }
    cases
}
