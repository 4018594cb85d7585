//! Where listeners are found, and by whom.

use std::net::{Ipv6Addr, TcpListener};
use std::time::Duration;

use ipc_core::Cause;
use ipc_crash_test::alone::{LONG, SHORT, alone};
use ipc_pipe::{Address, Client, ConnectError, Listener, Peer, connect};

use super::{TestPath, abstract_name, connect_while, localhost, over_both, works};

fn fault(result: Result<ipc_pipe::Connection<u32>, ConnectError>) -> ipc_core::Error {
    match result {
        Err(ConnectError::Fault(error)) => error,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_connection_is_made_over_every_kind_of_address() {
    let path = TestPath::new();
    for address in [path.path().into(), abstract_name(), localhost()] {
        let listener = Listener::bind(&address).unwrap();
        works(&listener, &Client::new(listener.local_address()));
    }
}

#[test]
fn a_connection_is_made_over_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return;
    }
    let listener = Listener::bind((Ipv6Addr::LOCALHOST, 0)).unwrap();
    works(&listener, &Client::new(listener.local_address()));
}

#[test]
fn the_system_chooses_ports_and_names() {
    let listener = Listener::bind(localhost()).unwrap();
    assert!(matches!(listener.local_address(), Address::Tcp(address) if address.port() != 0));
    works(&listener, &Client::new(listener.local_address()));

    let listener = Listener::bind("\0").unwrap();
    assert!(matches!(listener.local_address(), Address::Abstract(name) if !name.is_empty()));
    works(&listener, &Client::new(listener.local_address()));
}

#[test]
fn two_listeners_serve_side_by_side() {
    let (one, other) = (Listener::bind(abstract_name()).unwrap(), Listener::bind(localhost()).unwrap());
    let clients = [&one, &other].map(|listener| Client::new(listener.local_address()));
    for _ in 0..3 {
        works(&one, &clients[0]);
        works(&other, &clients[1]);
    }
}

#[test]
fn who_has_connected_is_told() {
    let listener = Listener::<u32>::bind(abstract_name()).unwrap();
    let client = Client::new(listener.local_address());
    let (accepted, connected) = connect_while(&client, || listener.accept_timeout(LONG));
    let me = Peer::Process {
        pid: std::process::id(),
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    assert_eq!(accepted.unwrap().1, me);
    drop(connected);

    let listener = Listener::<u32>::bind(localhost()).unwrap();
    let client = Client::new(listener.local_address());
    let (accepted, connected) = connect_while(&client, || listener.accept_timeout(LONG));
    assert!(matches!(accepted.unwrap().1, Peer::Tcp(address) if address.ip().is_loopback()));
    drop(connected);
}

#[test]
fn an_address_in_use_is_refused() {
    let path = TestPath::new();
    for address in [path.path().into(), abstract_name(), localhost()] {
        let listener = Listener::bind(&address).unwrap();
        let second = Listener::<u32>::bind(listener.local_address()).unwrap_err();
        let is_os = second.os().is_some_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
        assert!(is_os || matches!(second.cause(), Cause::NameTaken), "{second}");
        assert!(second.to_string().contains(&listener.local_address().to_string()), "{second}");
        works(&listener, &Client::new(listener.local_address()));
    }
}

#[test]
fn a_port_can_be_taken_again_at_once() {
    let again = || {
        let listener = Listener::bind(localhost()).unwrap();
        let address = listener.local_address().clone();
        works(&listener, &Client::new(&address));
        drop(listener);
        Listener::<u32>::bind(&address).is_ok()
    };
    // Once in a while somebody else is given the port meanwhile.
    assert!((0..10).any(|_| again()));
}

#[test]
fn nobody_at_an_address_is_an_error_at_once() {
    let path = TestPath::new();
    for address in [path.path().into(), abstract_name(), Address::from(([127, 0, 0, 1], 1))] {
        let error = fault(connect(&address, None));
        let kind = error.os().unwrap().kind();
        assert!(
            matches!(kind, std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused),
            "{error}"
        );
        assert!(
            error.to_string().starts_with(&format!("cannot connect to listener at {address}: ")),
            "{error}"
        );
    }
    assert!(fault(connect(path.path(), None)).is_not_found());
}

#[test]
fn an_address_that_is_too_long_is_told_with_its_limit() {
    let long = "x".repeat(108);
    for address in
        [Address::from(format!("/tmp/{long}")), Address::from(format!("\0{long}")), Address::from("")]
    {
        let errors = [fault(connect(&address, None)), Listener::<u32>::bind(&address).unwrap_err()];
        if address == Address::from("") {
            assert!(errors.iter().all(|error| error.to_string().contains("0 bytes")), "{errors:?}");
        }
        assert!(errors.iter().all(|error| error.to_string().contains("107")), "{errors:?}");
    }
    // The longest that there are.
    let listener = Listener::bind(format!("\0{:x<107}", super::unique())).unwrap();
    works(&listener, &Client::new(listener.local_address()));
}

#[test]
fn a_client_that_is_not_accepted_gives_up_at_its_deadline() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        let client = Client::new(listener.local_address()).key("secret");
        assert!(matches!(client.connect_timeout::<u32, u32>(SHORT), Err(ConnectError::Timeout)));
        assert!(matches!(client.connect_timeout::<u32, u32>(Duration::ZERO), Err(ConnectError::Timeout)));
        // It is found to be gone, and the next is let in.
        let refused = super::refused(listener.accept_timeout(LONG));
        assert!(matches!(refused, ipc_pipe::HandshakeError::Closed), "{refused}");
    });
}

#[test]
fn a_client_in_a_full_backlog_gives_up_at_its_deadline() {
    let listener = Listener::<u32>::bind(abstract_name()).unwrap().backlog(0).unwrap();
    let waiting: Vec<_> = std::iter::from_fn(|| {
        let socket = super::raw::Raw::try_connect(listener.local_address());
        socket.ok()
    })
    .take(1000)
    .collect();
    assert!(waiting.len() < 1000, "there is no limit");
    let client = Client::new(listener.local_address());
    assert!(matches!(client.connect_timeout::<u32, u32>(SHORT), Err(ConnectError::Timeout)));
}

#[test]
fn a_thousand_connections_leave_nothing_behind() {
    alone(|| {
        let path = TestPath::new();
        for address in [path.path().into(), localhost()] {
            let listener = Listener::bind(address).unwrap().key("secret");
            let client = Client::new(listener.local_address()).key("secret");
            works(&listener, &client);
            let before = ipc_crash_test::alone::descriptors();
            for _ in 0..500 {
                works(&listener, &client);
            }
            ipc_crash_test::alone::until("descriptors grow", || {
                ipc_crash_test::alone::descriptors() <= before
            });
        }
    });
}
