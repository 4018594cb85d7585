//! ipc-process by itself: starting a child, large arguments, and that children take no threads here.

use std::fs;
use std::hint::black_box;
use std::process::{Command, Stdio};

use criterion::{Criterion, Throughput};
use ipc_core::Blob;
use ipc_process::spawn;

/// An argument that makes this program do nothing.
const PLAIN_EXIT: &str = "--plain-exit";

fn threads() -> usize {
    fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
}

/// Reads a byte of every page.
fn read_pages(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(4096).map(|&byte| u64::from(byte)).sum()
}

fn start(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("process/start-join");
    group.bench_function("spawn", |bencher| {
        bencher.iter(|| spawn(|| (), ()).expect("it starts").join().expect("it returns"));
    });
    group.bench_function("std::process::Command", |bencher| {
        let mut command = Command::new("/proc/self/exe");
        command.arg(PLAIN_EXIT).stdin(Stdio::null());
        bencher.iter(|| assert!(command.status().expect("it starts").success()));
    });
    group.finish();
}

fn large_arguments(criterion: &mut Criterion) {
    let bytes = vec![1_u8; 100_000_000];
    let mut group = criterion.benchmark_group("process/args-100mb");
    group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(10);
    group.bench_function("Blob", |bencher| {
        bencher.iter(|| {
            let blob = Blob::new(&bytes).expect("there is memory");
            let mut child = spawn(|blob: Blob| read_pages(&blob), (blob,)).expect("it starts");
            black_box(child.join().expect("it returns"))
        });
    });
    group.bench_function("Vec<u8>", |bencher| {
        let start = |bytes| spawn(|bytes: Vec<u8>| read_pages(&bytes), (bytes,)).expect("it starts");
        bencher.iter_batched(
            || bytes.clone(),
            |bytes| black_box(start(bytes).join().expect("it returns")),
            criterion::BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn main() {
    if std::env::args_os().nth(1).is_some_and(|argument| argument == PLAIN_EXIT) {
        return;
    }
    let before = threads();
    let held: Vec<_> = (0..100)
        .map(|_| spawn(|| ipc_process::parent().map(ipc_process::Parent::pid), ()).expect("it starts"))
        .collect();
    println!("threads before {before}, with {} children {}", held.len(), threads());
    assert_eq!(threads(), before, "a child takes no thread");
    drop(held);

    let mut criterion = Criterion::default().configure_from_args();
    start(&mut criterion);
    large_arguments(&mut criterion);
    criterion.final_summary();
}
