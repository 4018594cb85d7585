//! ipc-lock: beside the C library's process-shared locks, bare futexes, and the locks that stay in one process.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use ipc_lock::{Event, Semaphore};

use crate::case::{Case, Goal, Unit, once};
use crate::counter::{
    Counter, Ours, ParkingLot, Std, contended, contended_by_threads, idle, is_set, load, recovery, sem_t,
    semaphore, uncontended,
};
use crate::cpus::Cpus;
use crate::pingpong::{ByCondvar, ByEvent, ByFutex, PingPong, ping_pong};
use crate::raw::{RobustMutex, Sem};

const ROBUST: &str = "pthread-robust";
const PARKING_LOT: &str = "parking_lot-in-process";
const STD: &str = "std-in-process";

/// How many operations are timed at once where one is too short.
const COUNT: u64 = 1_000_000;

/// Rounds of two wake-ups.
const WAKES: u32 = 2_000;

pub(crate) fn cases(quick: bool) -> Vec<Case> {
    let window = Duration::from_millis(if quick { 50 } else { 200 });
    let mut cases = vec![
        alone::<RobustMutex>("lock/uncontended", ROBUST, Goal::RatioAtMost(0.6)),
        alone::<ParkingLot>("lock/uncontended-parking_lot", PARKING_LOT, Goal::None),
        alone::<Std>("lock/uncontended-std", STD, Goal::None),
        against_processes("lock/contended-2", 2, window, Goal::RatioAtLeast(1.5)),
        against_threads::<ParkingLot>("lock/contended-2-parking_lot", PARKING_LOT, 2, window),
        against_threads::<Std>("lock/contended-2-std", STD, 2, window),
        against_processes("lock/contended-4", 4, window, Goal::RatioAtLeast(1.0)),
        against_threads::<ParkingLot>("lock/contended-4-parking_lot", PARKING_LOT, 4, window),
        against_threads::<Std>("lock/contended-4-std", STD, 4, window),
        after_a_kill("lock/recovery-1", 1, 100),
        // The phase in which a waiter looks after the owner most seldom.
        after_a_kill("lock/recovery-7", 7, 100),
        after_a_kill("lock/recovery-20", 20, 100),
        after_a_kill("lock/recovery-200", 200, 50),
        after_a_kill("lock/recovery-1000", 1000, 20),
        waiting("lock/idle", Duration::from_secs(if quick { 2 } else { 5 })),
    ];
    let of_a_million = Unit::Nanos(COUNT);
    cases.push(Case::prepared(
        "sem/acquire-release",
        "sem_t",
        of_a_million,
        Goal::RatioAtMost(2.0),
        50,
        || {
            let (ours, theirs) = (Semaphore::new(3).expect("there is memory"), Sem::new(3));
            [once(move || semaphore(&ours, COUNT)), once(move || sem_t(&theirs, COUNT))]
        },
    ));
    cases.push(Case::prepared("event/is-set", "load", of_a_million, Goal::RatioAtMost(2.0), 50, || {
        let (ours, theirs) = (Event::new().expect("there is memory"), AtomicU32::new(0));
        [once(move || is_set(&ours, COUNT)), once(move || load(&theirs, COUNT))]
    }));
    for (cpus, event, condvar) in
        [(Cpus::Any, "event/wake", "condvar/wake"), (Cpus::Two, "event/wake-2-cpus", "condvar/wake-2-cpus")]
    {
        cases.push(wake::<ByEvent>(event, cpus));
        cases.push(wake::<ByCondvar>(condvar, cpus));
    }
    cases
}

fn alone<C: Counter>(id: &'static str, peer: &'static str, goal: Goal) -> Case {
    Case::prepared(id, peer, Unit::Nanos(COUNT), goal, 50, || {
        let (ours, theirs) = (Ours::new(), C::new());
        [once(move || uncontended(&ours, COUNT)), once(move || uncontended(&theirs, COUNT))]
    })
}

fn against_processes(id: &'static str, processes: u32, window: Duration, goal: Goal) -> Case {
    let ours = move || contended::<Ours>(processes, window, COUNT);
    let theirs = move || contended::<RobustMutex>(processes, window, COUNT);
    Case::new(id, ROBUST, Unit::MillionsPerSecond(COUNT), goal, 20, ours, theirs)
}

/// Ours in processes beside theirs in threads.
fn against_threads<C: Counter>(id: &'static str, peer: &'static str, number: u32, window: Duration) -> Case {
    let ours = move || contended::<Ours>(number, window, COUNT);
    let theirs = move || contended_by_threads::<C>(number as usize, window, COUNT);
    Case::new(id, peer, Unit::MillionsPerSecond(COUNT), Goal::None, 10, ours, theirs)
}

fn after_a_kill(id: &'static str, asleep: u64, rounds: usize) -> Case {
    let asleep = Duration::from_millis(asleep);
    let ours = move || recovery::<Ours>(asleep);
    let theirs = move || recovery::<RobustMutex>(asleep);
    let goal = Goal::MedianAndMaxAtMost(5.0, 100.0);
    Case::new(id, ROBUST, Unit::Millis, goal, rounds, ours, theirs).with_percentiles()
}

fn wake<P: PingPong>(id: &'static str, cpus: Cpus) -> Case {
    let ours = move || ping_pong::<P>(WAKES, cpus);
    let theirs = move || ping_pong::<ByFutex>(WAKES, cpus);
    Case::new(id, "futex", Unit::Nanos(u64::from(2 * WAKES)), Goal::RatioAtMost(1.3), 50, ours, theirs)
}

fn waiting(id: &'static str, time: Duration) -> Case {
    let (ours, theirs) = (move || idle::<Ours>(time), move || idle::<RobustMutex>(time));
    Case::new(id, ROBUST, Unit::PercentOf(time), Goal::AtMost(0.1), 3, ours, theirs)
}
