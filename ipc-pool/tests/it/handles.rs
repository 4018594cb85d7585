//! Arguments and results that are large, or have handles in them.

use std::io::{PipeWriter, Read, Write};

use ipc_core::{Blob, Fd};
use ipc_pool::{Builder, Pool, TaskError};
use ipc_queue::Queue;

use crate::help::{Words, end, get};

#[test]
fn handles_travel_in_arguments_and_results() {
    let pool = Pool::new(2).unwrap();
    let queue = Queue::unbounded().unwrap();
    let put = |queue: Queue<u32>, x: u32| queue.put(x).unwrap();
    pool.starmap(put, (0..1000).map(|x| (queue.clone(), x))).unwrap();
    let mut items: Vec<u32> = (0..1000).map(|_| queue.try_get().unwrap()).collect();
    items.sort_unstable();
    assert!(items.into_iter().eq(0..1000));

    let make = |x: u32| {
        let queue = Queue::unbounded().unwrap();
        queue.put(x).unwrap();
        queue
    };
    let queues = pool.map(make, 0..100).unwrap();
    assert!((0..).zip(&queues).all(|(x, queue)| queue.get().unwrap() == x));
    end(&pool);
}

#[test]
fn a_pipe_is_at_its_end_when_the_tasks_that_had_it_are_done() {
    let pool = Pool::new(2).unwrap();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let write = |mut pipe: Fd<PipeWriter>| pipe.write_all(b"x").unwrap();
    let result = pool.apply_async(write, (Fd(writer),)).unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "x");
    get(&result).unwrap();
    end(&pool);
}

#[test]
fn a_hundred_megabytes_go_in_and_come_out() {
    let pool = Pool::new(1).unwrap();
    let text = "x".repeat(100_000_000);
    let back = pool.apply(|text: String| text + "y", (text.clone(),)).unwrap();
    assert_eq!(back.len(), text.len() + 1);
    assert!(back.starts_with(&text) && back.ends_with('y'));
    end(&pool);
}

#[test]
fn a_large_argument_is_shared_by_many_tasks() {
    let pool = Pool::new(2).unwrap();
    let blob = Blob::new(&vec![1; 10 << 20]).unwrap();
    let sum =
        |blob: Blob, from: usize| blob[from..from + 1000].iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let sums = pool.starmap(sum, (0..200).map(|x| (blob.clone(), x * 1000))).unwrap();
    assert!(sums.iter().all(|&sum| sum == 1000));
    end(&pool);
}

#[test]
fn a_task_with_handles_is_begun_anew_with_its_handles() {
    let pool = Builder::new().workers(1).retries(3).build().unwrap();
    let words = Words::new();
    let task = |words: Words, blob: Blob| {
        if words.add(0) < 2 {
            std::process::abort();
        }
        blob.len()
    };
    let blob = Blob::new(b"twelve bytes").unwrap();
    assert_eq!(get(&pool.apply_async(task, (words.clone(), blob)).unwrap()).unwrap(), 12);
    end(&pool);
}

#[test]
fn more_results_than_a_socket_holds_come_one_after_the_other() {
    let pool = Pool::new(2).unwrap();
    let make = |x: u32| Blob::new(&x.to_le_bytes()).unwrap();
    let results: Vec<_> = (0..600).map(|x| pool.apply_async(make, (x,)).unwrap()).collect();
    for (x, result) in (0_u32..).zip(&results) {
        assert_eq!(get(result).unwrap()[..], x.to_le_bytes());
    }
    end(&pool);
}

#[test]
fn more_handles_than_a_worker_may_have_are_an_error() {
    let pool = Pool::new(1).unwrap();
    let limit = || {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let few = rustix::process::Rlimit { current: Some(40), ..limit };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, few).unwrap();
    };
    pool.apply(limit, ()).unwrap();
    let blobs: Vec<Blob> = (0..100_u32).map(|x| Blob::new(&x.to_le_bytes()).unwrap()).collect();
    match pool.apply(|blobs: Vec<Blob>| blobs.len(), (blobs,)) {
        Err(TaskError::Arguments(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(pool.apply(|x: u32| x, (1,)).unwrap(), 1);
    end(&pool);
}
