//! What a listener does under load, limits and signals.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::Fd;
use ipc_crash_test::alone::{Gate, LONG, SHORT, alone, forever, fork, past, until};
use ipc_pipe::{AcceptTimeoutError, Address, Client, HandshakeError, Listener, TryAcceptError, connect};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use super::raw::{Raw, hello};
use super::{TestPath, abstract_name, connect_while, localhost, over_both, refused, works};

fn is_readable(fd: impl AsFd, timeout: Duration) -> bool {
    let timeout = Timespec::try_from(timeout).unwrap();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&timeout)).unwrap() == 1
}

/// Limits this process to so many more descriptors than it has; gives the old limit back.
fn leave_descriptors(more: usize) -> Rlimit {
    let is_free = |fd: &i32| {
        // SAFETY: asks about a number, whatever it stands for.
        unsafe { libc::fcntl(*fd, libc::F_GETFD) == -1 }
    };
    let first_too_many = (0..).filter(is_free).nth(more).unwrap();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: Some(first_too_many as u64), ..limit }).unwrap();
    limit
}

#[test]
fn nobody_is_accepted_where_nobody_comes() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap();
        assert!(matches!(listener.try_accept(), Err(TryAcceptError::Empty)));
        assert!(matches!(listener.accept_timeout(SHORT), Err(AcceptTimeoutError::Timeout)));
        assert!(matches!(listener.accept_timeout(Duration::ZERO), Err(AcceptTimeoutError::Timeout)));
        assert!(matches!(listener.accept_deadline(past()), Err(AcceptTimeoutError::Timeout)));
    });
}

#[test]
fn who_is_there_is_accepted_also_after_the_deadline() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap();
        let raw = Raw::connect(listener.local_address());
        raw.send(&hello(0, "u32"));
        listener.accept_deadline(past()).unwrap();
        let raw = Raw::connect(listener.local_address());
        raw.send(&hello(0, "u32"));
        listener.try_accept().unwrap();
    });
}

#[test]
fn the_descriptor_says_when_there_is_something_to_do() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        assert!(!is_readable(&listener, Duration::ZERO));
        let client = Client::new(listener.local_address()).key("secret");
        let ((here, _), there) = connect_while(&client, || {
            loop {
                assert!(is_readable(&listener, LONG), "nothing happens");
                match listener.try_accept() {
                    Err(TryAcceptError::Empty) => {}
                    other => break other.unwrap(),
                }
            }
        });
        assert!(!is_readable(&listener, Duration::ZERO));
        here.send(1).unwrap();
        assert_eq!(there.unwrap().recv().unwrap(), 1);
    });
}

#[test]
fn the_descriptor_says_when_a_peer_was_silent_for_too_long() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().handshake_timeout(SHORT);
        let _silent = Raw::connect(listener.local_address());
        assert!(matches!(listener.try_accept(), Err(TryAcceptError::Empty)));
        assert!(is_readable(&listener, LONG));
        let Err(TryAcceptError::Refused(refused)) = listener.try_accept() else { panic!() };
        assert!(matches!(refused.why, HandshakeError::Timeout));
        assert!(!is_readable(&listener, Duration::ZERO));
    });
}

#[test]
fn several_threads_accept_and_each_peer_is_accepted_once() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        let client = Client::new(listener.local_address()).key("secret");
        thread::scope(|scope| {
            let accepting: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        let accepted = (0..5).map(|_| listener.accept_timeout(LONG).unwrap().0);
                        accepted.map(|connection| connection.recv().unwrap()).collect::<Vec<_>>()
                    })
                })
                .collect();
            for number in 0..20 {
                client.connect_timeout::<u32, u32>(LONG).unwrap().send(number).unwrap();
            }
            let mut numbers: Vec<_> =
                accepting.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            numbers.sort_unstable();
            assert_eq!(numbers, (0..20).collect::<Vec<_>>());
        });
    });
}

fn no_descriptor_left(address: Address) {
    let listener = Listener::<u32>::bind(address).unwrap();
    let raw = Raw::connect(listener.local_address());
    raw.send(&hello(0, "u32"));
    let limit = leave_descriptors(0);
    for _ in 0..3 {
        match listener.accept_timeout(LONG) {
            Err(AcceptTimeoutError::Fault(error)) => {
                assert_eq!(error.os().unwrap().raw_os_error(), Some(libc::EMFILE), "{error}");
            }
            other => panic!("{other:?}"),
        }
    }
    setrlimit(Resource::Nofile, limit).unwrap();
    listener.accept_timeout(LONG).unwrap();
}

#[test]
fn no_descriptor_left_is_an_error_and_the_peer_is_accepted_later() {
    alone(|| no_descriptor_left(abstract_name()));
}

#[test]
fn no_descriptor_left_is_an_error_and_the_peer_is_accepted_later_over_tcp() {
    alone(|| no_descriptor_left(localhost()));
}

/// The listener has enough for the socket, but not for a pipe.
#[test]
fn a_client_is_told_that_the_listener_has_no_descriptor_left() {
    alone(|| {
        let listener = Listener::<u32>::bind(abstract_name()).unwrap();
        let address = listener.local_address().clone();
        let child = fork(|| {
            let found = super::why(Client::new(&address).connect_timeout::<u32, u32>(LONG));
            assert!(matches!(found, HandshakeError::Exhausted), "{found}");
        });
        let limit = leave_descriptors(2);
        let accepted = listener.accept_timeout(LONG);
        setrlimit(Resource::Nofile, limit).unwrap();
        assert!(matches!(accepted, Err(AcceptTimeoutError::Fault(_))), "{accepted:?}");
        child.join();
    });
}

#[test]
fn a_client_without_descriptors_gets_an_error_and_the_listener_the_end() {
    alone(|| {
        let listener = Listener::<u32>::bind(abstract_name()).unwrap();
        let address = listener.local_address().clone();
        let child = fork(|| {
            leave_descriptors(2);
            match Client::new(&address).connect_timeout::<u32, u32>(LONG) {
                Err(ipc_pipe::ConnectError::Fault(error)) => {
                    assert!(error.to_string().contains("descriptors"), "{error}");
                }
                other => panic!("{other:?}"),
            }
        });
        let (here, _) = listener.accept_timeout(LONG).unwrap();
        assert!(matches!(here.recv(), Err(ipc_pipe::RecvError::Closed)));
        child.join();
    });
}

#[test]
fn a_stopped_peer_keeps_nobody_from_being_accepted() {
    alone(|| {
        for address in [abstract_name(), localhost()] {
            let listener = Listener::bind(address).unwrap().key("secret");
            let address = listener.local_address().clone();
            let connected = Gate::new();
            let stopped = fork(|| {
                let _raw = Raw::connect(&address);
                connected.open();
                forever();
            });
            connected.pass();
            stopped.stop();
            works(&listener, &Client::new(&address).key("secret"));
            // Its end shows.
            stopped.kill();
            assert!(matches!(refused(listener.accept_timeout(LONG)), HandshakeError::Closed));
        }
    });
}

#[test]
fn a_stopped_listener_costs_a_client_its_timeout_only() {
    alone(|| {
        for address in [abstract_name(), localhost()] {
            let listener = Listener::<u32>::bind(address).unwrap();
            let address = listener.local_address().clone();
            let accepting = fork(|| {
                listener.accept_timeout(LONG).unwrap();
            });
            until("it does not wait", || accepting.is_asleep());
            accepting.stop();
            let client = Client::new(&address);
            assert!(matches!(
                client.connect_timeout::<u32, u32>(SHORT),
                Err(ipc_pipe::ConnectError::Timeout)
            ));
        }
    });
}

/// A connection that was accepted does not need its listener.
#[test]
fn connections_outlive_a_killed_listener() {
    alone(|| {
        for address in [abstract_name(), localhost()] {
            let listener = Listener::<u32>::bind(address).unwrap();
            let client = Client::new(listener.local_address());
            let ((here, _), there) = connect_while(&client, || listener.accept_timeout(LONG).unwrap());
            let there = there.unwrap();
            drop(listener);
            here.send(1).unwrap();
            assert_eq!(there.recv().unwrap(), 1);
        }
    });
}

#[test]
fn the_end_of_a_killed_peer_shows() {
    alone(|| {
        for address in [abstract_name(), localhost()] {
            let listener = Listener::<u32>::bind(address).unwrap().key("secret");
            let address = listener.local_address().clone();
            let peer = fork(|| {
                let there = Client::new(&address).key("secret").connect_timeout::<u32, u32>(LONG).unwrap();
                there.send(1).unwrap();
                forever();
            });
            let (here, _) = listener.accept_timeout(LONG).unwrap();
            assert_eq!(here.recv().unwrap(), 1);
            peer.kill();
            assert!(matches!(here.recv(), Err(ipc_pipe::RecvError::Closed)));
        }
    });
}

/// Wherever that was.
#[test]
fn clients_that_are_killed_while_they_connect_leave_nothing() {
    alone(|| {
        for address in [abstract_name(), localhost()] {
            let listener = Listener::<u32>::bind(address).unwrap().key("secret").skip_refused(true);
            let client = Client::new(listener.local_address()).key("secret");
            works(&listener, &client);
            let before = ipc_crash_test::alone::descriptors();
            for round in 0..40_u64 {
                let connecting = fork(|| {
                    loop {
                        drop(client.connect_timeout::<u32, u32>(LONG));
                    }
                });
                let until = Instant::now() + Duration::from_micros(300 * round);
                while listener.accept_deadline(until).is_ok() {}
                connecting.kill();
            }
            works(&listener, &client);
            until("descriptors grow", || {
                let _ = listener.try_accept();
                ipc_crash_test::alone::descriptors() <= before
            });
        }
    });
}

#[test]
fn a_client_notices_that_its_listener_is_killed_wherever_that_was() {
    alone(|| {
        for round in 0..40_u64 {
            let listener = Listener::<u32>::bind(if round % 2 == 0 { abstract_name() } else { localhost() });
            let listener = listener.unwrap().key("secret");
            let client = Client::new(listener.local_address()).key("secret");
            let accepting = fork(|| {
                loop {
                    drop(listener.accept_timeout(LONG));
                }
            });
            // Only the child's is left.
            drop(listener);
            thread::scope(|scope| {
                let connecting = scope.spawn(|| {
                    loop {
                        match client.connect_timeout::<u32, u32>(LONG) {
                            Ok(_) => {}
                            Err(ipc_pipe::ConnectError::Timeout) => panic!("it hangs"),
                            Err(_) => break,
                        }
                    }
                });
                thread::sleep(Duration::from_micros(200 * round));
                accepting.kill();
                connecting.join().unwrap();
            });
        }
    });
}

extern "C" fn nothing(_: libc::c_int) {}

/// Has SIGALRM interrupt this process's system calls so often; 0 for no more.
fn interrupt_every(microseconds: libc::suseconds_t) {
    // SAFETY: plain data, valid when zeroed.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
    // SAFETY: the handler does nothing, so it may run anywhere.
    assert_eq!(unsafe { libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) }, 0);
    let every = libc::timeval { tv_sec: 0, tv_usec: microseconds };
    let timer = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: `timer` lives through the call.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) }, 0);
}

#[test]
fn signals_disturb_nobody() {
    alone(|| {
        let path = TestPath::new();
        for address in [path.path().into(), localhost()] {
            let listener = Listener::<u32>::bind(address).unwrap().key("secret");
            let address = listener.local_address().clone();
            let peer = fork(|| {
                interrupt_every(500);
                for number in 0..50 {
                    let client = Client::new(&address).key("secret");
                    let there = client.connect_timeout::<u32, u32>(LONG).unwrap();
                    there.send(number).unwrap();
                    assert_eq!(there.recv().unwrap(), number);
                }
            });
            interrupt_every(500);
            for number in 0..50 {
                let (here, _) = listener.accept_timeout(LONG).unwrap();
                assert_eq!(here.recv_timeout(LONG).unwrap(), number);
                here.send(number).unwrap();
            }
            let begin = Instant::now();
            assert!(matches!(listener.accept_timeout(SHORT), Err(AcceptTimeoutError::Timeout)));
            assert!(begin.elapsed() >= SHORT);
            interrupt_every(0);
            peer.join();
        }
    });
}

/// In another process, which shares nothing with this one but the address.
#[test]
fn handles_travel_over_a_unix_socket() {
    let path = TestPath::new();
    let listener = Listener::<Fd<std::fs::File>, String>::bind(path.path()).unwrap().key("secret");
    let mut child = ipc_process::spawn(
        |address: Address| {
            let there = connect::<String, Fd<std::fs::File>>(address, Some(b"secret")).unwrap();
            let mut file = there.recv().unwrap();
            let mut text = String::new();
            std::io::Read::read_to_string(&mut *file, &mut text).unwrap();
            there.send(text).unwrap();
        },
        (listener.local_address().clone(),),
    )
    .unwrap();
    let (here, _) = listener.accept_timeout(LONG).unwrap();
    let file = path.path().with_extension("txt");
    std::fs::write(&file, "through the file").unwrap();
    here.send(Fd(std::fs::File::open(file).unwrap())).unwrap();
    assert_eq!(here.recv().unwrap(), "through the file");
    child.join().unwrap();
}

#[test]
fn a_connection_over_a_unix_socket_is_handed_on() {
    let listener = Listener::<u32>::bind(abstract_name()).unwrap();
    let client = Client::new(listener.local_address());
    let ((here, _), there) = connect_while(&client, || listener.accept_timeout(LONG).unwrap());
    let double = |end: ipc_pipe::Connection<u32>| {
        end.iter().for_each(|number| end.send(number.unwrap() * 2).unwrap());
    };
    let mut child = ipc_process::spawn(double, (here,)).unwrap();
    let there = there.unwrap();
    there.send(21).unwrap();
    assert_eq!(there.recv().unwrap(), 42);
    drop(there);
    child.join().unwrap();
}

#[test]
fn a_signal_ends_no_process_whose_peer_is_gone() {
    alone(|| {
        let listener = Listener::<u32>::bind(localhost()).unwrap();
        let client = Client::new(listener.local_address());
        let ((here, _), there) = connect_while(&client, || listener.accept_timeout(LONG).unwrap());
        drop(there);
        // SAFETY: the default action, which would end the process.
        unsafe { libc::signal(Signal::PIPE.as_raw(), libc::SIG_DFL) };
        until("it is not noticed", || matches!(here.send(1), Err(ipc_pipe::SendError::Closed(1))));
    });
}

#[test]
fn an_error_has_a_kind() {
    let nobody = connect::<u32, u32>(([127, 0, 0, 1], 1), None).unwrap_err();
    let ipc_pipe::ConnectError::Fault(error) = nobody else { panic!() };
    assert_eq!(error.os().unwrap().kind(), ErrorKind::ConnectionRefused);
}
