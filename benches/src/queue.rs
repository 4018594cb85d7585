//! ipc-queue: beside the channels of one process, the queues and channels of other crates, and what the machine can do.

use std::time::Duration;

use crate::case::{Case, Goal, Unit};
use crate::cpus::Cpus;
use crate::pingpong::{ByFutex, ByQueue, ByRecord, BySpin};
use crate::{python, stream};

const COUNT: u64 = 2_000_000;
const MIB: usize = 1 << 20;
const SOCKETPAIR: &str = "socketpair";

fn bytes<const SIDES: u64>() -> Duration {
    stream::bytes(Cpus::Any, SIDES, 64, COUNT)
}

fn pinned() -> Duration {
    stream::bytes(Cpus::Two, 1, 64, COUNT)
}

fn one_cpu() -> Duration {
    stream::bytes(Cpus::One, 1, 64, COUNT)
}

fn messages() -> Duration {
    stream::messages(COUNT)
}

fn batches() -> Duration {
    stream::batches(COUNT)
}

fn in_place() -> Duration {
    stream::in_place(MIB, 2000)
}

/// So many items take too long with sockets.
fn datagrams() -> Duration {
    stream::datagrams(Cpus::Any, COUNT / 20).mul_f64(20.0)
}

pub(crate) fn cases(quick: bool) -> Vec<Case> {
    let stream = |id, peer, goal, ours, theirs| Case::stream(id, peer, COUNT, goal, ours, theirs);
    let (least, most) = (Goal::RatioAtLeast, Goal::RatioAtMost);
    let gigabytes = Unit::GigabytesPerSecond(MIB * 2000);
    let idle = Duration::from_secs(if quick { 2 } else { 5 });
    let mut cases = vec![
        Case::new("queue/1MiB-in-place", "memcpy", gigabytes, least(0.8), 10, in_place, || {
            stream::memcpy(MIB, 2000)
        }),
        stream("queue/64B-1x1-socketpair", SOCKETPAIR, Goal::None, bytes::<1>, datagrams),
        stream("queue/64B-1x1-socketpair-pinned", SOCKETPAIR, Goal::None, pinned, || {
            stream::datagrams(Cpus::Two, COUNT / 20).mul_f64(20.0)
        }),
        stream("queue/64B-1x1-one-cpu", SOCKETPAIR, Goal::None, one_cpu, || {
            stream::datagrams(Cpus::One, COUNT / 20).mul_f64(20.0)
        }),
        stream("queue/64B-batches-socketpair", SOCKETPAIR, Goal::None, batches, datagrams),
        stream("queue/typed-1x1-socketpair", SOCKETPAIR, Goal::None, messages, datagrams),
        Case::round_trips::<ByQueue, BySpin>("queue/round-trip-running", "cache-line", Cpus::Two, most(2.5)),
        Case::round_trips::<ByQueue, ByRecord>(
            "queue/round-trip-running-record",
            "bare-record",
            Cpus::Two,
            Goal::None,
        ),
        Case::round_trips::<ByQueue, ByFutex>("queue/round-trip-asleep", "futex", Cpus::Any, most(1.5)),
        Case::latency::<ByQueue, BySpin>("queue/latency-running", "cache-line", Cpus::Two, false),
        Case::latency::<ByQueue, ByFutex>("queue/latency-woken", "futex", Cpus::Any, true),
        Case::new(
            "queue/idle",
            "bare-sleeps",
            Unit::PercentOf(idle),
            Goal::AtMost(0.1),
            3,
            move || stream::idle_consumer(idle),
            move || stream::sleeper(idle),
        ),
    ];
    if python::is_there() {
        cases.push(stream("queue/typed-1x1-python", "multiprocessing.Queue", least(100.0), messages, || {
            python::run("queue", COUNT / 100).mul_f64(100.0)
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

    const CROSSBEAM: &str = "crossbeam-threads";
    let stream = |id, peer, goal, ours, theirs| Case::stream(id, peer, COUNT, goal, ours, theirs);
    let least = Goal::RatioAtLeast;
    let gigabytes = Unit::GigabytesPerSecond(MIB * 2000);
    vec![
        stream("queue/64B-1x1", CROSSBEAM, least(1.0), bytes::<1>, || {
            peers::crossbeam::<64>(Cpus::Any, 1, COUNT)
        }),
        stream("queue/64B-1x1-pinned", CROSSBEAM, Goal::None, pinned, || {
            peers::crossbeam::<64>(Cpus::Two, 1, COUNT)
        }),
        stream("queue/64B-1x1-cloudtoid", "cloudtoid", least(1.2), bytes::<1>, || {
            peers::cloudtoid(Cpus::Any, 64, COUNT)
        }),
        stream("queue/64B-1x1-cloudtoid-pinned", "cloudtoid", Goal::None, pinned, || {
            peers::cloudtoid(Cpus::Two, 64, COUNT)
        }),
        stream("queue/64B-1x1-iceoryx2", "iceoryx2", Goal::None, bytes::<1>, || {
            peers::iceoryx(64, COUNT / 10).mul_f64(10.0)
        }),
        stream("queue/64B-1x1-ipmpsc", "ipmpsc", Goal::None, bytes::<1>, || {
            peers::ipmpsc(COUNT / 100).mul_f64(100.0)
        }),
        stream("queue/64B-2x2", CROSSBEAM, least(1.0), bytes::<2>, || {
            peers::crossbeam::<64>(Cpus::Any, 2, COUNT)
        }),
        stream("queue/64B-4x4", CROSSBEAM, least(1.0), bytes::<4>, || {
            peers::crossbeam::<64>(Cpus::Any, 4, COUNT)
        }),
        stream("queue/64B-batches", "rtrb-threads", least(0.8), batches, || peers::rtrb(COUNT)),
        stream(
            "queue/4KiB-1x1",
            CROSSBEAM,
            least(1.5),
            || stream::bytes(Cpus::Any, 1, 4096, COUNT / 10).mul_f64(10.0),
            || peers::crossbeam::<4096>(Cpus::Any, 1, COUNT / 10).mul_f64(10.0),
        ),
        stream("queue/typed-1x1", "ipc-channel", least(20.0), messages, || {
            peers::ipc_channel(COUNT / 20).mul_f64(20.0)
        }),
        Case::new("queue/1MiB-in-place-iceoryx2", "iceoryx2", gigabytes, Goal::None, 10, in_place, || {
            peers::iceoryx(MIB, 2000)
        }),
    ]
}
