//! Messages through a pipe, with the time it takes, and its end.

use std::hint::black_box;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ipc_core::{Fd, monotonic};
use ipc_lock::{Barrier, Event};
use ipc_pipe::{Receiver, RecvError, Sender, one_way};
use ipc_process::spawn;

use crate::cpus::Cpus;
use crate::stream::{Message, Span, message, number, together, whole};

fn send(sender: Sender<[u8]>, start: Barrier, size: usize, count: u64) -> Span {
    let mut bytes = vec![7; size];
    together(&start, || {
        for index in 0..count {
            bytes[..8].copy_from_slice(&index.to_le_bytes());
            sender.send_bytes(&bytes).expect("somebody receives");
        }
    })
}

fn receive(receiver: Receiver<[u8]>, start: Barrier, size: usize, count: u64) -> Span {
    let mut bytes = vec![0; size];
    together(&start, || {
        for index in 0..count {
            let len = receiver.recv_bytes_into(&mut bytes).expect("somebody sends");
            assert!(len == size && number(&bytes) == index);
        }
        black_box(&bytes);
    })
}

/// `count` messages of that size from one process to another.
pub(crate) fn bytes(cpus: Cpus, size: usize, count: u64) -> Duration {
    let (sender, receiver) = one_way().expect("there is memory");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        cpus.start(0, || spawn(send, (sender, start.clone(), size, count)).expect("it starts")),
        cpus.start(1, || spawn(receive, (receiver, start.clone(), size, count)).expect("it starts")),
    ])
}

fn send_messages(sender: Sender<Message>, start: Barrier, count: u64) -> Span {
    together(&start, || {
        (0..count).for_each(|number| sender.send(message(number)).expect("somebody receives"));
    })
}

fn receive_messages(receiver: Receiver<Message>, start: Barrier, count: u64) -> Span {
    together(&start, || {
        for number in 0..count {
            assert_eq!(receiver.recv().expect("somebody sends").number, number);
        }
    })
}

/// `count` typed messages from one process to another.
pub(crate) fn messages(count: u64) -> Duration {
    let (sender, receiver) = one_way().expect("there is memory");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        spawn(send_messages, (sender, start.clone(), count)).expect("it starts"),
        spawn(receive_messages, (receiver, start, count)).expect("it starts"),
    ])
}

fn write(mut socket: Fd<UnixStream>, start: Barrier, size: usize, count: u64) -> Span {
    let mut bytes = vec![7; size];
    together(&start, || {
        for index in 0..count {
            bytes[..8].copy_from_slice(&index.to_le_bytes());
            socket.write_all(&bytes).expect("somebody reads");
        }
    })
}

fn read(mut socket: Fd<UnixStream>, start: Barrier, size: usize, count: u64) -> Span {
    let mut bytes = vec![0; size];
    together(&start, || {
        for index in 0..count {
            socket.read_exact(&mut bytes).expect("somebody writes");
            assert_eq!(number(&bytes), index);
        }
        black_box(&bytes);
    })
}

/// The same through a pair of stream sockets, which know nothing of messages.
pub(crate) fn sockets(size: usize, count: u64) -> Duration {
    let (here, there) = UnixStream::pair().expect("there are sockets");
    let start = Barrier::new(2).expect("there is memory");
    whole(vec![
        spawn(write, (Fd(here), start.clone(), size, count)).expect("it starts"),
        spawn(read, (Fd(there), start, size, count)).expect("it starts"),
    ])
}

fn hold(sender: Sender<u64>) {
    let _sender = sender;
    loop {
        std::thread::park();
    }
}

/// When it came to the end.
fn wait_for_end(receiver: Receiver<u64>, about_to: Event) -> Duration {
    about_to.set();
    assert!(matches!(receiver.recv(), Err(RecvError::Closed)));
    monotonic()
}

/// From the SIGKILL of the last who could send to the moment at which a receiver, who slept for a while before, knows.
pub(crate) fn end_after_kill() -> Duration {
    let (sender, receiver) = one_way().expect("there is memory");
    let about_to = Event::new().expect("there is memory");
    let holder = spawn(hold, (sender,)).expect("it starts");
    let mut waiter = spawn(wait_for_end, (receiver, about_to.clone())).expect("it starts");
    about_to.wait();
    std::thread::sleep(Duration::from_millis(2));
    let killed = monotonic();
    holder.kill().expect("it lives");
    waiter.join().expect("it returns").saturating_sub(killed)
}
