//! The end: when the last handle of the other side is gone, however it went.
#![allow(unsafe_code)]

use ipc_core::transfer::{self, Parcel};
use ipc_pipe::{
    Builder, Connection, Receiver, RecvError, RecvTimeoutError, SendError, SendTimeoutError, Sender,
    TryRecvError, TrySendError, one_way, pipe,
};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::help::{
    LONG, SHORT, alone, forever, fork, fork_and_stay, join, spawn, until, until_receiving, until_sending,
};

#[test]
fn what_was_sent_is_received_and_then_comes_the_end() {
    let (sender, receiver) = one_way().unwrap();
    let clone = sender.clone();
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 1);
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    assert!(matches!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
    clone.send(2).unwrap();
    clone.send(3).unwrap();
    drop(clone);
    assert!(receiver.poll(None));
    assert_eq!(receiver.try_recv().unwrap(), 2);
    assert_eq!(receiver.recv_timeout(SHORT).unwrap(), 3);
    assert!(receiver.poll(None), "the end is ready");
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Closed)));
    assert!(matches!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Closed)));
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    assert_eq!(receiver.into_iter().count(), 0);
}

#[test]
fn after_an_orderly_end_the_very_next_try_says_so() {
    // Often, since what is remembered of the last look must not hide it.
    for _ in 0..200 {
        let (here, there) = pipe::<u32, u32>().unwrap();
        here.try_send(1).unwrap();
        assert!(matches!(here.try_recv(), Err(TryRecvError::Empty)));
        drop(there);
        assert!(matches!(here.try_send(2), Err(TrySendError::Closed(2))));
        assert!(matches!(here.try_recv(), Err(TryRecvError::Closed)));
    }
}

#[test]
fn who_sends_to_nobody_has_the_value_back() {
    let (sender, receiver) = one_way::<String>().unwrap();
    let clone = receiver.clone();
    drop(receiver);
    sender.send("one".to_string()).unwrap();
    assert!(!sender.is_closed());
    drop(clone);
    assert!(sender.is_closed());
    assert!(matches!(sender.send("two".to_string()), Err(SendError::Closed(text)) if text == "two"));
    assert!(matches!(sender.try_send("two".to_string()), Err(TrySendError::Closed(text)) if text == "two"));
    let refused = sender.send_timeout("two".to_string(), LONG);
    assert!(matches!(refused, Err(SendTimeoutError::Closed(text)) if text == "two"));
}

#[test]
fn who_sends_to_nobody_gets_no_signal() {
    alone(|| {
        // SAFETY: the default action, which would end the process.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let (sender, receiver) = one_way::<u32>().unwrap();
        let waiting = fork_and_stay(|| assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty))));
        drop(receiver);
        // It is noted that somebody waits: the first thing that is done is to wake him.
        waiting.kill();
        until("it is noticed", || sender.send(1).is_err());
    });
}

#[test]
fn a_receiver_comes_to_the_end_however_the_last_sender_goes() {
    alone(|| {
        for way in ["returns", "drops and stays", "is killed", "is stopped first"] {
            let (sender, receiver) = one_way::<u32>().unwrap();
            let send = |sender: Sender<u32>| {
                sender.send(1).unwrap();
                sender
            };
            // The child has the only copy that counts: this process drops its own.
            let child = match way {
                "returns" => fork(|| std::mem::forget(send(sender))),
                "drops and stays" => fork_and_stay(|| drop(send(sender))),
                _ => fork_and_stay(|| std::mem::forget(send(sender))),
            };
            assert_eq!(receiver.recv_timeout(LONG).unwrap(), 1, "{way}");
            if way == "is stopped first" {
                child.stop();
                assert!(matches!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout)), "not dead");
            }
            if way.starts_with("is") {
                child.kill();
            }
            assert!(matches!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Closed)), "{way}");
        }
    });
}

#[test]
fn a_receiver_that_waits_is_woken_by_the_end() {
    alone(|| {
        let (sender, receiver) = one_way::<u32>().unwrap();
        let holder = fork_and_stay(|| drop(receiver.clone()));
        let waiting: Vec<_> = (0..2)
            .map(|_| {
                let (sender, receiver) = (sender.clone(), receiver.clone());
                // A forked child has copies of everything; these have to let the sending end go.
                spawn(wait_for_end, (receiver, Some(sender)))
            })
            .collect();
        until_receiving(2, || receiver.incoming_stats());
        drop(sender);
        assert!(matches!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout)), "one holds it");
        holder.kill();
        waiting.into_iter().for_each(|mut child| join(&mut child));
    });
}

fn wait_for_end(receiver: Receiver<u32>, sender: Option<Sender<u32>>) {
    drop(sender);
    assert!(matches!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Closed)));
}

#[test]
fn a_sender_that_waits_for_room_is_woken_by_the_end() {
    alone(|| {
        let (sender, receiver) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
        while sender.try_send_bytes(&[0; 100]).is_ok() {}
        let mut child = spawn(wait_for_refusal, (sender.clone(),));
        until_sending(|| sender.outgoing_stats());
        drop(receiver);
        join(&mut child);
    });
}

fn wait_for_refusal(sender: Sender<[u8]>) {
    assert!(matches!(sender.send_bytes_timeout(&[0; 100], LONG), Err(SendTimeoutError::Closed(()))));
}

#[test]
fn a_killed_receiver_is_noticed_by_who_sends_and_by_who_waits() {
    alone(|| {
        for waits in [false, true] {
            let (sender, receiver) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
            let mut child = spawn(hold, (receiver,));
            if waits {
                while sender.try_send_bytes(&[0; 100]).is_ok() {}
                std::thread::scope(|scope| {
                    let refused = scope.spawn(|| sender.send_bytes_timeout(&[0; 100], LONG));
                    until_sending(|| sender.outgoing_stats());
                    child.kill().unwrap();
                    assert!(matches!(refused.join().unwrap(), Err(SendTimeoutError::Closed(()))));
                });
            } else {
                child.kill().unwrap();
                until("it is noticed", || {
                    matches!(sender.try_send_bytes(&[]), Err(TrySendError::Closed(())))
                });
            }
            // Its descriptors are gone a moment before it is.
            assert!(child.join().is_err());
        }
    });
}

fn hold(receiver: Receiver<[u8]>) {
    let _receiver = receiver;
    forever();
}

#[test]
fn a_stopped_peer_with_a_full_pipe_leaves_tries_and_timeouts_working() {
    alone(|| {
        let (here, there) = Builder::new().ring(4096).pipe::<[u8], [u8]>().unwrap();
        let peer = fork_and_stay(|| {
            let _ = there.try_recv_bytes();
        });
        drop(there);
        while here.try_send_bytes(&[0; 100]).is_ok() {}
        peer.stop();
        assert!(matches!(here.try_send_bytes(&[0; 100]), Err(TrySendError::Full(()))));
        assert!(matches!(here.send_bytes_timeout(&[0; 100], SHORT), Err(SendTimeoutError::Timeout(()))));
        assert!(matches!(here.try_recv_bytes(), Err(TryRecvError::Empty)));
        assert!(matches!(here.recv_bytes_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
        assert!(!here.is_closed());
        peer.signal(Signal::CONT);
        peer.kill();
        until("it is noticed", || here.is_closed());
        assert!(matches!(here.recv_bytes_timeout(LONG), Err(RecvTimeoutError::Closed)));
    });
}

fn echo(connection: Connection<u32, u32>) {
    while let Ok(number) = connection.recv() {
        connection.send(number).unwrap();
    }
}

#[test]
fn an_end_that_was_moved_into_a_child_ends_with_it() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    let mut child = spawn(echo, (there,));
    here.send(1).unwrap();
    assert_eq!(here.recv_timeout(LONG).unwrap(), 1);
    child.kill().unwrap();
    assert!(matches!(here.recv_timeout(LONG), Err(RecvTimeoutError::Closed)));
    until("it is noticed", || here.try_send(2).is_err());
    assert!(child.join().is_err());
}

#[test]
fn a_half_that_is_dropped_ends_its_direction_only() {
    let (here, there) = pipe::<u32, u32>().unwrap();
    let (sender, receiver) = here.split();
    drop(sender);
    assert!(matches!(there.recv(), Err(RecvError::Closed)));
    there.send(1).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
    drop(there);
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
}

#[test]
fn an_end_on_its_way_counts_until_nobody_can_receive_it() {
    let (sender, receiver) = one_way::<u32>().unwrap();
    let (here, there) = transfer::channel().unwrap();
    let mut bytes = Vec::new();
    let pack = || {
        ipc_core::codec::encode(&sender, &mut bytes).unwrap();
        Ok::<_, ipc_core::Error>(bytes.clone())
    };
    Parcel::pack(pack).unwrap().send(&here).unwrap();
    drop(sender);
    assert!(matches!(receiver.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout)), "it is on its way");
    drop((here, there));
    assert!(matches!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Closed)));
}

#[test]
fn a_hundred_thousand_pipes_come_and_go_without_a_trace() {
    alone(|| {
        let maps = || std::fs::read_to_string("/proc/self/maps").unwrap().lines().count();
        let cycle = |number: u64| {
            let (sender, receiver) = Builder::new().ring(4096).one_way::<u64>().unwrap();
            sender.send(number).unwrap();
            assert_eq!(receiver.recv().unwrap(), number);
            if number.is_multiple_of(2) {
                drop(sender);
                assert!(matches!(receiver.try_recv(), Err(TryRecvError::Closed)));
            } else {
                drop(receiver);
                assert!(matches!(sender.try_send(number), Err(TrySendError::Closed(_))));
            }
        };
        (0..100).for_each(cycle);
        let before = (maps(), crate::help::descriptors());
        (0..100_000).for_each(cycle);
        assert_eq!((maps(), crate::help::descriptors()), before);
    });
}

/// Its sender may just be about to wake the receiver.
#[test]
fn a_message_that_was_received_is_not_handed_back() {
    for number in 0..1_500 {
        let (sender, receiver) = one_way::<u32>().unwrap();
        let receiving = std::thread::spawn(move || receiver.recv().unwrap());
        sender.send(number).unwrap();
        assert_eq!(receiving.join().unwrap(), number);
    }
}

/// As in a sandbox, which has what it needs before.
fn recv_with_no_descriptor_allowed(receiver: Receiver<u32>) -> bool {
    let none = Rlimit { current: Some(0), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, none).unwrap();
    matches!(receiver.recv_timeout(LONG), Ok(1))
        && matches!(receiver.recv_timeout(LONG), Err(RecvTimeoutError::Closed))
}

#[test]
fn a_process_that_may_open_nothing_sees_messages_and_the_end() {
    let (sender, receiver) = one_way::<u32>().unwrap();
    let watch = receiver.clone();
    let mut child = spawn(recv_with_no_descriptor_allowed, (receiver,));
    until_receiving(1, || watch.incoming_stats());
    sender.send(1).unwrap();
    until_receiving(1, || watch.incoming_stats());
    drop(sender);
    assert!(join(&mut child));
}
