//! Items of bytes, without serde.
#![allow(unsafe_code)]

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ipc_queue::{GetError, GetTimeoutError, PutError, PutTimeoutError, Queue, TryGetError, TryPutError};

use crate::help::{LONG, SHORT, alone, fork, fork_and_stay};

fn queue() -> Queue<[u8]> {
    Queue::unbounded().unwrap()
}

#[test]
fn bytes_arrive_as_they_were() {
    let queue = queue();
    for bytes in [&b""[..], b"1", b"12345678", b"123456789", &[7; 65536]] {
        queue.put_bytes(bytes).unwrap();
        queue.try_put_bytes(bytes).unwrap();
        assert_eq!(queue.get_bytes().unwrap(), bytes);
        assert_eq!(queue.try_get_bytes().unwrap(), bytes);
    }
    assert!(matches!(queue.try_get_bytes(), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_bytes_timeout(SHORT), Err(GetTimeoutError::Timeout)));
}

#[test]
fn a_reservation_appears_when_it_is_committed_and_not_before() {
    let queue = queue();
    let mut room = queue.reserve(10).unwrap();
    assert_eq!((room.len(), room.is_empty(), queue.len()), (10, false, 0));
    room.write_at(8, b"89");
    room.write_at(0, b"01234567");
    room.write_at(10, b"");
    assert!(matches!(queue.try_get_bytes(), Err(TryGetError::Empty)));
    room.commit();
    assert_eq!(queue.len(), 1);
    let mut room = queue.try_reserve(4).unwrap();
    assert_eq!(room.write(b"abcdef").unwrap(), 4, "as much as fits");
    room.commit();
    assert_eq!(queue.get_bytes().unwrap(), b"0123456789");
    assert_eq!(queue.get_bytes().unwrap(), b"abcd");
}

#[test]
fn a_dropped_reservation_leaves_nothing_behind() {
    for len in [5, 100_000, 3 << 20] {
        let queue = queue();
        queue.put_bytes(b"before").unwrap();
        let memory = queue.stats().memory;
        drop(queue.reserve(len).unwrap());
        assert_eq!((queue.len(), queue.stats().memory), (1, memory));
        queue.put_bytes(b"after").unwrap();
        assert_eq!(queue.get_bytes().unwrap(), b"before");
        assert_eq!(queue.get_bytes().unwrap(), b"after");
    }
}

#[test]
fn writing_beyond_a_reservation_panics_and_frees_it() {
    let queue = queue();
    for (offset, len) in [(0, 9), (8, 1), (usize::MAX, 2), (9, 0)] {
        let write = || queue.reserve(8).unwrap().write_at(offset, &vec![0; len]);
        assert!(catch_unwind(AssertUnwindSafe(write)).is_err(), "{len} at {offset}");
    }
    queue.put_bytes(b"next").unwrap();
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_closure_that_panics_leaves_its_item() {
    let queue = queue();
    queue.put_all_bytes([b"one", b"two"]).unwrap();
    let panicking = || queue.get_bytes_with(|_| panic!("in the closure"));
    assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
    assert_eq!(queue.len(), 2);
    let mut seen = 0;
    let panicking = || {
        queue.get_many_bytes(2, |_| {
            seen += 1;
            assert!(seen < 2, "in the closure");
        })
    };
    assert!(catch_unwind(AssertUnwindSafe(panicking)).is_err());
    assert_eq!(queue.get_bytes().unwrap(), b"two", "the first one was done with");
}

#[test]
fn a_short_buffer_gets_the_start_and_the_length() {
    let queue = queue();
    queue.put_all_bytes([&b"0123456789"[..], b"abc"]).unwrap();
    let mut buffer = [0; 4];
    assert_eq!((queue.get_bytes_into(&mut buffer).unwrap(), &buffer), (10, b"0123"));
    assert_eq!((queue.get_bytes_into(&mut buffer).unwrap(), &buffer), (3, b"abc3"));
}

#[test]
fn an_item_can_be_looked_at_in_place() {
    let queue = queue();
    queue.put_bytes(b"0123456789").unwrap();
    let looked = queue.get_bytes_with(|bytes| {
        let mut part = [0; 4];
        assert_eq!((bytes.read_at(8, &mut part), bytes.read_at(11, &mut [0])), (2, 0));
        (bytes.len(), bytes.is_empty(), part, bytes.to_vec())
    });
    assert_eq!(looked.unwrap(), (10, false, *b"89\0\0", b"0123456789".to_vec()));
    assert!(queue.is_empty());
}

#[test]
fn batches_of_bytes_keep_the_order_and_wait_for_room() {
    let queue = Queue::<[u8]>::bounded(5).unwrap();
    queue.put_all_bytes::<&[u8]>([]).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| queue.put_all_bytes((0..5000_u32).map(u32::to_le_bytes)).unwrap());
        let mut next = 0_u32;
        while next < 5000 {
            let got = queue.get_many_bytes(3, |bytes| {
                assert_eq!(bytes.to_vec(), next.to_le_bytes());
                next += 1;
            });
            assert!((1..=3).contains(&got.unwrap()));
        }
    });
    queue.put_all_bytes([b"1", b"2"]).unwrap();
    queue.close();
    assert!(matches!(queue.put_all_bytes([b"3"]), Err(PutError::Closed(0))));
    assert_eq!(queue.get_many_bytes(9, |_| ()).unwrap(), 2);
    assert!(matches!(queue.get_many_bytes(9, |_| ()), Err(GetError::Closed)));
}

#[test]
fn items_of_all_sizes_go_through() {
    let queue = queue();
    for len in [0, 1, 7, 8, 4096, 64 << 10, 5 << 20, 1] {
        let bytes: Vec<u8> = (0..len).map(|index| (index % 251) as u8).collect();
        queue.put_bytes(&bytes).unwrap();
        queue.put_bytes(b"between").unwrap();
        assert!(queue.get_bytes().unwrap() == bytes, "{len}");
        assert_eq!(queue.get_bytes().unwrap(), b"between");
    }
}

/// Written in place, and looked at in place: no more memory than the item has.
#[test]
fn an_item_of_300_mib_goes_through() {
    const LEN: usize = 300 << 20;
    let queue = queue();
    let mut room = queue.reserve(LEN).unwrap();
    room.write_at(0, b"start");
    room.write_at(LEN - 3, b"end");
    room.commit();
    queue.put_bytes(b"next").unwrap();
    let looked = queue.get_bytes_with(|bytes| {
        let (mut start, mut end) = ([0; 5], [0; 3]);
        bytes.read_at(0, &mut start);
        bytes.read_at(LEN - 3, &mut end);
        (bytes.len(), start, end)
    });
    assert_eq!(looked.unwrap(), (LEN, *b"start", *b"end"));
    assert_eq!(queue.get_bytes().unwrap(), b"next");
}

#[test]
fn an_item_larger_than_any_region_is_an_error_with_both_sizes() {
    let queue = queue();
    for len in [1 << 33, usize::MAX, usize::MAX - 7] {
        let Err(PutError::Fault((), error)) = queue.reserve(len) else { panic!("{len} fits") };
        let text = error.to_string();
        assert!(
            text.contains(&len.to_string()) && text.contains(&((1_u64 << 33) - 16).to_string()),
            "{text}"
        );
    }
    queue.put_bytes(b"next").unwrap();
    assert_eq!(queue.get_bytes().unwrap(), b"next");
}

#[test]
fn who_was_stopped_with_a_reservation_is_not_waited_for_beyond_a_deadline() {
    alone(|| {
        let queue = queue();
        queue.put_bytes(b"before").unwrap();
        let holder = fork_and_stay(|| std::mem::forget(queue.reserve(100).unwrap()));
        holder.stop();
        assert!(matches!(queue.try_put_bytes(b"x"), Err(TryPutError::Full(()))));
        assert!(queue.put_bytes_timeout(b"x", SHORT).is_err());
        assert!(queue.put_bytes_deadline(b"x", crate::help::past()).is_err());
        assert_eq!(queue.get_bytes().unwrap(), b"before", "getting goes on");
        assert!(matches!(queue.get_bytes_timeout(SHORT), Err(GetTimeoutError::Timeout)));
        let waiting = fork(|| queue.put_bytes(b"after").unwrap());
        holder.kill();
        waiting.join();
        assert_eq!(queue.get_bytes().unwrap(), b"after");
    });
}

/// Its copy of a reservation, or of an item it looks at, is its parent's.
#[test]
fn a_forked_child_gives_up_nothing_that_its_parent_holds() {
    alone(|| {
        let queue = queue();
        for child_commits in [true, false] {
            let mut room = Some(queue.reserve(6).unwrap());
            fork(|| {
                let room = room.take().unwrap();
                if child_commits {
                    room.commit()
                } else {
                    drop(room)
                }
                assert_eq!(queue.len(), 0, "it was committed by the child");
                assert!(queue.try_put_bytes(b"child").is_err(), "it was freed by the child");
            })
            .join();
            let mut room = room.unwrap();
            room.write_at(0, b"parent");
            room.commit();
            assert_eq!(queue.get_bytes().unwrap(), b"parent");
        }
        queue.put_all_bytes([b"one", b"two"]).unwrap();
        // SAFETY: this process has one thread that does anything, so the child may do what its parent might.
        let copied = || unsafe { libc::fork() };
        let child = queue.get_bytes_with(|_| {
            let child = copied();
            if child > 0 {
                let mut status = 0;
                // SAFETY: `status` lives through the call.
                unsafe { libc::waitpid(child, &mut status, 0) };
                assert_eq!(status, 0, "the child has taken it");
                assert_eq!(queue.len(), 2, "the child has taken it");
            }
            child
        });
        if child.unwrap() == 0 {
            let is_untouched = queue.len() == 2 && queue.try_get_bytes().is_err();
            // SAFETY: ends the process at once.
            unsafe { libc::_exit(i32::from(!is_untouched)) };
        }
        assert_eq!(queue.get_bytes().unwrap(), b"two");
        assert!(queue.is_empty());
    });
}

#[test]
fn what_is_written_and_read_in_place_is_waited_for_as_long_as_one_is_told_to() {
    let queue = Queue::<[u8]>::bounded(1).unwrap();
    assert!(matches!(queue.get_bytes_with_timeout(SHORT, |_| ()), Err(GetTimeoutError::Timeout)));
    assert!(matches!(queue.try_get_many_bytes(5, |_| ()), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_many_bytes_timeout(5, SHORT, |_| ()), Err(GetTimeoutError::Timeout)));
    let mut room = queue.reserve_timeout(3, LONG).unwrap();
    room.write_at(0, b"one");
    room.commit();
    assert!(matches!(queue.reserve_timeout(3, SHORT), Err(PutTimeoutError::Timeout(()))));
    assert_eq!(queue.get_bytes_with_timeout(LONG, |bytes| bytes.to_vec()).unwrap(), b"one");
    queue.put_bytes(b"two").unwrap();
    assert_eq!(queue.try_get_many_bytes(5, |bytes| assert_eq!(bytes.to_vec(), b"two")).unwrap(), 1);
    queue.put_bytes(b"three").unwrap();
    assert_eq!(queue.get_many_bytes_timeout(5, LONG, |bytes| assert_eq!(bytes.len(), 5)).unwrap(), 1);
    queue.close();
    assert!(matches!(queue.reserve_timeout(3, LONG), Err(PutTimeoutError::Closed(()))));
}
