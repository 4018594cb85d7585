//! Messages of bytes, of any size.

use ipc_pipe::{Builder, RecvIntoError, TryRecvError, TrySendError, one_way, pipe};

use crate::help::{LONG, alone, fork, until, until_receiving, until_sending, with_file_limit};

#[test]
fn empty_messages_are_messages_and_not_the_end() {
    let (sender, receiver) = one_way::<[u8]>().unwrap();
    sender.send_bytes(b"").unwrap();
    sender.send_bytes(b"x").unwrap();
    sender.send_bytes(b"").unwrap();
    drop(sender);
    assert_eq!(receiver.recv_bytes().unwrap(), b"");
    assert_eq!(receiver.try_recv_bytes().unwrap(), b"x");
    assert_eq!(receiver.recv_bytes_timeout(LONG).unwrap(), b"");
    assert!(matches!(receiver.try_recv_bytes(), Err(TryRecvError::Closed)));
}

#[test]
fn a_message_goes_into_a_buffer_or_comes_with_the_error() {
    let (here, there) = pipe::<[u8], [u8]>().unwrap();
    let mut buffer = [0; 4];
    here.send_bytes(b"abc").unwrap();
    assert_eq!(there.recv_bytes_into(&mut buffer).unwrap(), 3);
    assert_eq!(&buffer, b"abc\0");
    here.send_bytes(b"too long").unwrap();
    here.send_bytes(b"next").unwrap();
    let Err(RecvIntoError::TooShort(message)) = there.recv_bytes_into(&mut buffer) else { panic!() };
    assert_eq!(message, b"too long");
    assert_eq!(there.recv_bytes_into(&mut buffer).unwrap(), 4);
    drop(here);
    assert!(matches!(there.recv_bytes_into(&mut buffer), Err(RecvIntoError::Closed)));
}

#[test]
fn a_message_is_looked_at_in_place() {
    let (sender, receiver) = one_way::<[u8]>().unwrap();
    sender.send_bytes(b"hello, you").unwrap();
    let end = receiver.recv_bytes_with(|message| {
        let mut end = [0; 3];
        assert_eq!((message.len(), message.read_at(7, &mut end)), (10, 3));
        end
    });
    assert_eq!(&end.unwrap(), b"you");
    assert!(matches!(receiver.try_recv_bytes_with(|_| ()), Err(TryRecvError::Empty)));
}

#[test]
fn a_look_that_panics_leaves_the_message() {
    let (sender, receiver) = one_way::<[u8]>().unwrap();
    sender.send_bytes(b"x").unwrap();
    let panics = || receiver.recv_bytes_with(|_| panic!("no"));
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
    assert_eq!(receiver.recv_bytes().unwrap(), b"x");
}

fn filled(len: usize) -> Vec<u8> {
    (0..len).map(|at| (at * 31 + len) as u8).collect()
}

#[test]
fn messages_of_any_size_go_through_a_small_ring() {
    alone(|| {
        let (sender, receiver) = Builder::new().ring(4096).one_way::<[u8]>().unwrap();
        let sizes = || {
            let small = (0..5000).step_by(7);
            small.chain([60_000, 1 << 20, 3, 5 << 20, 1 << 16, 4095, 4096, 70 << 20, 8, 2 << 20])
        };
        let child = fork(|| sizes().for_each(|len| sender.send_bytes(&filled(len)).unwrap()));
        sizes().for_each(|len| assert!(receiver.recv_bytes_timeout(LONG).unwrap() == filled(len), "{len}"));
        child.join();
    });
}

#[test]
fn what_is_unread_takes_no_more_memory_than_the_ring_and_four_of_the_largest() {
    let (sender, receiver) = Builder::new().ring(1 << 16).one_way::<[u8]>().unwrap();
    let fill = |len| (0..).take_while(|_| sender.try_send_bytes(&vec![1; len]).is_ok()).count();
    let full = fill(64);
    assert!((700..1000).contains(&full), "{full}");
    assert_eq!(sender.outgoing_stats().memory, 1 << 16);
    // One that could never have room here is taken at once, and one more; and then no more.
    let large = fill(1 << 20);
    assert!((1..4).contains(&large), "{large} large ones");
    assert!(matches!(sender.try_send_bytes(&[1]), Ok(()) | Err(TrySendError::Full(()))));
    assert!(sender.outgoing_stats().memory < 5 << 20);
    while receiver.try_recv_bytes().is_ok() {}
    // Half an hour later, so to speak: the memory goes when nothing is left and some time has passed.
    until("the memory is given back", || {
        sender.send_bytes(&[1]).unwrap();
        receiver.recv_bytes().unwrap();
        let _ = receiver.try_recv_bytes();
        receiver.incoming_stats().memory <= 1 << 20
    });
}

#[test]
fn a_large_message_waits_for_room_beside_small_ones() {
    alone(|| {
        let (sender, receiver) = Builder::new().ring(1 << 16).one_way::<[u8]>().unwrap();
        let len = 20_000;
        while sender.try_send_bytes(&[1; 64]).is_ok() {}
        let child = fork(|| sender.send_bytes_timeout(&filled(len), LONG).unwrap());
        until_sending(|| sender.outgoing_stats());
        loop {
            match receiver.recv_bytes_timeout(LONG).unwrap() {
                message if message.len() == 64 => {}
                message => break assert!(message == filled(len)),
            }
        }
        child.join();
    });
}

#[test]
fn who_waits_for_a_message_gives_the_memory_of_a_large_one_back() {
    let (sender, receiver) = one_way::<[u8]>().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| while receiver.recv_bytes().is_ok() {});
        sender.send_bytes(&[1; 4 << 20]).unwrap();
        until("the memory is given back", || sender.outgoing_stats().memory <= 1 << 20);
        drop(sender);
    });
}

/// All of its memory is free then, also while somebody waits at the other end.
#[test]
fn an_empty_pipe_takes_what_a_fresh_one_takes() {
    alone(|| {
        with_file_limit(17 << 20, || {
            let (sender, receiver) = one_way::<[u8]>().unwrap();
            let child =
                fork(|| (0..5).for_each(|_| assert_eq!(receiver.recv_bytes().unwrap().len(), 5 << 20)));
            for _ in 0..5 {
                until_receiving(1, || sender.outgoing_stats());
                sender.send_bytes(&[1; 5 << 20]).unwrap();
            }
            child.join();
        });
    });
}
