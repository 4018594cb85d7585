//! ipc-queue, ipc-pipe and ipc-shared by themselves, within one process: what a call costs while nobody else is there.
//! Between processes, and beside their peers: `compare`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput};
use ipc_pipe::{Connection, pipe};
use ipc_queue::{JoinableQueue, Queue};
use ipc_shared::{Array, Dict, List, Value};

const SIZES: [usize; 3] = [16, 1 << 10, 64 << 10];

fn text() -> (u64, String) {
    (7, "a line of text, as long as many are".to_owned())
}

fn queues(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue/put-get");
    let queue = Queue::<[u8]>::bounded(16).expect("there is memory");
    for size in SIZES {
        let mut bytes = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("bytes/{size}"), |bencher| {
            bencher.iter(|| {
                queue.put_bytes(&bytes).expect("there is room");
                queue.get_bytes_into(&mut bytes).expect("there is one")
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    let queue = Queue::bounded(16).expect("there is memory");
    group.bench_function("a number and a string", |bencher| {
        let put_and_get = |value| {
            queue.put(value).expect("there is room");
            queue.get().expect("there is one")
        };
        bencher.iter_batched(text, put_and_get, BatchSize::SmallInput);
    });
    let queue = JoinableQueue::bounded(16).expect("there is memory");
    group.bench_function("joinable, a number", |bencher| {
        bencher.iter(|| {
            queue.put(7_u64).expect("there is room");
            queue.get().expect("there is one").done()
        });
    });
    group.finish();
}

fn pipes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipe/send-recv");
    let (here, there) = pipe::<[u8], [u8]>().expect("there is memory");
    for size in SIZES {
        let mut bytes = vec![7; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("bytes/{size}"), |bencher| {
            bencher.iter(|| {
                here.send_bytes(&bytes).expect("there is room");
                there.recv_bytes_into(&mut bytes).expect("there is one")
            });
        });
    }
    group.throughput(Throughput::Elements(1));
    let (here, there): (Connection<(u64, String)>, _) = pipe().expect("there is memory");
    group.bench_function("a number and a string", |bencher| {
        let send_and_recv = |value| {
            here.send(value).expect("there is room");
            there.recv().expect("there is one")
        };
        bencher.iter_batched(text, send_and_recv, BatchSize::SmallInput);
    });
    group.finish();
}

fn containers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("shared");
    let dict = Dict::new().expect("there is memory");
    let keys: Vec<String> = (0..10_000).map(|number| format!("key{number}")).collect();
    for (key, number) in keys.iter().zip(0_u64..) {
        dict.insert(key.clone(), number).expect("there is memory");
    }
    let mut next = keys.iter().cycle();
    let mut key = || next.next().expect("it goes on for ever");
    group.bench_function("Dict/get", |bencher| bencher.iter(|| dict.get(key())));
    group.bench_function("Dict/insert, over another", |bencher| {
        bencher.iter_batched(|| key().clone(), |key| dict.insert(key, 7), BatchSize::SmallInput);
    });
    group.bench_function("Dict/update", |bencher| {
        bencher.iter(|| dict.update(key(), |number| number.map(|number| number + 1)));
    });
    let list = List::new().expect("there is memory");
    group.bench_function("List/push and pop", |bencher| {
        bencher.iter(|| {
            list.push(&7_u64).expect("there is memory");
            list.pop().expect("it works")
        });
    });
    let value = Value::new(0_u64).expect("there is memory");
    group.bench_function("Value/get", |bencher| bencher.iter(|| black_box(&value).get()));
    group.bench_function("Value/update", |bencher| bencher.iter(|| value.update(|number| *number += 1)));
    let array = Array::<u64>::zeroed(1000).expect("there is memory");
    group.bench_function("Array/update", |bencher| bencher.iter(|| array.update(500, |number| *number += 1)));
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    queues(&mut criterion);
    pipes(&mut criterion);
    containers(&mut criterion);
    criterion.final_summary();
}
