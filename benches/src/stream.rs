//! Items through a queue, from some producers to some consumers, with the time it takes.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use ipc_core::{Fd, monotonic};
use ipc_lock::Barrier;
use ipc_process::{Child, spawn};
use ipc_queue::Queue;
use serde::{Deserialize, Serialize};

use crate::cpus::Cpus;
use crate::raw::cpu_time;

/// As many as crossbeam's queue gets, too.
pub(crate) const CAPACITY: usize = 1024;

/// From when to when one of them worked.
pub(crate) type Span = (Duration, Duration);

/// A typed message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) price: f64,
    pub(crate) name: String,
}

pub(crate) fn message(number: u64) -> Message {
    Message { number, price: 1.5, name: "a short name".to_owned() }
}

/// Runs `work` when all are ready.
pub(crate) fn together(start: &Barrier, work: impl FnOnce()) -> Span {
    start.wait().expect("all come");
    let begin = monotonic();
    work();
    (begin, monotonic())
}

/// From the first who began to the last who ended.
pub(crate) fn whole(children: Vec<Child<Span>>) -> Duration {
    let spans: Vec<_> = children.into_iter().map(|mut child| child.join().expect("it returns")).collect();
    let begin = spans.iter().map(|span| span.0).min().expect("somebody works");
    let end = spans.iter().map(|span| span.1).max().expect("somebody works");
    end - begin
}

/// The first bytes of an item are its number; each producer's come in their order.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes[..8].try_into().expect("8 bytes"))
}

fn put(queue: Queue<[u8]>, start: Barrier, size: usize, count: u64) -> Span {
    let mut item = vec![7; size];
    together(&start, || {
        for index in 0..count {
            item[..8].copy_from_slice(&index.to_le_bytes());
            queue.put_bytes(&item).expect("nobody closes it");
        }
    })
}

fn get(queue: Queue<[u8]>, start: Barrier, size: usize, count: u64, is_alone: bool) -> Span {
    let mut item = vec![0; size];
    together(&start, || {
        for index in 0..count {
            let len = queue.get_bytes_into(&mut item).expect("nobody closes it");
            assert!(len == size && (!is_alone || number(&item) == index));
        }
        black_box(&item);
    })
}

/// `count` items of that size from one process to another, through a queue of that capacity.
pub(crate) fn sized(size: usize, count: u64, capacity: usize) -> Duration {
    let queue = Queue::bounded(capacity).expect("there is memory");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        spawn(put, (queue.clone(), start.clone(), size, count)).expect("it starts"),
        spawn(get, (queue, start, size, count, true)).expect("it starts"),
    ])
}

/// `count` items of that size from so many processes to so many, copied in and out.
pub(crate) fn bytes(cpus: Cpus, sides: u64, size: usize, count: u64) -> Duration {
    let queue = Queue::bounded(CAPACITY).expect("there is memory");
    let start = Barrier::new(2 * sides as u32).expect("there is memory");
    let mut children = Vec::new();
    for _ in 0..sides {
        let count = count / sides;
        let args = (queue.clone(), start.clone(), size, count);
        children.push(cpus.start(0, || spawn(put, args).expect("it starts")));
        let args = (queue.clone(), start.clone(), size, count, sides == 1);
        children.push(cpus.start(1, || spawn(get, args).expect("it starts")));
    }
    whole(children)
}

/// How many items a batch has.
const BATCH: usize = 64;

fn put_batches(queue: Queue<[u8]>, start: Barrier, count: u64) -> Span {
    let mut batch = [[7; 64]; BATCH];
    together(&start, || {
        for index in 0..count / BATCH as u64 {
            batch[0][..8].copy_from_slice(&index.to_le_bytes());
            queue.put_all_bytes(batch.iter()).expect("nobody closes it");
        }
    })
}

fn get_batches(queue: Queue<[u8]>, start: Barrier, count: u64) -> Span {
    let (mut item, mut got) = ([0; 64], 0);
    together(&start, || {
        while got < count / BATCH as u64 * BATCH as u64 {
            let get = |bytes: ipc_queue::Bytes<'_>| assert_eq!(bytes.read_at(0, &mut item), 64);
            got += queue.get_many_bytes(BATCH, get).expect("nobody closes it") as u64;
        }
        black_box(&item);
    })
}

/// `count` items of 64 bytes from one process to another, 64 at a time.
pub(crate) fn batches(count: u64) -> Duration {
    let queue = Queue::bounded(CAPACITY).expect("there is memory");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        spawn(put_batches, (queue.clone(), start.clone(), count)).expect("it starts"),
        spawn(get_batches, (queue, start, count)).expect("it starts"),
    ])
}

fn put_messages(queue: Queue<Message>, start: Barrier, count: u64) -> Span {
    together(&start, || {
        (0..count).for_each(|number| queue.put(message(number)).expect("nobody closes it"));
    })
}

fn get_messages(queue: Queue<Message>, start: Barrier, count: u64) -> Span {
    together(&start, || {
        for number in 0..count {
            assert_eq!(queue.get().expect("nobody closes it").number, number);
        }
    })
}

/// `count` typed messages from one process to another.
pub(crate) fn messages(count: u64) -> Duration {
    let queue = Queue::bounded(CAPACITY).expect("there is memory");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        spawn(put_messages, (queue.clone(), start.clone(), count)).expect("it starts"),
        spawn(get_messages, (queue, start, count)).expect("it starts"),
    ])
}

/// A word of the bytes that are written.
const SEVENS: u64 = u64::from_ne_bytes([7; 8]);

/// Reads all of the bytes. A line of the caches at a time, so that it does not take longer than to fetch them.
pub(crate) fn sum(bytes: &[u8]) -> u64 {
    let (lines, rest) = bytes.as_chunks::<64>();
    assert!(rest.is_empty());
    let mut sums = [0_u64; 8];
    for line in lines {
        for (sum, word) in sums.iter_mut().zip(line.as_chunks().0) {
            *sum = sum.wrapping_add(u64::from_le_bytes(*word));
        }
    }
    sums.into_iter().fold(0, u64::wrapping_add)
}

fn put_large(queue: Queue<[u8]>, start: Barrier, size: usize, count: u64) -> Span {
    let item = vec![7; size];
    together(&start, || {
        for _ in 0..count {
            let mut room = queue.reserve(size).expect("nobody closes it");
            room.write_at(0, &item);
            room.commit();
        }
    })
}

fn get_large(queue: Queue<[u8]>, start: Barrier, size: usize, count: u64) -> Span {
    together(&start, || {
        for _ in 0..count {
            let sum = queue.get_bytes_with(|bytes| {
                assert_eq!(bytes.len(), size);
                // SAFETY: both processes use the queue through the library alone.
                sum(unsafe { bytes.as_slice() })
            });
            assert_eq!(sum.expect("nobody closes it"), SEVENS.wrapping_mul(size as u64 / 8));
        }
    })
}

/// `count` items of that size, written into the queue in one process and read there in another.
pub(crate) fn in_place(size: usize, count: u64) -> Duration {
    let queue = Queue::bounded(2).expect("there is memory");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        spawn(put_large, (queue.clone(), start.clone(), size, count)).expect("it starts"),
        spawn(get_large, (queue, start, size, count)).expect("it starts"),
    ])
}

/// `count` copies of so many bytes.
pub(crate) fn memcpy(size: usize, count: u64) -> Duration {
    let (from, mut to) = (vec![7_u8; size], vec![0_u8; size]);
    let start = Instant::now();
    for _ in 0..count {
        to.copy_from_slice(black_box(&from));
        black_box(&mut to);
    }
    start.elapsed()
}

fn put_datagrams(socket: Fd<UnixDatagram>, start: Barrier, count: u64) -> Span {
    let mut item = [7; 64];
    together(&start, || {
        for index in 0..count {
            item[..8].copy_from_slice(&index.to_le_bytes());
            assert_eq!(socket.send(&item).expect("somebody receives"), 64);
        }
    })
}

fn get_datagrams(socket: Fd<UnixDatagram>, start: Barrier, count: u64) -> Span {
    let mut item = [0; 64];
    together(&start, || {
        for index in 0..count {
            assert_eq!(socket.recv(&mut item).expect("somebody sends"), 64);
            assert_eq!(number(&item), index);
        }
    })
}

/// `count` items of 64 bytes from one process to another through a pair of sockets.
pub(crate) fn datagrams(cpus: Cpus, count: u64) -> Duration {
    let (here, there) = UnixDatagram::pair().expect("there are sockets");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        cpus.start(0, || spawn(put_datagrams, (Fd(here), start.clone(), count)).expect("it starts")),
        cpus.start(1, || spawn(get_datagrams, (Fd(there), start.clone(), count)).expect("it starts")),
    ])
}

fn wait_for_item(queue: Queue<u64>, time: Duration) -> Duration {
    let before = cpu_time();
    assert!(queue.get_timeout(time).is_err());
    cpu_time() - before
}

/// The CPU time of a process that waits that long for an item.
pub(crate) fn idle_consumer(time: Duration) -> Duration {
    let queue = Queue::unbounded().expect("there is memory");
    spawn(wait_for_item, (queue, time)).expect("it starts").join().expect("it returns")
}

fn sleep_in_parts(time: Duration) -> Duration {
    let (before, deadline) = (cpu_time(), Instant::now() + time);
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        std::thread::sleep(left.min(Duration::from_millis(70)));
    }
    cpu_time() - before
}

/// The CPU time of a process that sleeps that long, and wakes as often as a consumer looks whether all is well.
pub(crate) fn sleeper(time: Duration) -> Duration {
    spawn(sleep_in_parts, (time,)).expect("it starts").join().expect("it returns")
}
