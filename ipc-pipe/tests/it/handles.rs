//! Handles inside of messages.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use ipc_core::{Blob, Fd};
use ipc_pipe::{
    Connection, Receiver, RecvError, RecvTimeoutError, SendError, Sender, TryRecvError, TrySendError,
    one_way, pipe,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::help::{LONG, SHORT, alone, descriptors, fork, fork_and_stay, join, spawn, until};

fn file(text: &str) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn text(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

#[derive(Debug, Serialize, Deserialize)]
struct Luggage {
    name: String,
    file: Fd<File>,
    tcp: Option<Fd<TcpStream>>,
    unix: Vec<Fd<UnixStream>>,
    fd: Fd<OwnedFd>,
    blob: Blob,
}

#[test]
fn descriptors_of_all_kinds_travel_inside_of_a_value() {
    let (sender, receiver) = one_way().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let (here, there) = UnixStream::pair().unwrap();
    let luggage = Luggage {
        name: "luggage".to_string(),
        file: Fd(file("in a file")),
        tcp: Some(Fd(client)),
        unix: vec![Fd(there)],
        fd: Fd(OwnedFd::from(file("owned"))),
        blob: Blob::new(b"blob").unwrap(),
    };
    sender.send(luggage).unwrap();
    let mut luggage: Luggage = receiver.recv().unwrap();
    assert_eq!((luggage.name.as_str(), text(&mut luggage.file).as_str()), ("luggage", "in a file"));
    assert_eq!(text(&mut File::from(luggage.fd.0)), "owned");
    assert_eq!(&luggage.blob[..], b"blob");
    accepted.write_all(b"tcp").unwrap();
    let mut buffer = [0; 3];
    luggage.tcp.unwrap().read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"tcp");
    (&here).write_all(b"unx").unwrap();
    luggage.unix[0].read_exact(&mut buffer).unwrap();
    assert_eq!(&buffer, b"unx");
}

fn open_all(receiver: Receiver<Vec<Fd<File>>>) -> Vec<usize> {
    receiver.into_iter().map(|files| files.unwrap().len()).collect()
}

#[test]
fn hundreds_of_descriptors_travel_in_one_message() {
    alone(|| {
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
        let (sender, receiver) = one_way::<Vec<Fd<File>>>().unwrap();
        let mut child = spawn(open_all, (receiver,));
        let counts = [1, 253, 0, 254, 300, 600, 2];
        for count in counts {
            let files = (0..count).map(|_| Fd(File::open("/dev/null").unwrap())).collect();
            sender.send(files).unwrap();
        }
        drop(sender);
        assert_eq!(join(&mut child), counts);
    });
}

#[test]
fn messages_with_and_without_descriptors_keep_their_order() {
    alone(|| {
        let (sender, receiver) = one_way::<(u32, Option<Fd<File>>)>().unwrap();
        let child = fork(|| {
            for number in 0..500 {
                let handle = (number % 3 == 0).then(|| Fd(file(&number.to_string())));
                sender.send((number, handle)).unwrap();
            }
        });
        for number in 0..500 {
            let (received, handle) = receiver.recv_timeout(LONG).unwrap();
            assert_eq!((received, handle.is_some()), (number, number % 3 == 0));
            handle.into_iter().for_each(|mut handle| assert_eq!(text(&mut handle), number.to_string()));
        }
        child.join();
    });
}

#[test]
fn a_pipe_travels_through_a_pipe() {
    let (here, there) = pipe::<Connection<u32, u32>, ()>().unwrap();
    let (mine, yours) = pipe::<u32, u32>().unwrap();
    here.send(yours).unwrap();
    let yours = there.recv().unwrap();
    mine.send(1).unwrap();
    assert_eq!(yours.recv().unwrap(), 1);
    drop(yours);
    assert!(matches!(mine.recv(), Err(RecvError::Closed)));
}

#[test]
fn a_full_socket_is_a_full_pipe_and_there_is_room_again() {
    alone(|| {
        let (sender, receiver) = one_way::<Fd<File>>().unwrap();
        let mut sent = 0;
        loop {
            match sender.try_send(Fd(File::open("/dev/null").unwrap())) {
                Ok(()) => sent += 1,
                Err(TrySendError::Full(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(sent > 10, "{sent}");
        let child = fork(|| sender.send_timeout(Fd(file("last")), LONG).unwrap());
        drop(sender.clone());
        for _ in 0..sent {
            receiver.recv_timeout(LONG).unwrap();
        }
        assert_eq!(text(&mut receiver.recv_timeout(LONG).unwrap().0), "last");
        child.join();
    });
}

/// Nothing is left of this pipe in the other process either: it is told by its end.
#[test]
fn descriptors_that_nobody_receives_are_closed_with_the_pipe() {
    alone(|| {
        let before = descriptors();
        let (end, other_end) = UnixStream::pair().unwrap();
        let (sender, receiver) = one_way::<Fd<UnixStream>>().unwrap();
        sender.send(Fd(other_end)).unwrap();
        end.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        assert!((&end).read(&mut [0]).is_err(), "it is under way");
        drop((sender, receiver));
        end.set_read_timeout(None).unwrap();
        assert_eq!((&end).read(&mut [0]).unwrap(), 0);
        drop(end);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn descriptors_of_what_cannot_be_decoded_are_closed() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Refused(#[serde(deserialize_with = "never")] (), Fd<UnixStream>);
    fn never<'de, D: serde::Deserializer<'de>>(_: D) -> Result<(), D::Error> {
        Err(serde::de::Error::custom("never"))
    }
    let (end, other_end) = UnixStream::pair().unwrap();
    let (sender, receiver) = one_way().unwrap();
    sender.send(Refused((), Fd(other_end))).unwrap();
    assert!(matches!(receiver.recv(), Err(RecvError::Fault(_))));
    assert_eq!((&end).read(&mut [0]).unwrap(), 0);
    assert!(matches!(receiver.try_recv(), Err(TryRecvError::Empty)));
}

#[test]
fn a_value_that_fails_halfway_leaves_no_descriptor_for_the_next() {
    #[derive(Debug, Serialize, Deserialize)]
    enum Value {
        Bad(Fd<File>, #[serde(serialize_with = "never")] ()),
        Good(Fd<File>),
    }
    fn never<S: serde::Serializer>(_: &(), _: S) -> Result<S::Ok, S::Error> {
        Err(serde::ser::Error::custom("never"))
    }
    let (sender, receiver) = one_way().unwrap();
    assert!(matches!(sender.send(Value::Bad(Fd(file("bad")), ())), Err(SendError::Fault(Value::Bad(..), _))));
    sender.send(Value::Good(Fd(file("good")))).unwrap();
    let Value::Good(mut good) = receiver.recv().unwrap() else { panic!() };
    assert_eq!(text(&mut good), "good");
}

#[test]
fn a_limit_of_descriptors_costs_one_message_and_leaves_none_behind() {
    alone(|| {
        let (sender, receiver) = one_way::<(u32, Vec<Fd<File>>)>().unwrap();
        let files = |count| (0..count).map(|_| Fd(File::open("/dev/null").unwrap())).collect();
        sender.send((1, files(20))).unwrap();
        sender.send((2, Vec::new())).unwrap();
        sender.send((3, files(2))).unwrap();
        let before = descriptors();
        let limit = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: Some(before as u64 + 9), ..limit }).unwrap();
        let Err(RecvError::Fault(error)) = receiver.recv() else { panic!("there were too many") };
        assert!(error.to_string().contains("20 descriptors"), "{error}");
        assert_eq!(descriptors(), before);
        assert_eq!(receiver.recv().unwrap().0, 2);
        assert_eq!(receiver.recv().unwrap().1.len(), 2);
        setrlimit(Resource::Nofile, limit).unwrap();
    });
}

/// Where the only one who could ever receive it is on its way in itself.
#[test]
fn an_end_that_is_sent_through_itself_is_gone_when_nobody_else_has_it() {
    #[derive(Serialize, Deserialize)]
    struct Itself(Receiver<Itself>, Fd<UnixStream>);
    alone(|| {
        let (end, other_end) = UnixStream::pair().unwrap();
        let (sender, receiver) = one_way::<Itself>().unwrap();
        sender.send(Itself(receiver, Fd(other_end))).unwrap();
        // The kernel looks for such circles when sockets are closed.
        end.set_read_timeout(Some(SHORT)).unwrap();
        until("it is gone", || {
            drop(UnixStream::pair().unwrap());
            sender.is_closed()
        });
        drop(sender);
        end.set_read_timeout(Some(LONG)).unwrap();
        assert_eq!((&end).read(&mut [0]).unwrap(), 0);
    });
}

#[test]
fn descriptors_of_a_killed_sender_are_not_taken_for_others() {
    alone(|| {
        let (sender, receiver) = one_way::<(u32, Fd<File>)>().unwrap();
        let child = fork_and_stay(|| sender.send((1, Fd(file("one")))).unwrap());
        child.kill();
        sender.send((2, Fd(file("two")))).unwrap();
        for (number, name) in [(1, "one"), (2, "two")] {
            let (received, mut handle) = receiver.recv_timeout(LONG).unwrap();
            assert_eq!((received, text(&mut handle).as_str()), (number, name));
        }
    });
}

fn keep(receiver: Receiver<Fd<UnixStream>>) {
    let _kept = receiver.recv();
    crate::help::forever();
}

#[test]
fn descriptors_of_a_killed_receiver_are_closed() {
    let (end, other_end) = UnixStream::pair().unwrap();
    let (sender, receiver): (Sender<Fd<UnixStream>>, _) = one_way().unwrap();
    let watch = receiver.clone();
    let child = spawn(keep, (receiver,));
    sender.send(Fd(other_end)).unwrap();
    until("it is received", || watch.incoming_stats().messages == 0);
    child.kill().unwrap();
    assert_eq!((&end).read(&mut [0]).unwrap(), 0);
    assert!(matches!(watch.recv_timeout(SHORT), Err(RecvTimeoutError::Timeout)));
}
