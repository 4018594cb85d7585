//! The memory of a queue grows with its backlog, and is given back.

use ipc_core::Cause;
use ipc_queue::{GetError, GetTimeoutError, PutError, Queue, TryGetError};

use crate::help::{LONG, alone, fork, join, spawn, until, with_file_limit, with_little_memory};

/// Bytes of the file that are there.
fn allocated(queue: &Queue<[u8]>) -> u64 {
    rustix::fs::fstat(queue.segment()).unwrap().st_blocks as u64 * 512
}

#[test]
fn a_backlog_takes_memory_and_gives_it_back() {
    let queue = Queue::<[u8]>::unbounded().unwrap();
    let (memory, file) = (queue.stats().memory, allocated(&queue));
    queue.put_all_bytes((0..100_000_u32).map(|number| [number.to_le_bytes(); 64].concat())).unwrap();
    let stats = queue.stats();
    assert!(stats.items == 100_000 && stats.memory > 26 << 20, "{stats:?}");
    assert!(allocated(&queue) > 26 << 20);
    for number in 0..100_000_u32 {
        assert_eq!(queue.get_bytes().unwrap()[252..], number.to_le_bytes());
    }
    until("the memory is given back", || {
        assert!(queue.try_get_bytes().is_err());
        queue.stats().memory <= 1 << 20
    });
    assert!(queue.stats().memory >= memory && allocated(&queue) <= file + (1 << 20));
    // And again.
    queue.put_bytes(&[1; 3 << 20]).unwrap();
    assert_eq!(queue.get_bytes().unwrap(), [1; 3 << 20]);
}

/// A consumer that waits gives it back by itself.
#[test]
fn who_waits_for_an_item_gives_memory_back() {
    let queue = Queue::<[u8]>::unbounded().unwrap();
    queue.put_bytes(&[1; 3 << 20]).unwrap();
    queue.get_bytes().unwrap();
    assert!(queue.stats().memory > 1 << 20);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.get_bytes_timeout(LONG).unwrap());
        until("the memory is given back", || queue.stats().memory <= 1 << 20);
        queue.put_bytes(b"end").unwrap();
        assert_eq!(waiting.join().unwrap(), b"end");
    });
}

/// Sizes that make the queue grow, and go down again, under its readers.
fn sizes() -> impl Iterator<Item = usize> {
    (0..3000_usize).map(|number| match number % 1000 {
        500 => 3 << 20,
        0..400 => number % 97,
        _ => number * 7 % 5000,
    })
}

fn filled(number: usize, len: usize) -> Vec<u8> {
    vec![number as u8; len]
}

fn read_all(queue: Queue<[u8]>) {
    for (number, len) in sizes().enumerate() {
        assert!(queue.get_bytes().unwrap() == filled(number, len), "{number}");
    }
}

#[test]
fn it_grows_while_others_read() {
    let queue = Queue::<[u8]>::unbounded().unwrap();
    let mut reader = spawn(read_all, (queue.clone(),));
    for (number, len) in sizes().enumerate() {
        queue.put_bytes(&filled(number, len)).unwrap();
    }
    join(&mut reader);
    assert!(queue.is_empty());
}

#[test]
fn no_memory_left_is_an_error_and_nothing_is_lost() {
    alone(|| {
        let queue = Queue::<[u8]>::unbounded().unwrap();
        let mut put = 0_u32;
        with_file_limit(12 << 20, || {
            let error = loop {
                match queue.put_bytes(&[put.to_le_bytes(); 1024].concat()) {
                    Ok(()) => put += 1,
                    Err(PutError::Fault((), error)) => break error,
                    Err(error) => panic!("{error}"),
                }
            };
            assert!(matches!(error.cause(), Cause::FileLimit { .. }), "{error}");
            assert!(put > 1000 && queue.len() == put as usize, "{put}");
            assert!(queue.reserve(1 << 20).is_err());
            (0..10).for_each(|number: u32| assert_eq!(queue.get_bytes().unwrap()[..4], number.to_le_bytes()));
        });
        queue.put_bytes(&[put.to_le_bytes(); 1024].concat()).unwrap();
        (10..=put).for_each(|number| assert_eq!(queue.get_bytes().unwrap()[4092..], number.to_le_bytes()));
        assert!(queue.is_empty());
    });
}

/// Room for more items like it would be too much, but not for this one.
#[test]
fn an_item_that_just_fits_the_memory_is_put() {
    alone(|| {
        let queue = Queue::<[u8]>::unbounded().unwrap();
        with_file_limit(66 << 20, || {
            let mut room = queue.reserve(20 << 20).unwrap();
            room.write_at((20 << 20) - 3, b"end");
            room.commit();
        });
        let last = queue.get_bytes_with(|bytes| {
            let mut last = [0; 3];
            bytes.read_at(bytes.len() - 3, &mut last);
            last
        });
        assert_eq!(&last.unwrap(), b"end");
    });
}

/// All of its memory is free then.
#[test]
fn an_empty_queue_takes_what_a_fresh_one_takes() {
    alone(|| {
        with_file_limit(17 << 20, || {
            let queue = Queue::<[u8]>::unbounded().unwrap();
            for _ in 0..5 {
                queue.put_bytes(&[1; 5 << 20]).unwrap();
                assert_eq!(queue.get_bytes().unwrap().len(), 5 << 20);
            }
        });
    });
}

#[test]
fn an_item_that_this_process_has_no_memory_for_stays_for_another() {
    alone(|| {
        let queue = Queue::<[u8]>::unbounded().unwrap();
        queue.put_all_bytes([&[7; 100 << 20][..], b"next"]).unwrap();
        with_little_memory(32 << 20, || {
            let no_memory = |error: ipc_core::Error| assert!(matches!(error.cause(), Cause::NoMemory { .. }));
            match queue.get_bytes() {
                Err(GetError::Fault(error)) => no_memory(error),
                other => panic!("{:?}", other.map(|bytes| bytes.len())),
            }
            match queue.try_get_bytes() {
                Err(TryGetError::Fault(error)) => no_memory(error),
                other => panic!("{:?}", other.map(|bytes| bytes.len())),
            }
            match queue.get_bytes_timeout(LONG) {
                Err(GetTimeoutError::Fault(error)) => no_memory(error),
                other => panic!("{:?}", other.map(|bytes| bytes.len())),
            }
        });
        assert_eq!(queue.len(), 2);
        assert!(queue.get_bytes().unwrap() == [7; 100 << 20]);
        assert_eq!(queue.get_bytes().unwrap(), b"next");
    });
}

#[test]
fn many_queues_and_processes_leave_no_descriptor() {
    alone(|| {
        for _ in 0..20 {
            let queue = Queue::<[u8]>::bounded(2).unwrap();
            let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
            fork(|| producer.put_bytes(b"from a child").unwrap()).join();
            drop(producer);
            assert_eq!(consumer.get_bytes().unwrap(), b"from a child");
            assert!(consumer.get_bytes().is_err());
        }
    });
}
