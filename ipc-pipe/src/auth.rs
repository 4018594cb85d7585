//! The first bytes of a connection: what each side is, and the proof that both have the same key. Nothing else is read
//! from a socket before.
//!
//! ```text
//! hello     0  magic          8 bytes
//!           8  version        u32, little-endian, as all numbers
//!          12  flags          u32: 1 has a key, 2 is the listener
//!          16  nonce          32 random bytes
//!          48  limit          u64: the longest message that it takes over TCP
//!          56  sends          32 bytes SHA-256 of the type's name, 128 bytes of its text, zero-padded
//!         216  receives       as above
//! proof     0  status         u8: 0 good, 1 wrong key, 2 the listener has no memory or descriptor left
//!           1  mac            32 bytes HMAC-SHA-256(key, role of the sender, hello of the client, that of the listener)
//! ```
//! 1. Each side sends its hello at once. The first 16 bytes are the same in all versions.
//! 2. With a key, the client sends its proof. So a stranger gets nothing from the listener that a key could be guessed by.
//! 3. The listener sends its own, which is the welcome. Without a key, its mac is not looked at.
//!
//! Both nonces are in the mac, so that no proof is good in another connection; and the role, so that none is good when it
//! is sent back to where it came from. Everything has a fixed length; the bytes of a stranger are compared and hashed.

use std::fmt;
use std::io;

use hmac::{Hmac, KeyInit, Mac};
use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

/// `IPCPIPE` and a byte that no text has.
const MAGIC: [u8; 8] = *b"IPCPIPE\x9d";
/// Version of this protocol, and of the frames that follow over TCP.
const VERSION: u32 = 1;
/// What is the same in all versions.
const START: usize = 16;
const NONCE: usize = 32;
const TYPE_HASH: usize = 32;
const TYPE_TEXT: usize = 128;
const TYPE: usize = TYPE_HASH + TYPE_TEXT;
const SENDS: usize = START + NONCE + 8;
const RECEIVES: usize = SENDS + TYPE;
/// Bytes of a hello.
pub(crate) const HELLO: usize = RECEIVES + TYPE;
/// Bytes of a proof.
pub(crate) const PROOF: usize = 33;

const _: () = assert!(SENDS == 56 && RECEIVES == 216 && HELLO == 376);

/// The longest message that is taken over TCP, unless it is set.
pub(crate) const MESSAGE_LIMIT: u64 = 1 << 30;

const HAS_KEY: u32 = 1;
const IS_LISTENER: u32 = 2;

const GOOD: u8 = 0;
const WRONG_KEY: u8 = 1;
const EXHAUSTED: u8 = 2;

/// Why two processes did not come together.
#[derive(Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The keys differ.
    #[doc(alias = "AuthenticationError")]
    WrongKey,
    /// The other side has a key and this one has none.
    #[doc(alias = "AuthenticationError")]
    KeyNeeded,
    /// This side has a key and the other one has none.
    #[doc(alias = "AuthenticationError")]
    NoKey,
    /// What it sends is not the protocol of this library.
    BadMessage,
    /// It speaks another version of the protocol.
    Version {
        /// The other side's.
        found: u32,
        /// This side's.
        expected: u32,
    },
    /// One side sends another type than the other one receives.
    Type {
        /// What this side does with it: `sends` or `receives`.
        direction: &'static str,
        /// The other side's type, at most 128 bytes of its name.
        found: String,
        /// This side's type.
        expected: String,
    },
    /// Over an abstract address, without a key: it belongs to another user.
    ForeignUser {
        /// Whom it belongs to.
        uid: u32,
    },
    /// It was not ready at the deadline for handshakes.
    Timeout,
    /// It was the oldest of too many that did not get ready.
    Crowded,
    /// It closed the connection, or was killed.
    Closed,
    /// The listener has no memory or no descriptor left for this connection.
    Exhausted,
    /// The system said no to its socket.
    Os(io::Error),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::WrongKey => f.write_str("the keys differ"),
            HandshakeError::KeyNeeded => f.write_str("the other side asks for a key, this one has none"),
            HandshakeError::NoKey => f.write_str("this side asks for a key, the other one has none"),
            HandshakeError::BadMessage => f.write_str("the other side does not speak this protocol"),
            HandshakeError::Version { found, expected } => {
                write!(f, "the other side's protocol has version {found}, this one's {expected}")
            }
            HandshakeError::Type { direction, found, expected } => {
                write!(f, "this side {direction} {expected}, the other one's type is {found}")
            }
            HandshakeError::ForeignUser { uid } => write!(f, "it belongs to user {uid}, and there is no key"),
            HandshakeError::Timeout => f.write_str("the other side was not ready in time"),
            HandshakeError::Crowded => f.write_str("too many others were not ready either"),
            HandshakeError::Closed => f.write_str("the other side closed the connection"),
            HandshakeError::Exhausted => f.write_str("the listener has no memory or descriptor left"),
            HandshakeError::Os(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for HandshakeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            HandshakeError::Os(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Errno> for HandshakeError {
    fn from(errno: Errno) -> HandshakeError {
        match errno {
            Errno::CONNRESET | Errno::PIPE => HandshakeError::Closed,
            errno => HandshakeError::Os(errno.into()),
        }
    }
}

/// A key, of which only what HMAC makes of it is kept. That is wiped when it is dropped.
#[derive(Clone)]
pub(crate) struct Key(Hmac<Sha256>);

impl Key {
    pub(crate) fn new(key: &[u8]) -> Key {
        Key(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }
}

/// Which side this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Listener,
}

impl Role {
    fn flag(self) -> u32 {
        if self == Role::Listener { IS_LISTENER } else { 0 }
    }

    fn other(self) -> Role {
        if self == Role::Listener { Role::Client } else { Role::Listener }
    }
}

/// What each side says of itself, apart from its key.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) sends: &'static str,
    pub(crate) receives: &'static str,
    /// The longest message that it takes.
    pub(crate) limit: u64,
}

/// One side of a handshake. Does no input or output: it is asked how many bytes it waits for, and given them.
pub(crate) struct Handshake {
    role: Role,
    key: Option<Key>,
    terms: Terms,
    mine: [u8; HELLO],
    /// The other side's hello, as far as it has come, and its proof behind.
    received: Vec<u8>,
}

impl Handshake {
    pub(crate) fn new(role: Role, key: Option<&Key>, terms: Terms) -> Result<Handshake, Errno> {
        let mut mine = [0; HELLO];
        let has_key = if key.is_some() { HAS_KEY } else { 0 };
        mine[..8].copy_from_slice(&MAGIC);
        mine[8..12].copy_from_slice(&VERSION.to_le_bytes());
        mine[12..START].copy_from_slice(&(role.flag() | has_key).to_le_bytes());
        // Waits until the system has collected enough at its start. So few bytes come at once, or not at all.
        getrandom(&mut mine[START..START + NONCE], GetRandomFlags::empty())?;
        mine[START + NONCE..SENDS].copy_from_slice(&terms.limit.to_le_bytes());
        write_type(&mut mine[SENDS..RECEIVES], terms.sends);
        write_type(&mut mine[RECEIVES..], terms.receives);
        Ok(Handshake { role, key: key.cloned(), terms, mine, received: Vec::with_capacity(HELLO + PROOF) })
    }

    /// What to send first.
    pub(crate) fn hello(&self) -> &[u8] {
        &self.mine
    }

    /// How many bytes are still to come; 0 when it is done.
    pub(crate) fn missing(&self) -> usize {
        let has_proof = self.role == Role::Client || self.key.is_some();
        let end = match self.received.len() {
            0..HELLO => HELLO,
            _ if has_proof => HELLO + PROOF,
            _ => HELLO,
        };
        end - self.received.len()
    }

    /// Takes bytes from the other side, at most as many as are missing. Says what to send now.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Option<[u8; PROOF]>, HandshakeError> {
        debug_assert!(bytes.len() <= self.missing());
        self.received.extend_from_slice(bytes);
        if self.received.len() < HELLO {
            self.check_start()?;
            return Ok(None);
        }
        if self.received.len() == HELLO {
            self.check_start()?;
            return Ok((self.role == Role::Client && self.key.is_some()).then(|| self.proof()));
        }
        if self.missing() == 0 {
            self.check_proof()?;
        }
        Ok(None)
    }

    /// A stranger shows by its first bytes, and is not waited for.
    fn check_start(&self) -> Result<(), HandshakeError> {
        let known = self.received.len().min(MAGIC.len());
        if self.received[..known] != MAGIC[..known] {
            return Err(HandshakeError::BadMessage);
        }
        if self.received.len() < START {
            return Ok(());
        }
        let version = number(&self.received, 8);
        if version != VERSION {
            return Err(HandshakeError::Version { found: version, expected: VERSION });
        }
        let flags = number(&self.received, 12);
        if flags & !HAS_KEY != self.role.other().flag() {
            return Err(HandshakeError::BadMessage);
        }
        match (self.key.is_some(), flags & HAS_KEY != 0) {
            (true, false) => Err(HandshakeError::NoKey),
            (false, true) => Err(HandshakeError::KeyNeeded),
            _ => Ok(()),
        }
    }

    fn check_proof(&self) -> Result<(), HandshakeError> {
        let proof = &self.received[HELLO..];
        match proof[0] {
            GOOD => {}
            WRONG_KEY => return Err(HandshakeError::WrongKey),
            EXHAUSTED => return Err(HandshakeError::Exhausted),
            _ => return Err(HandshakeError::BadMessage),
        }
        let Some(mac) = self.mac(self.role.other()) else { return Ok(()) };
        // In a time that does not depend on where they differ.
        mac.verify_slice(&proof[1..]).map_err(|_| HandshakeError::WrongKey)
    }

    fn mac(&self, role: Role) -> Option<Hmac<Sha256>> {
        let theirs = &self.received[..HELLO];
        let (client, listener) = match self.role {
            Role::Client => (&self.mine[..], theirs),
            Role::Listener => (theirs, &self.mine[..]),
        };
        let mut mac = self.key.clone()?.0;
        mac.update(&[role.flag() as u8]);
        mac.update(client);
        mac.update(listener);
        Some(mac)
    }

    /// This side's proof, once the other side's hello is there.
    pub(crate) fn proof(&self) -> [u8; PROOF] {
        let mut proof = [GOOD; PROOF];
        if let Some(mac) = self.mac(self.role) {
            proof[1..].copy_from_slice(&mac.finalize().into_bytes());
        }
        proof
    }

    /// What to send to the other side instead of a proof, if it can be told why.
    pub(crate) fn refusal(why: &HandshakeError) -> Option<[u8; PROOF]> {
        let mut proof = [0; PROOF];
        proof[0] = match why {
            HandshakeError::WrongKey => WRONG_KEY,
            HandshakeError::Exhausted => EXHAUSTED,
            _ => return None,
        };
        Some(proof)
    }

    /// Whether both mean the same types. To be asked when the other side is known to be a good one.
    pub(crate) fn check_types(&self) -> Result<(), HandshakeError> {
        let check = |direction, at: usize, expected: &str| {
            let theirs = &self.received[at..at + TYPE];
            if theirs[..TYPE_HASH] == Sha256::digest(expected)[..] {
                return Ok(());
            }
            let text = theirs[TYPE_HASH..].split(|&byte| byte == 0).next().unwrap_or_default();
            let found = String::from_utf8_lossy(text).escape_debug().to_string();
            Err(HandshakeError::Type { direction, found, expected: expected.to_owned() })
        };
        check("sends", RECEIVES, self.terms.sends)?;
        check("receives", SENDS, self.terms.receives)
    }

    /// The longest message that the other side takes.
    pub(crate) fn their_limit(&self) -> u64 {
        u64::from_le_bytes(self.received[START + NONCE..SENDS].try_into().expect("eight bytes"))
    }
}

impl fmt::Debug for Handshake {
    /// Without the key, and what it would give away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handshake").field("received", &self.received.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

fn number(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn write_type(field: &mut [u8], name: &str) {
    field[..TYPE_HASH].copy_from_slice(&Sha256::digest(name));
    let text = &name.as_bytes()[..name.len().min(TYPE_TEXT)];
    field[TYPE_HASH..TYPE_HASH + text.len()].copy_from_slice(text);
}
