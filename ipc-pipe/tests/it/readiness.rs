//! `poll`, the descriptor, and `wait` for several things.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ipc_pipe::{Receiver, TryRecvError, Waitable, one_way, pipe, wait};
use rustix::event::epoll;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::help::{LONG, SHORT, alone, forever, fork, spawn, until, until_receiving};

fn is_readable(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
}

#[test]
fn the_descriptor_is_readable_when_there_is_something_and_not_after_a_try_found_nothing() {
    let (sender, receiver) = one_way::<u32>().unwrap();
    assert!(!is_readable(&receiver));
    for round in 0..3 {
        sender.send(round).unwrap();
        assert!(is_readable(&receiver), "round {round}");
        assert_eq!(receiver.recv().unwrap(), round);
        assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
        assert!(!is_readable(&receiver), "round {round}");
    }
    drop(sender);
    assert!(is_readable(&receiver));
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Closed)));
    assert!(is_readable(&receiver));
}

#[test]
fn the_descriptor_of_one_who_has_waited_is_readable_when_something_comes() {
    alone(|| {
        let (sender, receiver) = one_way::<u32>().unwrap();
        let child = fork(|| assert_eq!(receiver.recv_timeout(LONG).unwrap(), 1));
        until_receiving(1, || receiver.incoming_stats());
        sender.send(1).unwrap();
        child.join();
        for _ in 0..3 {
            sender.send(2).unwrap();
            assert!(is_readable(&receiver));
            assert_eq!(receiver.recv_timeout(LONG).unwrap(), 2);
            assert!(receiver.recv_timeout(SHORT).is_err());
        }
    });
}

/// Tells when something is readable that was not, or has become more.
struct Edge(OwnedFd);

impl Edge {
    fn of(fd: impl AsFd) -> Edge {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, fd, epoll::EventData::new_u64(0), flags).unwrap();
        Edge(epoll)
    }

    fn comes(&self) -> bool {
        let mut events = Vec::with_capacity(1);
        let limit = Timespec { tv_sec: 30, tv_nsec: 0 };
        let wait = || epoll::wait(&self.0, rustix::buffer::spare_capacity(&mut events), Some(&limit));
        rustix::io::retry_on_intr(wait).unwrap();
        !events.is_empty()
    }
}

/// Another looks at the message in its place, for long.
#[test]
fn who_waits_at_the_edge_and_found_nothing_is_told_of_the_next() {
    let (sender, receiver) = one_way::<[u8]>().unwrap();
    let edge = Edge::of(&receiver);
    sender.send_bytes(b"first").unwrap();
    let (looks, may_end) = (AtomicBool::new(false), AtomicBool::new(false));
    let other = receiver.clone();
    thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let looked = other.recv_bytes_with(|_| {
                looks.store(true, Ordering::Relaxed);
                until("he may end", || may_end.load(Ordering::Relaxed));
            });
            looked.unwrap();
        });
        until("he looks", || looks.load(Ordering::Relaxed));
        assert!(edge.comes());
        assert!(matches!(receiver.try_recv_bytes(), Err(TryRecvError::Empty)));
        may_end.store(true, Ordering::Relaxed);
        looking.join().unwrap();
    });
    sender.send_bytes(b"second").unwrap();
    assert!(edge.comes(), "there is a message, and nobody tells");
    assert_eq!(receiver.try_recv_bytes().unwrap(), b"second");
}

#[test]
fn who_waits_at_the_edge_and_receives_all_misses_nothing() {
    alone(|| {
        let (sender, receiver) = one_way::<u32>().unwrap();
        let child = fork(|| (0..20_000).for_each(|number| sender.send(number).unwrap()));
        drop(sender);
        let edge = Edge::of(&receiver);
        let mut expected = 0;
        'all: loop {
            assert!(edge.comes(), "asleep beside message {expected}");
            loop {
                match receiver.try_recv() {
                    Ok(number) => assert_eq!(number, expected),
                    Err(TryRecvError::Empty) => break,
                    Err(TryRecvError::Closed) => break 'all,
                    Err(error) => panic!("{error}"),
                }
                expected += 1;
            }
        }
        assert_eq!(expected, 20_000);
        child.join();
    });
}

#[test]
fn wait_names_all_that_is_ready_and_takes_nothing() {
    let pipes: Vec<_> = (0..3).map(|_| pipe::<u32, u32>().unwrap()).collect();
    let (mut writer, reader) = UnixStream::pair().unwrap();
    let socket = reader.as_fd();
    let mut things: Vec<&dyn Waitable> = pipes.iter().map(|(here, _)| here as _).collect();
    things.push(&socket);
    assert!(wait(&things, Some(Duration::ZERO)).unwrap().is_empty());
    assert!(wait(&things, Some(SHORT)).unwrap().is_empty());
    pipes[1].1.send(1).unwrap();
    writer.write_all(b"x").unwrap();
    for _ in 0..3 {
        assert_eq!(wait(&things, None).unwrap(), [1, 3]);
    }
    assert_eq!(pipes[1].0.recv().unwrap(), 1);
    assert_eq!(wait(&things, None).unwrap(), [3]);
    // What was waited for in vain before shows, too.
    pipes[0].1.send(2).unwrap();
    assert_eq!(wait(&things, None).unwrap(), [0, 3]);
}

#[test]
fn the_end_is_ready() {
    let (sender, receiver) = one_way::<u32>().unwrap();
    let (other, silent) = one_way::<u32>().unwrap();
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(wait(&[&silent, &receiver], None).unwrap(), [1]);
    receiver.recv().unwrap();
    assert_eq!(wait(&[&silent, &receiver], None).unwrap(), [1]);
    drop(other);
    assert_eq!(wait(&[&silent, &receiver], None).unwrap(), [0, 1]);
}

#[test]
fn without_anything_to_wait_for_time_passes_or_it_is_an_error() {
    assert!(wait(&[], Some(Duration::ZERO)).unwrap().is_empty());
    assert!(wait(&[], Some(SHORT)).unwrap().is_empty());
    assert!(wait(&[], None).is_err());
}

fn stay(receiver: Receiver<u32>) -> u32 {
    receiver.recv().unwrap_or_else(|_| forever())
}

#[test]
fn a_message_and_the_death_of_a_process_are_waited_for_together() {
    let (answer, answers) = one_way::<u32>().unwrap();
    let (_question, questions) = one_way::<u32>().unwrap();
    let child = spawn(stay, (questions,));
    let sentinel = child.as_fd();
    assert!(wait(&[&answers, &sentinel], Some(SHORT)).unwrap().is_empty());
    std::thread::scope(|scope| {
        scope.spawn(|| answer.send(1).unwrap());
        assert_eq!(wait(&[&sentinel, &answers], Some(LONG)).unwrap(), [1]);
    });
    child.kill().unwrap();
    until("its end shows", || wait(&[&sentinel, &answers], Some(LONG)).unwrap() == [0, 1]);
}

#[test]
fn who_waits_for_many_is_woken_by_any() {
    alone(|| {
        let pipes: Vec<_> = (0..200).map(|_| one_way::<u32>().unwrap()).collect();
        for index in [0, 199, 77, 77] {
            let child = fork(|| {
                let things: Vec<&dyn Waitable> = pipes.iter().map(|(_, receiver)| receiver as _).collect();
                assert_eq!(wait(&things, Some(LONG)).unwrap(), [index]);
                pipes[index].1.recv().unwrap();
            });
            until("it sleeps", || child.is_asleep());
            pipes[index].0.send(1).unwrap();
            child.join();
        }
    });
}
