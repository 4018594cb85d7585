//! The protocol from its description, for peers that do not keep to it.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use ipc_crash_test::alone::LONG;
use ipc_pipe::Address;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, recv, send, socket_with,
};
use sha2::{Digest, Sha256};

pub(crate) const HELLO: usize = 376;
pub(crate) const PROOF: usize = 33;
pub(crate) const HAS_KEY: u32 = 1;
pub(crate) const IS_LISTENER: u32 = 2;

pub(crate) fn hello(flags: u32, type_name: &str) -> [u8; HELLO] {
    let mut hello = [0; HELLO];
    hello[..8].copy_from_slice(b"IPCPIPE\x9d");
    hello[8..12].copy_from_slice(&1_u32.to_le_bytes());
    hello[12..16].copy_from_slice(&flags.to_le_bytes());
    hello[16..48].fill(7);
    hello[48..56].copy_from_slice(&(1_u64 << 20).to_le_bytes());
    for at in [56, 216] {
        hello[at..at + 32].copy_from_slice(&Sha256::digest(type_name));
        hello[at + 32..at + 32 + type_name.len()].copy_from_slice(type_name.as_bytes());
    }
    hello
}

pub(crate) fn proof(key: &[u8], role: u32, client: &[u8], listener: &[u8]) -> [u8; PROOF] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(&[role as u8]);
    mac.update(client);
    mac.update(listener);
    let mut proof = [0; PROOF];
    proof[1..].copy_from_slice(&mac.finalize().into_bytes());
    proof
}

/// A connected socket that says whatever it is told to.
#[derive(Debug)]
pub(crate) struct Raw(OwnedFd);

fn unix(address: &Address) -> (OwnedFd, SocketAddrUnix) {
    let name = match address {
        Address::Path(path) => SocketAddrUnix::new(path.as_path()).unwrap(),
        Address::Abstract(name) => SocketAddrUnix::new_abstract_name(name).unwrap(),
        other => panic!("{other}"),
    };
    let flags = SocketFlags::CLOEXEC;
    (socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap(), name)
}

impl Raw {
    pub(crate) fn connect(address: &Address) -> Raw {
        let fd = match address {
            Address::Tcp(address) => TcpStream::connect(address).unwrap().into(),
            address => {
                let (fd, name) = unix(address);
                rustix::net::connect(&fd, &name).unwrap();
                fd
            }
        };
        Raw::new(fd)
    }

    /// To a Unix socket, if there is room for one more who waits.
    pub(crate) fn try_connect(address: &Address) -> Result<Raw, Errno> {
        let (fd, name) = unix(address);
        set_socket_timeout(&fd, Timeout::Send, Some(Duration::from_millis(1))).unwrap();
        rustix::net::connect(&fd, &name).map(|()| Raw::new(fd))
    }

    fn new(fd: OwnedFd) -> Raw {
        set_socket_timeout(&fd, Timeout::Recv, Some(LONG)).unwrap();
        Raw(fd)
    }

    pub(crate) fn send(&self, bytes: &[u8]) {
        self.try_send(bytes).unwrap();
    }

    /// It may be that nobody listens any more.
    pub(crate) fn try_send(&self, bytes: &[u8]) -> Result<(), Errno> {
        send(&self.0, bytes, SendFlags::NOSIGNAL).map(drop)
    }

    /// Sends a descriptor with the bytes.
    pub(crate) fn try_send_with(&self, bytes: &[u8], fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let fds = [fd];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(&fds)));
        let parts = [IoSlice::new(bytes)];
        rustix::net::sendmsg(&self.0, &parts, &mut control, SendFlags::NOSIGNAL).map(drop)
    }

    /// So many bytes, or as many as come before the end.
    pub(crate) fn recv(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        let mut have = 0;
        while have < len {
            match recv(&self.0, &mut bytes[have..], RecvFlags::empty()) {
                Ok((0, _)) | Err(Errno::CONNRESET) => break,
                Ok((more, _)) => have += more,
                Err(Errno::AGAIN) => panic!("nothing comes"),
                Err(errno) => panic!("{errno}"),
            }
        }
        bytes.truncate(have);
        bytes
    }

    /// Does the client's part of a handshake, as far as the listener's welcome; what it has sent.
    pub(crate) fn shake_hands(&self, key: Option<&[u8]>, type_name: &str) -> Vec<u8> {
        let mine = hello(if key.is_some() { HAS_KEY } else { 0 }, type_name);
        self.send(&mine);
        let theirs = self.recv(HELLO);
        let mut sent = mine.to_vec();
        if let Some(key) = key {
            let proof = proof(key, 0, &mine, &theirs);
            self.send(&proof);
            sent.extend(proof);
        }
        sent
    }

    /// Whether nothing comes for a while.
    pub(crate) fn is_silent(&self) -> bool {
        set_socket_timeout(&self.0, Timeout::Recv, Some(Duration::from_millis(50))).unwrap();
        let result = recv(&self.0, &mut [0; 1][..], RecvFlags::empty());
        set_socket_timeout(&self.0, Timeout::Recv, Some(LONG)).unwrap();
        result == Err(Errno::AGAIN)
    }
}

impl AsFd for Raw {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Somebody who pretends to be a listener.
pub(crate) struct RawListener {
    fd: OwnedFd,
    pub(crate) address: Address,
}

impl RawListener {
    pub(crate) fn bind(address: Address) -> RawListener {
        match address {
            Address::Tcp(address) => {
                let listener = TcpListener::bind(address).unwrap();
                let address = listener.local_addr().unwrap().into();
                RawListener { fd: listener.into(), address }
            }
            address => {
                let (fd, name) = unix(&address);
                rustix::net::bind(&fd, &name).unwrap();
                rustix::net::listen(&fd, 8).unwrap();
                RawListener { fd, address }
            }
        }
    }

    pub(crate) fn accept(&self) -> Raw {
        Raw::new(rustix::net::accept_with(&self.fd, SocketFlags::CLOEXEC).unwrap())
    }
}
