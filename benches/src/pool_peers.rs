//! What other pools do with the same work.

use std::process::Command;
use std::sync::LazyLock;
use std::sync::mpsc::channel;
use std::time::Duration;

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

/// So much work in Python's pool.
pub(crate) fn python(what: &str, count: u64) -> Duration {
    const PROGRAM: &str = "
import multiprocessing, sys, time
def nothing(): pass
def square(x): return x * x
if __name__ == '__main__':
    multiprocessing.set_start_method('fork')
    what, n = sys.argv[1], int(sys.argv[2])
    with multiprocessing.Pool(2) as pool:
        pool.map(square, range(100))
        begin = time.monotonic()
        if what == 'apply':
            for i in range(n): pool.apply(nothing)
        elif what == 'apply_async':
            for r in [pool.apply_async(nothing) for i in range(n)]: r.get()
        else:
            assert len(pool.map(square, range(n))) == n
        print(time.monotonic() - begin)
";
    let mut command = Command::new("python3");
    let output = command.args(["-c", PROGRAM, what, &count.to_string()]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_secs_f64(text.trim().parse().expect("it prints seconds"))
}
