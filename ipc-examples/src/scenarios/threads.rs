//! What threads do by themselves, for who comes from processes: the standard library has it all.
//!
//! In Python:
//!
//! ```python
//! threads = [Thread(target=work, args=(i,)) for i in range(5)]
//! for t in threads: t.start()
//! print(active_count())             # 6, with the main thread
//! for t in threads: t.join()
//! Thread(target=forever, daemon=True).start()
//! ```
//!
//! `std::thread::spawn` starts one and its handle's `join` gives what the function returned, or its panic. A thread that
//! nobody joins is what Python calls a daemon: it ends with the program. Threads share variables; a lock of `ipc-lock` between
//! them works, and is needed only if processes take part as well.
//!
//! Prints who has run, how many there were, and the variable that they share.

use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use ipc_lock::Mutex;
use ipc_process::{Builder, current};

use super::Outcome;

const THREADS: u32 = 5;

fn active_count() -> Result<usize, std::io::Error> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// A program whose last thread nobody joins.
fn leave_a_thread() -> String {
    thread::spawn(|| {
        loop {
            thread::park();
        }
    });
    format!("{} returns, and its last thread ends with it", current().name())
}

pub(crate) fn run() -> Outcome {
    let before = active_count()?;
    let shared = AtomicU32::new(0);
    let list = Mutex::new([0_u32; THREADS as usize])?;
    let all_here = Barrier::new(THREADS as usize + 1);
    let names = thread::scope(|scope| {
        let work = |number: u32| {
            all_here.wait();
            shared.fetch_add(number, Ordering::Relaxed);
            list.lock().expect("nobody dies with the lock")[number as usize] = number * number;
            all_here.wait();
            thread::current().name().unwrap_or_default().to_owned()
        };
        let start = |number| {
            thread::Builder::new().name(format!("thread-{number}")).spawn_scoped(scope, move || work(number))
        };
        let threads = (0..THREADS).map(start).collect::<Result<Vec<_>, _>>()?;
        all_here.wait();
        let during = active_count()?;
        assert_eq!(during, before + THREADS as usize);
        println!("{during} threads, {before} of them from before");
        all_here.wait();
        threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_| "a thread panicked".into()))
            .collect::<Result<Vec<_>, Box<dyn std::error::Error>>>()
    })?;
    println!("joined: {}", names.join(", "));
    assert_eq!(names.len(), THREADS as usize);

    let (sum, squares) = (shared.into_inner(), *list.lock().expect("nobody dies with the lock"));
    println!("the variable that they share: {sum}; the array under a lock: {squares:?}");
    assert!(sum == 10 && squares == [0, 1, 4, 9, 16]);

    let panicked = thread::spawn(|| panic!("on purpose")).join();
    assert!(panicked.is_err(), "a panic is what join returns, and ends nobody else");

    let mut child = Builder::new().name("program").spawn(leave_a_thread, ())?;
    println!("{}", child.join()?);
    Ok(())
}
