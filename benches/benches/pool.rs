//! ipc-pool by itself: one task, many, and what a map costs per item. Beside its peers, and after kills: `compare`.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ipc_core::Blob;
use ipc_pool::{AsyncResult, Pool};

const WORKERS: usize = 2;

fn tasks(criterion: &mut Criterion, pool: &Pool) {
    let mut group = criterion.benchmark_group("pool/task");
    group.bench_function("apply", |bencher| {
        bencher.iter(|| pool.apply(|| (), ()).expect("it returns"));
    });
    group.bench_function("apply, 16 KiB there and back", |bencher| {
        let text = "x".repeat(16 << 10);
        bencher.iter(|| pool.apply(|text: String| text, (text.clone(),)).expect("it returns"));
    });
    group.bench_function("apply, with a handle", |bencher| {
        let blob = Blob::new(b"shared").expect("there is memory");
        bencher.iter(|| pool.apply(|blob: Blob| blob.len(), (blob.clone(),)).expect("it returns"));
    });
    group.throughput(Throughput::Elements(1000));
    group.bench_function("apply_async", |bencher| {
        bencher.iter(|| {
            let give = |_| pool.apply_async(|| (), ()).expect("it is open");
            let results: Vec<AsyncResult<()>> = (0..1000).map(give).collect();
            results.iter().for_each(|result| result.get().expect("it returns"));
        });
    });
    group.finish();
}

fn maps(criterion: &mut Criterion, pool: &Pool) {
    let mut group = criterion.benchmark_group("pool/map");
    for items in [1_000, 100_000_u64] {
        group.throughput(Throughput::Elements(items));
        group.bench_function(format!("map/{items}"), |bencher| {
            bencher.iter(|| black_box(pool.map(|x: u64| x * x, 0..items).expect("it returns")));
        });
        group.bench_function(format!("imap/{items}"), |bencher| {
            bencher.iter(|| pool.imap(|x: u64| x * x, 0..items).expect("it is open").for_each(drop));
        });
        group.bench_function(format!("imap_unordered/{items}"), |bencher| {
            bencher
                .iter(|| pool.imap_unordered(|x: u64| x * x, 0..items).expect("it is open").for_each(drop));
        });
    }
    group.finish();
}

fn start(criterion: &mut Criterion) {
    criterion.bench_function("pool/start, one task, drop", |bencher| {
        bencher.iter(|| Pool::new(WORKERS).expect("workers start").apply(|| (), ()).expect("it returns"));
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let pool = Pool::new(WORKERS).expect("workers start");
    tasks(&mut criterion, &pool);
    maps(&mut criterion, &pool);
    start(&mut criterion);
    criterion.final_summary();
}
