//! Listeners and those who connect to them.

mod addresses;
mod handshake;
mod hostile;
mod listening;
mod paths;
mod raw;
mod stream;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use ipc_crash_test::alone::LONG;
use ipc_pipe::{Address, Client, ConnectError, Connection, HandshakeError, Listener};

/// A name that no other test or run uses.
pub(crate) fn unique() -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    format!("ipc-pipe-test-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

/// A path that goes with its directory.
pub(crate) struct TestPath(tempfile::TempDir);

impl TestPath {
    pub(crate) fn new() -> TestPath {
        TestPath(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.0.path().join("socket")
    }
}

pub(crate) fn abstract_name() -> Address {
    Address::from(format!("\0{}", unique()))
}

pub(crate) fn localhost() -> Address {
    Address::from(([127, 0, 0, 1], 0))
}

/// Runs the test over a Unix socket, and over TCP.
pub(crate) fn over_both(test: impl Fn(Address)) {
    test(abstract_name());
    test(localhost());
}

/// Connects in a thread of its own, meanwhile `accept`s; what both have.
pub(crate) fn connect_while<R>(
    client: &Client,
    accept: impl FnOnce() -> R,
) -> (R, Result<Connection<u32>, ConnectError>) {
    thread::scope(|scope| {
        let client = scope.spawn(|| client.connect_timeout(LONG));
        (accept(), client.join().unwrap())
    })
}

/// Two ends that have found each other there.
pub(crate) fn connected<T: Send + ?Sized + 'static>(address: Address) -> (Connection<T>, Connection<T>) {
    let listener = Listener::<T>::bind(address).unwrap().key("secret");
    let client = Client::new(listener.local_address()).key("secret");
    thread::scope(|scope| {
        let client = scope.spawn(|| client.connect_timeout(LONG).unwrap());
        let (here, _) = listener.accept_timeout(LONG).unwrap();
        (here, client.join().unwrap())
    })
}

/// Why a connection was refused.
pub(crate) fn why<T: std::fmt::Debug>(result: Result<T, ConnectError>) -> HandshakeError {
    match result {
        Err(ConnectError::Refused(why)) => why,
        other => panic!("{other:?}"),
    }
}

/// Why a peer was not let in.
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, ipc_pipe::AcceptTimeoutError>) -> HandshakeError {
    match result {
        Err(ipc_pipe::AcceptTimeoutError::Refused(refused)) => refused.why,
        other => panic!("{other:?}"),
    }
}

/// That the listener lets a good client in.
pub(crate) fn works(listener: &Listener<u32>, client: &Client) {
    let accept = || {
        loop {
            let (here, _) = listener.accept_timeout(LONG).unwrap();
            // Another client may have been killed when there was nothing left to do for it but to be accepted.
            if !here.poll(Some(Duration::ZERO)) {
                return here;
            }
        }
    };
    let (here, there) = connect_while(client, accept);
    let there = there.unwrap();
    here.send(1).unwrap();
    assert_eq!(there.recv().unwrap(), 1);
    there.send(2).unwrap();
    assert_eq!(here.recv().unwrap(), 2);
}
