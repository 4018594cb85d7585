//! ipc-lock: beside the C library's process-shared locks, bare futexes, and the locks that stay in one process.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use ipc_lock::{Event, Semaphore};

use crate::case::{Case, Goal, Unit};
use crate::contest::{
    ByCondvar, ByEvent, ByFutex, Counter, Cpus, Lock, Ours, ParkingLot, PingPong, Std, contended,
    contended_by_threads, idle, is_set, load, ping_pong, recovery, sem_t, semaphore, uncontended,
};
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
        waiting("lock/idle", Duration::from_secs(5)),
    ];
    let (ours, theirs) = (Semaphore::new(3).expect("there is memory"), Sem::new(3));
    cases.push(Case {
        id: "sem/acquire-release",
        peer: "sem_t",
        unit: Unit::Nanos(COUNT),
        goal: Goal::RatioAtMost(2.0),
        rounds: 50,
        ours: Box::new(move || semaphore(&ours, COUNT)),
        theirs: Box::new(move || sem_t(&theirs, COUNT)),
    });
    let (ours, theirs) = (Event::new().expect("there is memory"), AtomicU32::new(0));
    cases.push(Case {
        id: "event/is-set",
        peer: "load",
        unit: Unit::Nanos(COUNT),
        goal: Goal::RatioAtMost(2.0),
        rounds: 50,
        ours: Box::new(move || is_set(&ours, COUNT)),
        theirs: Box::new(move || load(&theirs, COUNT)),
    });
    for (cpus, event, condvar) in
        [(Cpus::Any, "event/wake", "condvar/wake"), (Cpus::Two, "event/wake-2-cpus", "condvar/wake-2-cpus")]
    {
        cases.push(wake::<ByEvent>(event, cpus));
        cases.push(wake::<ByCondvar>(condvar, cpus));
    }
    cases
}

fn alone<C: Counter>(id: &'static str, peer: &'static str, goal: Goal) -> Case {
    let (ours, theirs) = (Ours::new(), C::new());
    Case {
        id,
        peer,
        unit: Unit::Nanos(COUNT),
        goal,
        rounds: 50,
        ours: Box::new(move || uncontended(&ours, COUNT)),
        theirs: Box::new(move || uncontended(&theirs, COUNT)),
    }
}

fn against_processes(id: &'static str, processes: u32, window: Duration, goal: Goal) -> Case {
    Case {
        id,
        peer: ROBUST,
        unit: Unit::MillionsPerSecond(COUNT),
        goal,
        rounds: 20,
        ours: Box::new(move || contended::<Ours>(processes, window, COUNT)),
        theirs: Box::new(move || contended::<RobustMutex>(processes, window, COUNT)),
    }
}

/// Ours in processes beside theirs in threads.
fn against_threads<C: Counter>(id: &'static str, peer: &'static str, number: u32, window: Duration) -> Case {
    Case {
        id,
        peer,
        unit: Unit::MillionsPerSecond(COUNT),
        goal: Goal::None,
        rounds: 10,
        ours: Box::new(move || contended::<Ours>(number, window, COUNT)),
        theirs: Box::new(move || contended_by_threads::<C>(number as usize, window, COUNT)),
    }
}

fn after_a_kill(id: &'static str, asleep: u64, rounds: usize) -> Case {
    let asleep = Duration::from_millis(asleep);
    Case {
        id,
        peer: ROBUST,
        unit: Unit::Millis,
        goal: Goal::MedianAndMaxAtMost(5.0, 100.0),
        rounds,
        ours: Box::new(move || recovery::<Ours>(asleep)),
        theirs: Box::new(move || recovery::<RobustMutex>(asleep)),
    }
}

fn wake<P: PingPong>(id: &'static str, cpus: Cpus) -> Case {
    Case {
        id,
        peer: "futex",
        unit: Unit::Nanos(u64::from(2 * WAKES)),
        goal: Goal::RatioAtMost(1.3),
        rounds: 50,
        ours: Box::new(move || ping_pong::<P>(WAKES, cpus)),
        theirs: Box::new(move || ping_pong::<ByFutex>(WAKES, cpus)),
    }
}

fn waiting(id: &'static str, time: Duration) -> Case {
    fn of<L: Lock>(time: Duration) -> Box<dyn FnMut() -> Duration> {
        Box::new(move || idle::<L>(time))
    }
    Case {
        id,
        peer: ROBUST,
        unit: Unit::PercentOf(time),
        goal: Goal::AtMost(0.1),
        rounds: 3,
        ours: of::<Ours>(time),
        theirs: of::<RobustMutex>(time),
    }
}
