//! ipc-lock by itself and beside its peers. What a kill costs, and what a waiter costs, is told by `compare`.

#[path = "../src/counter.rs"]
#[expect(dead_code, reason = "`compare` uses all of it")]
mod counter;
#[path = "../src/cpus.rs"]
#[expect(dead_code, reason = "as above")]
mod cpus;
#[path = "../src/pingpong.rs"]
#[expect(dead_code, reason = "as above")]
mod pingpong;
#[path = "../src/raw.rs"]
mod raw;

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion};
use ipc_lock::{Event, Semaphore};

use counter::{
    Counter, Lock, Ours, ParkingLot, Std, contended, contended_by_threads, is_set, load, sem_t, semaphore,
    uncontended,
};
use cpus::Cpus;
use pingpong::{ByCondvar, ByEvent, ByFutex, PingPong, ping_pong};
use raw::{RobustMutex, Sem};

const WINDOW: Duration = Duration::from_millis(50);

/// `f` gives the time for so many of them.
fn bench(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, mut f: impl FnMut(u64) -> Duration) {
    group.bench_function(name, |bencher| bencher.iter_custom(&mut f));
}

fn alone<C: Counter>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    let counter = C::new();
    bench(group, name, |count| uncontended(&counter, count));
}

fn processes<L: Lock>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, number: u32) {
    bench(group, name, |count| contended::<L>(number, WINDOW, count));
}

fn threads<C: Counter>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, number: usize) {
    bench(group, name, |count| contended_by_threads::<C>(number, WINDOW, count));
}

/// There and back.
fn wakes<P: PingPong>(group: &mut BenchmarkGroup<'_, WallTime>, name: &str) {
    let rounds = |count: u64| u32::try_from(count).expect("it is not that fast");
    bench(group, name, |count| ping_pong::<P>(rounds(count), Cpus::Any));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();

    let mut group = criterion.benchmark_group("lock/uncontended");
    alone::<Ours>(&mut group, "ipc_lock::Mutex");
    alone::<RobustMutex>(&mut group, "robust pthread mutex");
    alone::<ParkingLot>(&mut group, "parking_lot::Mutex");
    alone::<Std>(&mut group, "std::sync::Mutex");
    group.finish();

    for number in [2, 4] {
        let mut group = criterion.benchmark_group(format!("lock/contended-{number}"));
        group.sample_size(10);
        processes::<Ours>(&mut group, "ipc_lock::Mutex", number);
        processes::<RobustMutex>(&mut group, "robust pthread mutex", number);
        threads::<ParkingLot>(&mut group, "parking_lot::Mutex", number as usize);
        threads::<Std>(&mut group, "std::sync::Mutex", number as usize);
        group.finish();
    }

    let mut group = criterion.benchmark_group("sem/acquire-release");
    let ours = Semaphore::new(3).expect("there is memory");
    bench(&mut group, "ipc_lock::Semaphore", |count| semaphore(&ours, count));
    let theirs = Sem::new(3);
    bench(&mut group, "sem_t", |count| sem_t(&theirs, count));
    group.finish();

    let mut group = criterion.benchmark_group("event/is-set");
    let event = Event::new().expect("there is memory");
    bench(&mut group, "ipc_lock::Event", |count| is_set(&event, count));
    let flag = AtomicU32::new(0);
    bench(&mut group, "AtomicU32", |count| load(&flag, count));
    group.finish();

    let mut group = criterion.benchmark_group("wake-there-and-back");
    wakes::<ByEvent>(&mut group, "ipc_lock::Event");
    wakes::<ByCondvar>(&mut group, "ipc_lock::Condvar");
    wakes::<ByFutex>(&mut group, "futex");
    group.finish();

    criterion.final_summary();
}
