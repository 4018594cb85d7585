//! Sending and receiving: order, waiting, timeouts, and what comes back.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use ipc_pipe::{
    Builder, Connection, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError, one_way,
    pipe,
};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use crate::help::{LONG, SHORT, alone, fork, join, past, spawn, until, until_receiving, until_sending};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point { x: i32, y: i32 },
    Text(String),
    Many(Vec<Shape>),
    Nothing,
}

#[test]
fn values_of_any_shape_arrive_in_the_order_in_which_they_were_sent() {
    let (sender, receiver) = one_way().unwrap();
    let shapes = [
        Shape::Point { x: 1, y: -2 },
        Shape::Text("name".to_string()),
        Shape::Many(vec![Shape::Nothing, Shape::Text(String::new())]),
        Shape::Nothing,
    ];
    shapes.iter().for_each(|shape| sender.send(shape.clone()).unwrap());
    shapes.iter().for_each(|shape| assert_eq!(receiver.recv().unwrap(), *shape));
}

#[test]
fn a_duplex_pipe_has_a_type_in_each_direction() {
    let (here, there): (Connection<String, u64>, Connection<u64, String>) = pipe().unwrap();
    here.send("seven".to_string()).unwrap();
    assert_eq!(there.recv().unwrap(), "seven");
    there.send(7).unwrap();
    assert_eq!(here.recv().unwrap(), 7);
    // What is under way in one direction does not stand in the way of the other.
    let (sender, receiver) = here.split();
    sender.send("again".to_string()).unwrap();
    there.send(8).unwrap();
    assert_eq!((receiver.recv().unwrap(), there.recv().unwrap()), (8, "again".to_string()));
}

fn double(connection: Connection<u64, u64>) {
    connection.iter().map(Result::unwrap).for_each(|number| connection.send(2 * number).unwrap());
}

#[test]
fn a_child_answers_until_the_end() {
    let (here, there) = pipe::<u64, u64>().unwrap();
    let mut child = spawn(double, (there,));
    for number in 0..1000 {
        here.send(number).unwrap();
        assert_eq!(here.recv().unwrap(), 2 * number);
    }
    drop(here);
    join(&mut child);
}

#[test]
fn an_empty_message_is_a_message() {
    let (sender, receiver) = one_way::<()>().unwrap();
    sender.send(()).unwrap();
    assert!(receiver.poll(Some(Duration::ZERO)));
    receiver.recv().unwrap();
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn nothing_is_taken_from_a_full_pipe_and_the_value_comes_back() {
    let (sender, receiver) = Builder::new().ring(4096).one_way().unwrap();
    let mut sent = 0;
    let refused = loop {
        match sender.try_send((sent, "x".repeat(100))) {
            Ok(()) => sent += 1,
            Err(refused) => break refused,
        }
    };
    assert!(matches!(&refused, TrySendError::Full((number, _)) if *number == sent));
    assert!((20..40).contains(&sent), "{sent} messages");
    let begin = Instant::now();
    let refused = sender.send_timeout(refused.into_inner(), SHORT).unwrap_err();
    assert!(begin.elapsed() >= SHORT);
    assert!(matches!(&refused, SendTimeoutError::Timeout((number, _)) if *number == sent));
    assert!(sender.send_deadline(refused.into_inner(), past()).is_err());
    assert_eq!(sender.outgoing_stats().messages, sent);
    for number in 0..sent {
        assert_eq!(receiver.recv().unwrap().0, number);
    }
    sender.try_send((sent, String::new())).unwrap();
    assert_eq!(receiver.recv().unwrap().0, sent);
}

#[test]
fn who_waits_for_room_goes_on_when_there_is_some() {
    alone(|| {
        let (sender, receiver) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
        let child = fork(|| (0..100).for_each(|number| sender.send_bytes(&[number; 200]).unwrap()));
        until_sending(|| receiver.incoming_stats());
        for number in 0..100 {
            assert_eq!(receiver.recv_bytes_timeout(LONG).unwrap(), [number; 200]);
        }
        child.join();
    });
}

#[test]
fn who_waits_for_a_message_sleeps_and_is_woken() {
    alone(|| {
        let (sender, receiver) = one_way().unwrap();
        for round in 0..20 {
            let child = fork(|| assert_eq!(receiver.recv_timeout(LONG).unwrap(), round));
            until_receiving(1, || sender.outgoing_stats());
            until("it sleeps", || child.is_asleep());
            sender.send(round).unwrap();
            child.join();
        }
    });
}

#[test]
fn timeouts_and_deadlines_come_and_take_nothing() {
    let (sender, receiver) = one_way::<u32>().unwrap();
    for timeout in [Duration::ZERO, SHORT] {
        let begin = Instant::now();
        assert!(matches!(receiver.recv_timeout(timeout), Err(RecvTimeoutError::Timeout)));
        assert!(begin.elapsed() >= timeout);
        assert!(!receiver.poll(Some(timeout)));
    }
    assert!(matches!(receiver.recv_deadline(past()), Err(RecvTimeoutError::Timeout)));
    sender.send(1).unwrap();
    assert!(receiver.poll(Some(Duration::ZERO)));
    assert!(receiver.poll(None));
    assert_eq!(receiver.recv_deadline(past()).unwrap(), 1);
    sender.send(2).unwrap();
    assert_eq!(receiver.recv_timeout(Duration::MAX).unwrap(), 2);
}

#[test]
fn a_value_that_cannot_be_encoded_comes_back_and_nothing_was_sent() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Odd(#[serde(serialize_with = "only_even")] u32);
    fn only_even<S: serde::Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        if number.is_multiple_of(2) {
            serializer.serialize_u32(*number)
        } else {
            Err(serde::ser::Error::custom("odd"))
        }
    }
    let (sender, receiver) = one_way::<Odd>().unwrap();
    let Err(SendError::Fault(Odd(7), error)) = sender.send(Odd(7)) else { panic!("it was taken") };
    assert!(error.to_string().contains("odd"), "{error}");
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
    sender.send(Odd(8)).unwrap();
    assert_eq!(receiver.recv().unwrap().0, 8);
}

#[test]
fn a_message_that_cannot_be_decoded_is_one_error() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Small(#[serde(deserialize_with = "up_to_nine")] u32);
    fn up_to_nine<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        let number = u32::deserialize(deserializer)?;
        if number < 10 { Ok(number) } else { Err(serde::de::Error::custom("too large")) }
    }
    let (sender, receiver) = one_way::<Small>().unwrap();
    [1, 10, 2].into_iter().for_each(|number| sender.send(Small(number)).unwrap());
    drop(sender);
    let received: Vec<_> = receiver.into_iter().map(|value| value.ok().map(|Small(number)| number)).collect();
    assert_eq!(received, [Some(1), None, Some(2)]);
}

/// System calls end with EINTR when that signal comes.
fn interrupt_at_signals() {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: zero is a valid `sigaction`: no flags, so no SA_RESTART, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as *const () as usize;
    // SAFETY: the handler does nothing.
    assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) }, 0);
}

#[test]
fn a_signal_does_not_end_a_wait() {
    alone(|| {
        interrupt_at_signals();
        let (sender, receiver) = one_way::<u32>().unwrap();
        let (full, rest) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
        while full.try_send_bytes(&[0; 100]).is_ok() {}
        let getter = fork(|| assert_eq!(receiver.recv_timeout(LONG).unwrap(), 7));
        let putter = fork(|| full.send_bytes_timeout(&[1; 100], LONG).unwrap());
        until_receiving(1, || sender.outgoing_stats());
        until_sending(|| rest.incoming_stats());
        for _ in 0..100 {
            getter.signal(Signal::USR1);
            putter.signal(Signal::USR1);
            std::thread::yield_now();
        }
        sender.send(7).unwrap();
        (0..10).for_each(|_| drop(rest.recv_bytes().unwrap()));
        getter.join();
        putter.join();
    });
}
