//! Messages over TCP: whole, in order, and never too many bytes.

use std::thread;
use std::time::Duration;

use ipc_core::transfer::Parcel;
use ipc_core::{Fd, codec};
use ipc_crash_test::alone::{LONG, SHORT, alone, forever, fork};
use ipc_pipe::{
    Client, Connection, Listener, RecvError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError,
    TrySendError,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::raw::{Raw, hello};
use super::{connected, localhost};

fn bytes_pair() -> (Connection<[u8]>, Connection<[u8]>) {
    connected(localhost())
}

/// A connection, and the raw socket at its other end.
fn raw_pair<T: ?Sized>(limit: u64) -> (Connection<T>, Raw) {
    let listener = Listener::<T>::bind(localhost()).unwrap().message_limit(limit);
    let raw = Raw::connect(listener.local_address());
    raw.send(&hello(0, std::any::type_name::<T>()));
    let (here, _) = listener.accept_timeout(LONG).unwrap();
    raw.recv(super::raw::HELLO + super::raw::PROOF);
    (here, raw)
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat()
}

fn pattern(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 31 + seed) as u8).collect()
}

#[test]
fn messages_of_any_size_arrive_whole_and_in_order() {
    let (here, there) = bytes_pair();
    let sizes = [0, 1, 7, 8, 9, 65_535, 65_536, 65_537, 0, 5 << 20, 3];
    thread::scope(|scope| {
        scope.spawn(|| sizes.iter().for_each(|&len| here.send_bytes(&pattern(len, len)).unwrap()));
        for len in sizes {
            assert_eq!(there.recv_bytes().unwrap(), pattern(len, len));
        }
    });
}

#[test]
fn both_directions_go_at_the_same_time() {
    let (here, there) = bytes_pair();
    let big = pattern(4 << 20, 1);
    thread::scope(|scope| {
        for end in [&here, &there] {
            scope.spawn(|| end.send_bytes(&big).unwrap());
            scope.spawn(|| assert_eq!(end.recv_bytes().unwrap(), big));
        }
    });
}

/// Their bytes are neither lost nor sent a second time, wherever the time was up.
#[test]
fn what_is_tried_is_sent_whole_or_not_at_all() {
    let (here, there) = bytes_pair();
    let mut sent = 0;
    // Nobody receives, until nothing more goes in.
    loop {
        match here.try_send_bytes(&pattern(100_000, sent)) {
            Ok(()) => sent += 1,
            Err(TrySendError::Full(())) => break,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(sent > 1);
    assert!(matches!(here.send_bytes_timeout(b"late", SHORT), Err(SendTimeoutError::Timeout(()))));
    for number in 0..sent {
        assert_eq!(there.recv_bytes_timeout(LONG).unwrap(), pattern(100_000, number));
    }
    here.send_bytes_timeout(b"again", LONG).unwrap();
    assert_eq!(there.recv_bytes_timeout(LONG).unwrap(), b"again");
    assert!(matches!(there.try_recv_bytes(), Err(TryRecvError::Empty)));
}

/// The end comes behind it.
#[test]
fn a_message_that_was_begun_is_finished_after_its_sender_is_dropped() {
    let (here, there) = bytes_pair();
    // Larger than what the system keeps.
    here.try_send_bytes(&pattern(40 << 20, 3)).unwrap();
    assert!(matches!(here.try_send_bytes(b"full"), Err(TrySendError::Full(()))));
    drop(here);
    assert_eq!(there.recv_bytes().unwrap(), pattern(40 << 20, 3));
    assert!(matches!(there.recv_bytes(), Err(RecvError::Closed)));
}

#[test]
fn a_message_in_parts_waits_for_its_rest() {
    let (here, raw) = raw_pair::<[u8]>(100);
    let frame = frame(b"message");
    for end in [3, 8, 10] {
        let begin = [0, 3, 8][[3, 8, 10].iter().position(|&at| at == end).unwrap()];
        raw.send(&frame[begin..end]);
        assert!(matches!(here.recv_bytes_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
        assert!(matches!(here.try_recv_bytes(), Err(TryRecvError::Empty)));
        assert!(!here.poll(Some(Duration::ZERO)));
    }
    raw.send(&frame[10..]);
    assert!(here.poll(Some(LONG)));
    assert!(here.poll(Some(Duration::ZERO)), "it was taken");
    assert_eq!(here.recv_bytes().unwrap(), b"message");
}

#[test]
fn the_end_between_messages_is_the_end() {
    let (here, raw) = raw_pair::<[u8]>(100);
    raw.send(&frame(b"last"));
    drop(raw);
    assert!(here.poll(Some(LONG)));
    assert_eq!(here.recv_bytes().unwrap(), b"last");
    assert!(here.poll(Some(LONG)));
    for _ in 0..3 {
        assert!(matches!(here.recv_bytes(), Err(RecvError::Closed)));
        assert!(matches!(here.try_recv_bytes(), Err(TryRecvError::Closed)));
    }
}

#[test]
fn the_end_within_a_message_is_an_error() {
    for end in [1, 7, 8, 9, 14] {
        let (here, raw) = raw_pair::<[u8]>(100);
        raw.send(&frame(b"message")[..end]);
        drop(raw);
        let Err(RecvError::Fault(error)) = here.recv_bytes() else { panic!("{end}") };
        assert_eq!(error.os().unwrap().kind(), std::io::ErrorKind::UnexpectedEof, "{error}");
        assert!(matches!(here.recv_bytes(), Err(RecvError::Closed)), "it is told once");
    }
}

#[test]
fn a_message_that_is_too_long_is_an_error_with_both_sizes() {
    let (here, raw) = raw_pair::<[u8]>(10);
    raw.send(&frame(&[1; 10]));
    raw.send(&frame(&[1; 11]));
    raw.send(&frame(b"behind"));
    assert_eq!(here.recv_bytes().unwrap(), [1; 10]);
    let Err(RecvError::Fault(error)) = here.recv_bytes() else { panic!() };
    assert!(error.to_string().contains("11 bytes"), "{error}");
    assert!(error.to_string().contains("at most 10"), "{error}");
    assert!(matches!(here.recv_bytes(), Err(RecvError::Closed)), "it is told once");
}

/// Half of the address space is promised, and three bytes come.
#[test]
fn memory_grows_only_with_what_has_come() {
    let (here, raw) = raw_pair::<[u8]>(u64::MAX);
    raw.send(&(1_u64 << 62).to_le_bytes());
    raw.send(b"abc");
    assert!(matches!(here.recv_bytes_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
    drop(raw);
    assert!(matches!(here.recv_bytes(), Err(RecvError::Fault(_))));
}

#[test]
fn a_message_that_the_peer_would_not_take_is_handed_back() {
    let listener = Listener::<String>::bind(localhost()).unwrap().message_limit(10);
    let client = Client::new(listener.local_address()).message_limit(20);
    thread::scope(|scope| {
        let there = scope.spawn(|| client.connect_timeout::<String, String>(LONG).unwrap());
        let (here, _) = listener.accept_timeout(LONG).unwrap();
        let there = there.join().unwrap();
        let long = "0123456789".to_owned();
        let Err(SendError::Fault(value, error)) = there.send(long.clone()) else { panic!() };
        assert_eq!(value, long);
        assert!(error.to_string().contains("it has 11 bytes, the other side takes at most 10"), "{error}");
        // Nothing of it was sent.
        there.send("short".to_owned()).unwrap();
        assert_eq!(here.recv().unwrap(), "short");
        here.send(long.clone()).unwrap();
        assert_eq!(there.recv().unwrap(), long);
    });
}

#[test]
fn a_message_with_handles_is_handed_back() {
    let (here, there) = connected::<Option<Fd<std::fs::File>>>(localhost());
    let file = || Some(Fd(std::fs::File::open("/dev/null").unwrap()));
    let Err(SendError::Fault(Some(_), error)) = here.send(file()) else { panic!() };
    assert!(error.to_string().contains("1 would have to leave it"), "{error}");
    assert!(matches!(here.try_send(file()), Err(TrySendError::Fault(Some(_), _))));
    here.send(None).unwrap();
    assert!(there.recv().unwrap().is_none());
}

#[test]
fn a_message_that_cannot_be_decoded_is_an_error_and_the_next_is_fine() {
    let (here, raw) = raw_pair::<String>(100);
    raw.send(&frame(&[2, 0xff, 0xff]));
    raw.send(&frame(b"\x02ok"));
    assert!(matches!(here.recv(), Err(RecvError::Fault(_))));
    assert_eq!(here.recv().unwrap(), "ok");
}

#[test]
fn threads_send_at_the_same_time_and_nothing_is_mixed() {
    let (here, there) = bytes_pair();
    thread::scope(|scope| {
        for thread in 0..4_u8 {
            let here = here.clone();
            scope.spawn(move || {
                for number in 0..50_usize {
                    let message = vec![thread; number * 1000];
                    match number % 3 {
                        0 => here.send_bytes(&message).unwrap(),
                        1 => while here.try_send_bytes(&message).is_err() {},
                        _ => while here.send_bytes_timeout(&message, SHORT / 20).is_err() {},
                    }
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..200 {
            let message = there.recv_bytes_timeout(LONG).unwrap();
            assert!(message.windows(2).all(|pair| pair[0] == pair[1]), "mixed");
            if let Some(&thread) = message.first() {
                let number = &mut next[usize::from(thread)];
                *number += 1;
                assert_eq!(message.len(), *number * 1000, "of thread {thread}");
            }
        }
    });
}

#[test]
fn threads_receive_at_the_same_time_and_each_message_once() {
    let (here, there) = connected::<u32>(localhost());
    thread::scope(|scope| {
        let receiving: Vec<_> = (0..4)
            .map(|_| {
                let there = there.clone();
                scope.spawn(move || there.iter().map(Result::unwrap).collect::<Vec<u32>>())
            })
            .collect();
        (0..1000).for_each(|number| here.send(number).unwrap());
        drop(here);
        let mut numbers: Vec<_> = receiving.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
    });
}

#[test]
fn a_dropped_sender_ends_one_direction_only() {
    let (here, there) = connected::<u32>(localhost());
    let (sender, receiver) = here.split();
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(there.recv().unwrap(), 1);
    assert!(matches!(there.recv(), Err(RecvError::Closed)));
    there.send(2).unwrap();
    assert_eq!(receiver.recv().unwrap(), 2);
}

/// Its socket is full, and it does not go on.
#[test]
fn a_stopped_peer_costs_the_timeout_only_and_loses_nothing() {
    alone(|| {
        let listener = Listener::<[u8]>::bind(localhost()).unwrap();
        let address = listener.local_address().clone();
        let peer = fork(|| {
            let there = Client::new(&address).connect_timeout::<[u8], [u8]>(LONG).unwrap();
            let mut count = 0_u32;
            while let Ok(message) = there.recv_bytes() {
                assert_eq!(message, pattern(1 << 20, count as usize));
                count += 1;
            }
            forever();
        });
        let (here, _) = listener.accept_timeout(LONG).unwrap();
        peer.stop();
        let mut sent = 0;
        while here.send_bytes_timeout(&pattern(1 << 20, sent), SHORT).is_ok() {
            sent += 1;
        }
        assert!(matches!(here.try_send_bytes(b"more"), Err(TrySendError::Full(()))));
        assert!(matches!(here.recv_bytes_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
        peer.signal(rustix::process::Signal::CONT);
        here.send_bytes_timeout(&pattern(1 << 20, sent), LONG).unwrap();
    });
}

/// It has not read everything, so that its system throws away what was on the way.
#[test]
fn a_peer_that_is_killed_with_messages_unread_shows() {
    alone(|| {
        let listener = Listener::<u32>::bind(localhost()).unwrap();
        let address = listener.local_address().clone();
        let peer = fork(|| {
            let _there = Client::new(&address).connect_timeout::<u32, u32>(LONG).unwrap();
            forever();
        });
        let (here, _) = listener.accept_timeout(LONG).unwrap();
        here.send(1).unwrap();
        peer.kill();
        // First that something may be lost, then the end.
        let Err(RecvError::Fault(error)) = here.recv() else { panic!() };
        assert_eq!(error.os().unwrap().kind(), std::io::ErrorKind::ConnectionReset, "{error}");
        assert!(matches!(here.recv(), Err(RecvError::Closed)));
        assert!(matches!(here.send(2), Err(SendError::Closed(2))));
    });
}

#[test]
fn a_connection_over_tcp_cannot_be_sent_on() {
    let (here, there) = connected::<u32>(localhost());
    let packed = Parcel::pack(|| {
        let mut bytes = Vec::new();
        codec::encode(&here, &mut bytes).map(|()| bytes)
    });
    let error = packed.unwrap_err().to_string();
    assert!(error.contains("cannot serialise a connection: over TCP it has one process"), "{error}");
    here.send(1).unwrap();
    assert_eq!(there.recv().unwrap(), 1);
}

#[test]
fn the_descriptor_is_readable_as_long_as_there_is_more() {
    use std::os::fd::AsFd;
    let (here, raw) = raw_pair::<[u8]>(100);
    raw.send(&[frame(b"one"), frame(b"two")].concat());
    for expected in [&b"one"[..], b"two"] {
        let ready = ipc_pipe::wait(&[&here.as_fd()], Some(LONG)).unwrap();
        assert_eq!(ready, [0]);
        assert_eq!(here.recv_bytes().unwrap(), expected);
    }
    assert!(ipc_pipe::wait(&[&here.as_fd()], Some(Duration::ZERO)).unwrap().is_empty());
    assert!(ipc_pipe::wait(&[&here], Some(Duration::ZERO)).unwrap().is_empty());
}

#[test]
fn a_connection_is_waited_for() {
    let (here, raw) = raw_pair::<[u8]>(100);
    let (other, _raw) = raw_pair::<[u8]>(100);
    raw.send(&frame(b"one")[..9]);
    assert!(ipc_pipe::wait(&[&other, &here], Some(SHORT)).unwrap().is_empty(), "a part is nothing");
    raw.send(&frame(b"one")[9..]);
    assert_eq!(ipc_pipe::wait(&[&other, &here], Some(LONG)).unwrap(), [1]);
    assert_eq!(here.try_recv_bytes().unwrap(), b"one");
    drop(raw);
    assert_eq!(ipc_pipe::wait(&[&other, &here], Some(LONG)).unwrap(), [1]);
}

#[test]
fn a_closed_connection_hands_the_value_back() {
    let listener = Listener::<String>::bind(localhost()).unwrap();
    let client = Client::new(listener.local_address());
    let there = thread::scope(|scope| {
        let there = scope.spawn(|| client.connect_timeout::<String, String>(LONG).unwrap());
        drop(listener.accept_timeout(LONG).unwrap());
        there.join().unwrap()
    });
    assert!(matches!(there.recv(), Err(RecvError::Closed)));
    ipc_crash_test::alone::until(
        "it is not noticed",
        || matches!(there.send("back".to_owned()), Err(SendError::Closed(value)) if value == "back"),
    );
    assert!(there.is_closed());
}

#[test]
fn a_process_that_may_open_nothing_waits_for_a_message() {
    alone(|| {
        let (here, there) = connected::<u32>(localhost());
        let child = fork(|| {
            let none = Rlimit { current: Some(0), ..getrlimit(Resource::Nofile) };
            setrlimit(Resource::Nofile, none).unwrap();
            there.send(1).unwrap();
            assert_eq!(there.recv().unwrap(), 7);
        });
        assert_eq!(here.recv().unwrap(), 1);
        // For longer than it naps where it cannot wait.
        thread::sleep(10 * SHORT);
        here.send(7).unwrap();
        child.join();
    });
}
