//! Several processes at one end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ipc_pipe::{Builder, Receiver, RecvError, Sender, one_way, pipe};
use rustix::process::Signal;

use crate::help::{LONG, alone, fork, join, spawn, until, until_receiving, until_sending};

fn produce(sender: Sender<(u32, u32)>, who: u32, count: u32) {
    (0..count).for_each(|number| sender.send((who, number)).unwrap());
}

fn consume(receiver: Receiver<(u32, u32)>) -> Vec<(u32, u32)> {
    receiver.into_iter().map(Result::unwrap).collect()
}

/// Each message once, and those of one sender in their order for each receiver.
fn pass(senders: u32, receivers: usize, ring: usize) {
    let (sender, receiver) = Builder::new().ring(ring).one_way().unwrap();
    let mut receiving: Vec<_> = (0..receivers).map(|_| spawn(consume, (receiver.clone(),))).collect();
    drop(receiver);
    let count = 3000;
    let mut sending: Vec<_> = (0..senders).map(|who| spawn(produce, (sender.clone(), who, count))).collect();
    drop(sender);
    sending.iter_mut().for_each(join);
    let received: Vec<_> = receiving.iter_mut().map(join).collect();
    for messages in &received {
        for who in 0..senders {
            assert!(messages.iter().filter(|message| message.0 == who).is_sorted(), "out of order");
        }
    }
    let mut all = received.concat();
    all.sort_unstable();
    let expected: Vec<_> = (0..senders).flat_map(|who| (0..count).map(move |number| (who, number))).collect();
    assert!(all == expected, "{} of {} messages", all.len(), expected.len());
}

#[test]
fn each_message_is_received_once_by_one_of_three_and_all_see_the_end() {
    pass(1, 3, 1 << 18);
}

#[test]
fn messages_of_three_do_not_mix() {
    pass(3, 1, 1 << 18);
}

#[test]
fn many_to_many_with_a_ring_that_is_always_full() {
    pass(3, 3, 4096);
}

#[test]
fn all_who_sleep_at_one_end_get_something_to_do() {
    alone(|| {
        let (sender, receiver) = one_way::<u32>().unwrap();
        for _ in 0..10 {
            let children: Vec<_> =
                (0..4).map(|_| fork(|| assert!(receiver.recv_timeout(LONG).unwrap() < 4))).collect();
            until_receiving(4, || receiver.incoming_stats());
            until("they sleep", || children.iter().all(|child| child.is_asleep()));
            (0..4).for_each(|number| sender.send(number).unwrap());
            children.into_iter().for_each(|child| child.join());
        }
    });
}

#[test]
fn threads_share_an_end() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    std::thread::scope(|scope| {
        let answering: Vec<_> = (0..3)
            .map(|_| {
                scope
                    .spawn(|| there.iter().map(Result::unwrap).for_each(|number| there.send(number).unwrap()))
            })
            .collect();
        let (sender, receiver) = here.split();
        let collecting = scope.spawn(move || {
            let mut numbers: Vec<_> = (0..1000).map(|_| receiver.recv().unwrap()).collect();
            numbers.sort_unstable();
            numbers
        });
        (0..1000).for_each(|number| sender.send(number).unwrap());
        assert_eq!(collecting.join().unwrap(), (0..1000).collect::<Vec<_>>());
        drop(sender);
        answering.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(matches!(there.recv(), Err(RecvError::Closed)));
    });
}

/// A small one finds room whenever one was received, a large one only if some of them have left it.
#[test]
fn small_messages_do_not_keep_a_large_one_out() {
    let (sender, receiver) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    sender.send_bytes(&[1; 100]).unwrap();
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) || receiver.poll(Some(Duration::ZERO)) {
                let _ = receiver.try_recv_bytes();
                // It has something to do with each.
                thread::sleep(Duration::from_micros(200));
            }
        });
        until("it is full", || sender.outgoing_stats().messages > 20);
        let sent = sender.send_bytes_timeout(&[2; 2000], LONG);
        stop.store(true, Ordering::Relaxed);
        sent.unwrap();
    });
}

/// Whatever becomes of him.
#[test]
fn one_who_waits_for_much_room_keeps_others_out_only_until_all_is_received() {
    alone(|| {
        for signal in [Signal::KILL, Signal::STOP] {
            let (sender, receiver) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
            while sender.try_send_bytes(&[1; 100]).is_ok() {}
            let child = fork(|| sender.send_bytes(&[2; 2000]).unwrap());
            until_sending(|| sender.outgoing_stats());
            until("he has them wait", || {
                (0..3).for_each(|_| drop(receiver.recv_bytes().unwrap()));
                (0..).take_while(|_| sender.try_send_bytes(&[1; 100]).is_ok()).count() == 0
            });
            if signal == Signal::STOP {
                child.stop()
            } else {
                child.kill()
            }
            while receiver.try_recv_bytes().is_ok() {}
            sender.send_bytes_timeout(&[1; 100], LONG).unwrap();
            assert_eq!(receiver.recv_bytes().unwrap(), [1; 100]);
        }
    });
}

#[test]
fn who_waits_for_room_sees_that_memory_was_added() {
    let (sender, receiver) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
    while sender.try_send_bytes(&[1; 1000]).is_ok() {}
    thread::scope(|scope| {
        let waiting = scope.spawn(|| sender.send_bytes_timeout(&[1; 1000], 2 * LONG));
        until_sending(|| sender.outgoing_stats());
        // More than half of the ring, so that there is a larger one.
        sender.try_send_bytes(&[2; 5000]).unwrap();
        until("he goes on", || waiting.is_finished());
    });
    assert_eq!(receiver.recv_bytes().unwrap(), [1; 1000]);
}
