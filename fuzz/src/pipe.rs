use std::fs::File;
use std::os::fd::OwnedFd;
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};
use ipc_core::transfer::Parcel;
use ipc_core::{Fd, codec};
use ipc_pipe::{Builder, Receiver, Sender, wait};
use rustix::net::{SendFlags, send};

use crate::{MOMENT, Write, limited};

/// The words that a pipe is controlled by, and the first messages.
const WORDS: u64 = (4096 + 2048) / 8;

/// More than any packet of an honest process has.
const OVERSIZED: usize = 64 << 10;

type Item = (Vec<u8>, Option<Fd<File>>);

/// None that waits without a deadline: garbage may say that this process has a lock.
#[derive(Arbitrary, Debug)]
enum Step {
    Write(Write),
    Packet(Packet),
    Parcel { to_sender: bool, number: u8, handles: u8 },
    Send(bool),
    SendForAMoment(bool),
    SendLarge(u16),
    Recv,
    RecvForAMoment,
    Wait,
    Ask,
}

/// Something that no honest process sends.
#[derive(Arbitrary, Debug)]
struct Packet {
    to_sender: bool,
    /// Whether it begins as a parcel does.
    is_like_parcel: bool,
    is_oversized: bool,
    bytes: [u8; 24],
    len: u8,
}

/// A pipe, and the sockets of both ends.
struct Pipe {
    sender: Sender<Item>,
    receiver: Receiver<Item>,
    /// At which the receiver gets what is sent there, and the sender.
    sockets: [OwnedFd; 2],
}

/// A pipe under garbage in its memory and at its sockets, and operations in turn.
pub fn pipe(input: &[u8]) {
    let Ok(steps) = Vec::<Step>::arbitrary_take_rest(Unstructured::new(input)) else { return };
    limited(|| {
        let (sender, receiver) = Builder::new().ring(4096).one_way().expect("there is memory");
        for number in 0..6 {
            sender.send((vec![number; 8], null().filter(|_| number % 2 == 1))).expect("there is room");
        }
        let sockets = [socket_of(&sender), socket_of(&receiver)];
        let pipe = Pipe { sender, receiver, sockets };
        steps.into_iter().take(64).for_each(|step| pipe.run(step));
        // Whatever it is by now, it can be emptied, or is found damaged.
        (0..10).for_each(|_| drop(pipe.receiver.try_recv()));
    });
}

fn null() -> Option<Fd<File>> {
    Some(Fd(File::open("/dev/null").expect("it is always there")))
}

fn pack(value: &impl serde::Serialize) -> Parcel {
    let mut bytes = Vec::new();
    let pack = || codec::encode(value, &mut bytes).map(|()| std::mem::take(&mut bytes));
    Parcel::pack(pack).expect("it can be encoded")
}

/// An end's socket, as whoever receives the end has it.
fn socket_of(end: &impl serde::Serialize) -> OwnedFd {
    let parts = pack(end).unpack(codec::decode_all::<(Fd<OwnedFd>, Fd<OwnedFd>)>);
    parts.expect("it has memory and a socket").1.0
}

impl Pipe {
    fn run(&self, step: Step) {
        let item = |with: bool| (vec![7; 8], null().filter(|_| with));
        match step {
            Step::Write(write) => {
                write.write(self.sender.segment().expect("it lies in shared memory"), WORDS);
            }
            Step::Packet(packet) => packet.send(&self.sockets[usize::from(packet.to_sender)]),
            Step::Parcel { to_sender, number, handles } => {
                let handles: Vec<_> = (0..handles % 4).map(|_| null()).collect();
                let mut parcel = pack(&handles);
                parcel.set_bytes(u64::from(number).to_le_bytes().to_vec());
                // There may be no room for it.
                let _ = parcel.send(&self.sockets[usize::from(to_sender)]);
            }
            Step::Send(with) => drop(self.sender.try_send(item(with))),
            Step::SendForAMoment(with) => drop(self.sender.send_timeout(item(with), MOMENT)),
            Step::SendLarge(len) => drop(self.sender.try_send((vec![1; len.into()], None))),
            Step::Recv => drop(self.receiver.try_recv()),
            Step::RecvForAMoment => drop(self.receiver.recv_timeout(MOMENT)),
            Step::Wait => drop(wait(&[&self.receiver], Some(MOMENT))),
            Step::Ask => {
                let _ = (self.receiver.incoming_stats(), self.sender.outgoing_stats());
                let _ = (self.receiver.poll(Some(Duration::ZERO)), self.sender.is_closed());
            }
        }
    }
}

impl Packet {
    fn send(&self, socket: &OwnedFd) {
        let mut bytes = if self.is_like_parcel { b"ipc1".to_vec() } else { Vec::new() };
        bytes.extend(&self.bytes[..usize::from(self.len) % 25]);
        if self.is_oversized {
            bytes.resize(OVERSIZED, self.len);
        }
        // There may be no room for it.
        let _ = send(socket, &bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
    }
}
