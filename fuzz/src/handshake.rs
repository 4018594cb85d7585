use std::fs::File;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use arbitrary::{Arbitrary, Unstructured};
use ipc_core::transfer::Parcel;
use ipc_core::{Fd, codec};
use ipc_pipe::{Address, Client, ConnectError, Connection, Listener, TryAcceptError};
use raw::{HAS_KEY, HELLO, IS_LISTENER, Raw, RawListener};

use crate::{LIMIT, MOMENT, limited};

#[allow(dead_code, reason = "it is shared with the tests of ipc-pipe")]
#[path = "../../ipc-pipe/tests/it/net/raw.rs"]
mod raw;

const KEY: &[u8] = b"secret";

/// What somebody does who connects to a listener, or who is taken for one.
#[derive(Arbitrary, Debug)]
struct Talk {
    to_client: bool,
    has_key: bool,
    says: Vec<Say>,
}

#[derive(Arbitrary, Debug)]
enum Say {
    Bytes(Vec<u8>),
    /// A good hello, but for some bits.
    Hello {
        has_key: bool,
        change: Change,
    },
    /// A good proof, but for some bits.
    Proof {
        right: bool,
        change: Change,
    },
    /// What the other side has said.
    Echo,
    /// Bytes with a descriptor.
    Descriptor(u8),
    /// What may be the end of a pipe.
    End(End),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
struct Change {
    at: u16,
    bits: u8,
}

#[derive(Arbitrary, Debug)]
enum End {
    Good,
    OfAnotherType,
    Files(u8),
}

/// A listener, or a client, and somebody at the other end of the socket who may say anything.
pub fn handshake(input: &[u8]) {
    let Ok(talk) = Talk::arbitrary_take_rest(Unstructured::new(input)) else { return };
    limited(|| if talk.to_client { talk.to_client() } else { talk.to_listener() });
}

impl Talk {
    fn to_listener(&self) {
        let mut listener = Listener::<u32>::bind("\0").expect("the system has a name left");
        let mut client = Client::new(listener.local_address());
        if self.has_key {
            (listener, client) = (listener.key(KEY), client.key(KEY));
        }
        let raw = Raw::connect(listener.local_address());
        accept(&listener);
        let mut talker = Talker { raw, said: Vec::new(), heard: Vec::new(), is_listener: false };
        talker.hear();
        for say in self.says.iter().take(16) {
            talker.say(say);
            accept(&listener);
        }
        drop(talker);
        accept(&listener);
        // It goes on, and a good client is served.
        thread::scope(|scope| {
            let client = scope.spawn(|| client.connect_timeout::<u32, u32>(LIMIT / 2));
            let has_come = (0..4).any(|_| listener.accept_timeout(LIMIT / 2).is_ok());
            assert!(has_come && client.join().is_ok_and(|connected| connected.is_ok()), "a good client");
        });
    }

    fn to_client(&self) {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = Address::from(format!("\0ipc-fuzz-{}-{number}", std::process::id()));
        let client = Client::new(name.clone());
        let client = if self.has_key { client.key(KEY) } else { client };
        let listener = RawListener::bind(name);
        thread::scope(|scope| {
            scope.spawn(|| {
                let raw = listener.accept();
                let mut talker = Talker { raw, said: Vec::new(), heard: Vec::new(), is_listener: true };
                talker.hear();
                self.says.iter().take(16).for_each(|say| talker.say(say));
            });
            match client.connect_timeout::<u32, u32>(LIMIT / 2) {
                Ok(connection) => operate(&connection),
                Err(error) => assert!(!matches!(error, ConnectError::Timeout), "the other side has left"),
            }
        });
    }
}

/// Goes on with whoever is there.
fn accept(listener: &Listener<u32>) {
    match listener.try_accept() {
        Ok((connection, _)) => operate(&connection),
        Err(TryAcceptError::Empty | TryAcceptError::Refused(_)) => {}
        Err(error) => panic!("{error}"),
    }
}

fn operate(connection: &Connection<u32>) {
    let _ = connection.try_send(7);
    let _ = (connection.try_recv(), connection.recv_timeout(MOMENT));
}

struct Talker {
    raw: Raw,
    said: Vec<u8>,
    heard: Vec<u8>,
    is_listener: bool,
}

impl Talker {
    /// The other side's hello, if it says one.
    fn hear(&mut self) {
        self.heard = self.raw.recv(HELLO);
    }

    fn say(&mut self, say: &Say) {
        let role = if self.is_listener { IS_LISTENER } else { 0 };
        let bytes = match say {
            Say::Bytes(bytes) => bytes[..bytes.len().min(1000)].to_vec(),
            Say::Hello { has_key, change } => {
                change.of(&raw::hello(role | if *has_key { HAS_KEY } else { 0 }, "u32"))
            }
            Say::Proof { right, change } => {
                let (mut mine, theirs) = (self.said.clone(), &self.heard);
                mine.truncate(HELLO);
                let (client, listener) = if self.is_listener { (theirs, &mine) } else { (&mine, theirs) };
                change.of(&raw::proof(if *right { KEY } else { b"guess" }, role, client, listener))
            }
            Say::Echo => self.heard.clone(),
            Say::Descriptor(byte) => {
                let null = File::open("/dev/null").expect("it is always there");
                // Nobody may listen any more.
                let _ = self.raw.try_send_with(&[*byte], null.as_fd());
                vec![]
            }
            Say::End(end) => return end.send(&self.raw),
        };
        if self.raw.try_send(&bytes).is_ok() {
            self.said.extend(bytes);
        }
    }
}

impl Change {
    fn of(self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let at = usize::from(self.at) % bytes.len();
        bytes[at] ^= self.bits;
        bytes
    }
}

impl End {
    fn send(&self, raw: &Raw) {
        let parcel = match self {
            End::Good => pack(&ipc_pipe::pipe::<u32, u32>().expect("there is memory").0),
            End::OfAnotherType => pack(&ipc_pipe::pipe::<u64, u32>().expect("there is memory").0),
            End::Files(count) => {
                let null = || Fd(File::open("/dev/null").expect("it is always there"));
                pack(&(0..count % 6).map(|_| null()).collect::<Vec<_>>())
            }
        };
        // Nobody may listen any more.
        let _ = parcel.send(raw);
    }
}

fn pack(value: &impl serde::Serialize) -> Parcel {
    let mut bytes = Vec::new();
    let pack = || codec::encode(value, &mut bytes).map(|()| std::mem::take(&mut bytes));
    Parcel::pack(pack).expect("it can be encoded")
}
