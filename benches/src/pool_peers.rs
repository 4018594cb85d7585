//! What other pools do with the same work.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::mpsc::channel;
use std::time::Duration;

use ipc_examples::wordcount::{self, Chunk, Count};
use rayon::prelude::*;

use crate::case::time;

static THREADS: LazyLock<rayon::ThreadPool> =
    LazyLock::new(|| rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("threads start"));

/// Round trips through a pool of threads.
pub(crate) fn rayon_install(workers: usize, count: u32) -> Duration {
    assert_eq!(THREADS.current_num_threads(), workers);
    time(|| (0..count).for_each(|_| THREADS.install(|| std::hint::black_box(())))) / count
}

/// As many empty tasks in a pool of threads, each with its result.
pub(crate) fn rayon_spawn(workers: usize, count: u64) -> Duration {
    assert_eq!(THREADS.current_num_threads(), workers);
    time(|| {
        let (sender, results) = channel();
        for _ in 0..count {
            let sender = sender.clone();
            THREADS.spawn(move || sender.send(()).expect("it is waited for"));
        }
        drop(sender);
        assert_eq!(results.iter().count() as u64, count);
    })
}

static PROCESSES: LazyLock<procspawn::Pool> =
    LazyLock::new(|| procspawn::Pool::new(2).expect("processes start"));

/// Round trips through another pool of processes.
pub(crate) fn procspawn_apply(workers: usize, count: u32) -> Duration {
    assert_eq!(PROCESSES.size(), workers);
    let apply = |_| PROCESSES.spawn((), |()| ()).join().expect("it returns");
    apply(0);
    time(|| (0..count).for_each(apply)) / count
}

/// The words of a tree, counted by threads, some files at a time.
pub(crate) fn wordcount(tree: &Path) -> Count {
    let listing = wordcount::list(Some(tree)).expect("it can be read");
    wordcount::count_chunks(&listing, 100, |chunks| {
        THREADS.install(|| chunks.par_iter().map(Chunk::count).collect())
    })
}
