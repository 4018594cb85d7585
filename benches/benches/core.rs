//! ipc-core by itself: what handles cost, and what it costs to ask whether a process lives.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use ipc_core::transfer::{self, Parcel};
use ipc_core::{Blob, ParticipantId, Segment, Spec, Watch};
use ipc_process::{Child, spawn};

const SPEC: fn() -> Spec<'static> = || Spec::new("bench", 1).len(64);

fn handles(criterion: &mut Criterion) {
    let segment = Segment::anonymous(&SPEC()).expect("there is memory");
    let mut group = criterion.benchmark_group("core/handle");
    group.bench_function("make and drop a segment", |bencher| {
        bencher.iter(|| Segment::anonymous(&SPEC()).expect("there is memory"));
    });
    group.bench_function("clone and drop", |bencher| bencher.iter(|| black_box(&segment).clone()));
    group
        .bench_function("identity", |bencher| bencher.iter(|| black_box(&segment).me().expect("it has one")));
    let (here, there) = transfer::channel().expect("there are descriptors");
    let blob = Blob::new(b"here").expect("there is memory");
    group.bench_function("send and receive a blob's", |bencher| {
        bencher.iter(|| {
            let parcel = Parcel::pack(|| postcard::to_allocvec(&blob)).expect("it is in a transfer");
            parcel.send(&here).expect("there is room");
            let parcel = Parcel::receive(&there).expect("it is ours").expect("it was sent");
            parcel.unpack(|bytes| postcard::from_bytes::<Blob>(bytes)).expect("it is a blob")
        });
    });
    group.finish();
}

fn blobs(criterion: &mut Criterion) {
    let bytes = vec![1_u8; 100_000_000];
    let mut group = criterion.benchmark_group("core/blob-100mb");
    group.throughput(Throughput::Bytes(bytes.len() as u64)).sample_size(10);
    group.bench_function("make and drop", |bencher| {
        bencher.iter(|| Blob::new(&bytes).expect("there is memory"))
    });
    group.finish();
}

/// A process that takes part until it is killed.
fn participant(segment: &Segment) -> (Child<()>, ParticipantId) {
    let before: Vec<_> = segment.participants().into_iter().map(|known| known.id).collect();
    let waits = |_segment: Segment| ipc_process::parent().expect("it is a child").wait();
    let child = spawn(waits, (segment.clone(),)).expect("it starts");
    let new = || segment.participants().into_iter().map(|known| known.id).find(|id| !before.contains(id));
    let id = loop {
        if let Some(id) = new() {
            break id;
        }
        std::thread::yield_now();
    };
    (child, id)
}

fn liveness(criterion: &mut Criterion) {
    let segment = Segment::anonymous(&SPEC()).expect("there is memory");
    let others: Vec<_> = (0..16).map(|_| participant(&segment)).collect();
    let ids: Vec<_> = others.iter().map(|(_, id)| *id).collect();
    let mut group = criterion.benchmark_group("core/is-alive");
    group.bench_function("one", |bencher| bencher.iter(|| assert!(segment.is_alive(ids[0]))));
    for count in [1, 4, 16] {
        let mut watch = Watch::new();
        group.bench_function(format!("{count} watched"), |bencher| {
            bencher.iter(|| assert!(watch.dead(&segment, ids[..count].iter().copied()).is_empty()));
        });
    }
    for (mut child, _) in others {
        child.kill().expect("it may be killed");
        let _ = child.join();
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    handles(&mut criterion);
    blobs(&mut criterion);
    liveness(&mut criterion);
    criterion.final_summary();
}
