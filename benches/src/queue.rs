//! ipc-queue: beside the channels of one process, the queues and channels of other crates, and what the machine can do.

use std::time::Duration;

use crate::case::{Case, Goal, Unit};
use crate::contest::{ByFutex, ByQueue, BySpin, Cpus, idle_consumer, ping_pong};
use crate::stream;

const COUNT: u64 = 2_000_000;
const ROUNDS: u32 = 20_000;
const MIB: usize = 1 << 20;
const SOCKETPAIR: &str = "socketpair";

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = vec![
        Case {
            id: "queue/1MiB-in-place",
            peer: "memcpy",
            unit: Unit::GigabytesPerSecond(MIB * 2000),
            goal: Goal::RatioAtLeast(0.8),
            rounds: 10,
            ours: Box::new(|| stream::in_place(MIB, 2000)),
            theirs: Box::new(|| stream::memcpy(MIB, 2000)),
        },
        stream("queue/64B-1x1-socketpair", SOCKETPAIR, Goal::None, || stream::bytes(1, 64, COUNT), datagrams),
        stream("queue/64B-batches-socketpair", SOCKETPAIR, Goal::None, || stream::batches(COUNT), datagrams),
        stream("queue/typed-1x1-socketpair", SOCKETPAIR, Goal::None, || stream::messages(COUNT), datagrams),
        round_trip("queue/round-trip-running", Cpus::Two, "cache-line", 2.5, || {
            ping_pong::<BySpin>(ROUNDS, Cpus::Two)
        }),
        round_trip("queue/round-trip-asleep", Cpus::Any, "futex", 1.5, || {
            ping_pong::<ByFutex>(ROUNDS, Cpus::Any)
        }),
        Case {
            id: "queue/idle",
            peer: "nothing",
            unit: Unit::PercentOf(Duration::from_secs(5)),
            goal: Goal::AtMost(0.1),
            rounds: 3,
            ours: Box::new(|| idle_consumer(Duration::from_secs(5))),
            theirs: Box::new(|| Duration::from_micros(1)),
        },
    ];
    cases.extend(peers());
    cases
}

/// So many items take too long with sockets.
fn datagrams() -> Duration {
    stream::datagrams(COUNT / 20).mul_f64(20.0)
}

fn stream(
    id: &'static str,
    peer: &'static str,
    goal: Goal,
    ours: fn() -> Duration,
    theirs: fn() -> Duration,
) -> Case {
    Case {
        id,
        peer,
        unit: Unit::MillionsPerSecond(COUNT),
        goal,
        rounds: 10,
        ours: Box::new(ours),
        theirs: Box::new(theirs),
    }
}

fn round_trip(id: &'static str, cpus: Cpus, peer: &'static str, most: f64, theirs: fn() -> Duration) -> Case {
    Case {
        id,
        peer,
        unit: Unit::Nanos(u64::from(ROUNDS)),
        goal: Goal::RatioAtMost(most),
        rounds: 20,
        ours: Box::new(move || ping_pong::<ByQueue>(ROUNDS, cpus)),
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

    const CROSSBEAM: &str = "crossbeam-threads";
    let mut cases = vec![
        stream(
            "queue/64B-1x1",
            CROSSBEAM,
            Goal::RatioAtLeast(1.0),
            || stream::bytes(1, 64, COUNT),
            || peers::crossbeam::<64>(1, COUNT),
        ),
        stream(
            "queue/64B-1x1-cloudtoid",
            "cloudtoid",
            Goal::RatioAtLeast(1.2),
            || stream::bytes(1, 64, COUNT),
            || peers::cloudtoid(64, COUNT),
        ),
        stream(
            "queue/64B-2x2",
            CROSSBEAM,
            Goal::RatioAtLeast(1.0),
            || stream::bytes(2, 64, COUNT),
            || peers::crossbeam::<64>(2, COUNT),
        ),
        stream(
            "queue/64B-4x4",
            CROSSBEAM,
            Goal::RatioAtLeast(1.0),
            || stream::bytes(4, 64, COUNT),
            || peers::crossbeam::<64>(4, COUNT),
        ),
        stream(
            "queue/64B-batches",
            "rtrb-threads",
            Goal::RatioAtLeast(0.8),
            || stream::batches(COUNT),
            || peers::rtrb(COUNT),
        ),
        stream(
            "queue/4KiB-1x1",
            CROSSBEAM,
            Goal::RatioAtLeast(1.5),
            || stream::bytes(1, 4096, COUNT / 10).mul_f64(10.0),
            || peers::crossbeam::<4096>(1, COUNT / 10).mul_f64(10.0),
        ),
        stream(
            "queue/typed-1x1",
            "ipc-channel",
            Goal::RatioAtLeast(20.0),
            || stream::messages(COUNT),
            || peers::ipc_channel(COUNT / 20).mul_f64(20.0),
        ),
    ];
    if peers::has_python() {
        cases.push(stream(
            "queue/typed-1x1-python",
            "multiprocessing.Queue",
            Goal::RatioAtLeast(100.0),
            || stream::messages(COUNT),
            || peers::python_queue(COUNT / 100).mul_f64(100.0),
        ));
    } else {
        println!("SKIP queue/typed-1x1-python: there is no python3");
    }
    cases
}
