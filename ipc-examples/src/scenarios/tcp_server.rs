//! An echo server with a process for each connection, and one with a thread for each.
//!
//! In Python:
//!
//! ```python
//! def talk(conn):
//!     while True:
//!         data = conn.recv(1024)
//!         if not data: break
//!         conn.send(data + b'_SB')
//!     conn.close()
//!
//! while True:
//!     conn, client_addr = server.accept()
//!     Process(target=talk, args=(conn,)).start()    # or Thread
//! ```
//!
//! Each accepted socket is handed to a child, inside of its arguments: `Fd` makes anything with a descriptor a value that
//! travels. The parent's own copy is given up with that, so that the client sees the end when the child is done. In the
//! original the parent keeps one for each connection.
//!
//! Prints how many clients got all their bytes back, for both servers; and checks that no descriptor is left.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;

use ipc_core::Fd;
use ipc_process::spawn;

use super::Outcome;
use crate::system;

const CLIENTS: usize = 8;
const ROUNDS: usize = 20;
const SUFFIX: &[u8] = b"_SB";

/// Sends back what comes, with the suffix, until the client ends; says how often.
fn talk(mut socket: Fd<TcpStream>) -> usize {
    let mut buffer = [0; 1024];
    let mut rounds = 0;
    loop {
        match socket.read(&mut buffer).expect("the client is there") {
            0 => return rounds,
            len => socket.write_all(&[&buffer[..len], SUFFIX].concat()).expect("the client is there"),
        }
        rounds += 1;
    }
}

/// What a client says, one thing at a time, and expects to hear.
fn ask(server: SocketAddr, client: usize) -> std::io::Result<()> {
    let mut socket = TcpStream::connect(server)?;
    for round in 0..ROUNDS {
        let question = format!("client {client}, round {round}");
        socket.write_all(question.as_bytes())?;
        let mut answer = vec![0; question.len() + SUFFIX.len()];
        socket.read_exact(&mut answer)?;
        assert_eq!(answer, [question.as_bytes(), SUFFIX].concat());
    }
    socket.shutdown(Shutdown::Write)?;
    // The end comes, because nobody else has a copy of the server's socket.
    assert_eq!(socket.read(&mut [0])?, 0);
    Ok(())
}

/// Has all clients talk to a server at once, which hands each accepted socket to `serve`.
fn with_clients<T>(serve: impl Fn(TcpStream) -> T) -> Result<Vec<T>, Box<dyn std::error::Error>> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let server = listener.local_addr()?;
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|client| scope.spawn(move || ask(server, client))).collect();
        let serving = (0..CLIENTS).map(|_| Ok(serve(listener.accept()?.0))).collect();
        for client in clients {
            client.join().expect("it got what it expected")?;
        }
        serving
    })
}

pub(crate) fn run() -> Outcome {
    let before = system::descriptors()?;

    let children = with_clients(|socket| spawn(talk, (Fd(socket),)))?;
    for child in children {
        assert_eq!(child?.join()?, ROUNDS);
    }
    println!("a process for each connection: {CLIENTS} clients got everything back");

    let threads = with_clients(|socket| thread::spawn(|| talk(Fd(socket))))?;
    for thread in threads {
        assert_eq!(thread.join().expect("it ends"), ROUNDS);
    }
    println!("a thread for each connection: {CLIENTS} clients got everything back");

    assert_eq!(system::descriptors()?, before, "no socket and no child is left");
    Ok(())
}
