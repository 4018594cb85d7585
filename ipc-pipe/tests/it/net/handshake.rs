//! Who is let in, and who finds out why not.

use std::thread;
use std::time::Duration;

use ipc_crash_test::alone::{LONG, SHORT, until};
use ipc_pipe::{AcceptTimeoutError, Client, Connection, HandshakeError, Listener, TryAcceptError, connect};

use super::raw::{HAS_KEY, HELLO, IS_LISTENER, PROOF, Raw, RawListener, hello, proof};
use super::{abstract_name, connect_while, localhost, over_both, refused, why, works};

/// What both sides say with these keys.
fn meet(
    address: ipc_pipe::Address,
    listener: Option<&[u8]>,
    client: Option<&[u8]>,
) -> (HandshakeError, HandshakeError) {
    let bound = Listener::<u32>::bind(address).unwrap();
    let connecting = Client::new(bound.local_address());
    let bound = match listener {
        Some(key) => bound.key(key),
        None => bound,
    };
    let connecting = match client {
        Some(key) => connecting.key(key),
        None => connecting,
    };
    let (accepted, connected) = connect_while(&connecting, || bound.accept_timeout(LONG));
    (refused(accepted), why(connected))
}

#[test]
fn the_same_key_lets_in() {
    over_both(|address| {
        for key in [&b""[..], b"k", &[7; 1000]] {
            let listener = Listener::bind(address.clone()).unwrap().key(key);
            works(&listener, &Client::new(listener.local_address()).key(key));
        }
    });
}

#[test]
fn a_wrong_key_is_an_error_on_both_sides() {
    over_both(|address| {
        for keys in [(&b"secret"[..], &b"Secret"[..]), (b"", b"x"), (b"x", b""), (b"long", b"longer")] {
            let found = meet(address.clone(), Some(keys.0), Some(keys.1));
            assert!(matches!(found, (HandshakeError::WrongKey, HandshakeError::WrongKey)), "{found:?}");
        }
    });
}

#[test]
fn a_key_on_one_side_only_is_an_error_on_both_sides() {
    over_both(|address| {
        for key in [&b"secret"[..], b""] {
            let found = meet(address.clone(), Some(key), None);
            assert!(matches!(found, (HandshakeError::NoKey, HandshakeError::KeyNeeded)), "{found:?}");
            let found = meet(address.clone(), None, Some(key));
            assert!(matches!(found, (HandshakeError::KeyNeeded, HandshakeError::NoKey)), "{found:?}");
        }
    });
}

#[test]
fn a_replayed_proof_is_refused() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        let good = Raw::connect(listener.local_address());
        thread::scope(|scope| {
            let sent = scope.spawn(|| good.shake_hands(Some(b"secret"), "u32"));
            listener.accept_timeout(LONG).unwrap();
            let sent = sent.join().unwrap();
            // Somebody has seen it all, and says the same again.
            let replay = Raw::connect(listener.local_address());
            replay.send(&sent[..HELLO]);
            replay.send(&sent[HELLO..]);
            assert!(matches!(refused(listener.accept_timeout(LONG)), HandshakeError::WrongKey));
            let told = replay.recv(HELLO + PROOF);
            assert_eq!(told[HELLO..], [&[1][..], &[0; 32]].concat());
        });
    });
}

#[test]
fn a_replayed_welcome_is_refused() {
    over_both(|address| {
        // A real listener's words, as they were once heard.
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        let good = Raw::connect(listener.local_address());
        let heard = thread::scope(|scope| {
            let heard = scope.spawn(|| {
                let mine = hello(HAS_KEY, "u32");
                good.send(&mine);
                let theirs = good.recv(HELLO);
                good.send(&proof(b"secret", 0, &mine, &theirs));
                [theirs, good.recv(PROOF)].concat()
            });
            listener.accept_timeout(LONG).unwrap();
            heard.join().unwrap()
        });
        let impostor = RawListener::bind(if good_is_unix(&listener) { abstract_name() } else { localhost() });
        let client = Client::new(&impostor.address).key("secret");
        let (_held, connected) = connect_while(&client, || {
            let raw = impostor.accept();
            raw.send(&heard[..HELLO]);
            raw.send(&heard[HELLO..]);
            raw
        });
        assert!(matches!(why(connected), HandshakeError::WrongKey));
    });
}

fn good_is_unix(listener: &Listener<u32>) -> bool {
    !matches!(listener.local_address(), ipc_pipe::Address::Tcp(_))
}

#[test]
fn a_reflected_proof_is_refused() {
    over_both(|address| {
        let mirror = RawListener::bind(address);
        let client = Client::new(&mirror.address).key("secret");
        let (_held, connected) = connect_while(&client, || {
            let raw = mirror.accept();
            let mut hello = raw.recv(HELLO);
            // Nothing but what it has to be.
            hello[12..16].copy_from_slice(&(HAS_KEY | IS_LISTENER).to_le_bytes());
            raw.send(&hello);
            let proof = raw.recv(PROOF);
            raw.send(&proof);
            raw
        });
        assert!(matches!(why(connected), HandshakeError::WrongKey));
    });
}

#[test]
fn a_reflected_hello_is_refused() {
    let mirror = RawListener::bind(localhost());
    let client = Client::new(&mirror.address);
    let (_held, connected) = connect_while(&client, || {
        let raw = mirror.accept();
        raw.send(&raw.recv(HELLO));
        raw
    });
    assert!(matches!(why(connected), HandshakeError::BadMessage));
}

/// It could be used to guess the key.
#[test]
fn a_listener_proves_nothing_to_who_has_not() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        let raw = Raw::connect(listener.local_address());
        raw.send(&hello(HAS_KEY, "u32"));
        assert!(matches!(listener.accept_timeout(SHORT), Err(AcceptTimeoutError::Timeout)));
        raw.recv(HELLO);
        assert!(raw.is_silent());
    });
}

#[test]
fn another_version_is_named_on_both_sides() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap();
        let raw = Raw::connect(listener.local_address());
        let mut newer = hello(0, "u32");
        newer[8] = 9;
        raw.send(&newer);
        let found = refused(listener.accept_timeout(LONG));
        assert!(matches!(found, HandshakeError::Version { found: 9, expected: 1 }), "{found}");
        assert_eq!(raw.recv(HELLO)[8], 1);
    });
    let other = RawListener::bind(localhost());
    let client = Client::new(&other.address);
    let (_held, connected) = connect_while(&client, || {
        let raw = other.accept();
        // What an older one has said when this one has heard enough.
        let mut older = hello(IS_LISTENER, "u32");
        older[8] = 0;
        raw.send(&older[..16]);
        raw
    });
    let found = why(connected);
    assert!(matches!(found, HandshakeError::Version { found: 0, expected: 1 }), "{found}");
}

#[test]
fn types_that_do_not_fit_are_named_on_both_sides() {
    over_both(|address| {
        let listener = Listener::<u32, Vec<String>>::bind(address).unwrap().key("secret");
        let client = Client::new(listener.local_address()).key("secret");
        thread::scope(|scope| {
            let client = scope.spawn(|| client.connect_timeout::<String, u32>(LONG));
            let found = refused(listener.accept_timeout(LONG)).to_string();
            assert!(found.contains("receives alloc::vec::Vec<alloc::string::String>"), "{found}");
            assert!(found.ends_with("type is alloc::string::String"), "{found}");
            let found = why(client.join().unwrap()).to_string();
            assert!(found.contains("sends alloc::string::String"), "{found}");
            assert!(found.ends_with("type is alloc::vec::Vec<alloc::string::String>"), "{found}");
        });
    });
}

/// They would be told to anybody.
#[test]
fn types_are_not_compared_before_the_key() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        let raw = Raw::connect(listener.local_address());
        thread::scope(|scope| {
            scope.spawn(|| raw.shake_hands(Some(b"wrong"), "String"));
            assert!(matches!(refused(listener.accept_timeout(LONG)), HandshakeError::WrongKey));
        });
    });
}

/// Each of its bytes comes in time, and all of them together do not.
#[test]
fn a_slow_peer_cannot_stretch_the_deadline() {
    let listener = Listener::<u32>::bind(localhost()).unwrap().handshake_timeout(Duration::from_millis(300));
    let raw = Raw::connect(listener.local_address());
    thread::scope(|scope| {
        scope.spawn(|| {
            let hello = hello(0, "u32");
            let drip = |byte: &u8| {
                thread::sleep(Duration::from_millis(5));
                raw.try_send(&[*byte]).is_ok()
            };
            hello.iter().all(drip)
        });
        let found = refused(listener.accept_timeout(LONG));
        assert!(matches!(found, HandshakeError::Timeout), "{found}");
    });
}

#[test]
fn a_slow_listener_cannot_stretch_the_deadline() {
    let slow = RawListener::bind(localhost());
    let client = Client::new(&slow.address);
    thread::scope(|scope| {
        let dripping = scope.spawn(|| {
            let raw = slow.accept();
            let all = [&hello(IS_LISTENER, "u32")[..], &[0; PROOF]].concat();
            all.iter().all(|byte| {
                thread::sleep(Duration::from_millis(5));
                raw.try_send(&[*byte]).is_ok()
            })
        });
        let connected = client.connect_timeout::<u32, u32>(Duration::from_millis(300));
        assert!(matches!(connected, Err(ipc_pipe::ConnectError::Timeout)), "{connected:?}");
        assert!(!dripping.join().unwrap(), "it was waited for");
    });
}

#[test]
fn silent_peers_keep_nobody_from_being_accepted() {
    over_both(|address| {
        let never = Duration::from_secs(3600);
        let listener = Listener::bind(address).unwrap().key("secret").handshake_timeout(never);
        let client = Client::new(listener.local_address()).key("secret");
        let silent: Vec<_> = (0..10).map(|_| Raw::connect(listener.local_address())).collect();
        silent[3].send(&hello(HAS_KEY, "u32"));
        works(&listener, &client);
        works(&listener, &client);
        // One of them was only slow.
        silent[5].send(&hello(HAS_KEY, "u32"));
        let theirs = silent[5].recv(HELLO);
        silent[5].send(&proof(b"secret", 0, &hello(HAS_KEY, "u32"), &theirs));
        listener.accept_timeout(LONG).unwrap();
    });
}

#[test]
fn of_too_many_silent_peers_the_oldest_goes() {
    over_both(|address| {
        let never = Duration::from_secs(3600);
        let listener = Listener::<u32>::bind(address).unwrap().handshake_timeout(never);
        let _silent: Vec<_> = (0..65).map(|_| Raw::connect(listener.local_address())).collect();
        let found = refused(listener.accept_timeout(LONG));
        assert!(matches!(found, HandshakeError::Crowded), "{found}");
        // The next may be in the way again, until it is ready.
        let listener = listener.skip_refused(true);
        works(&listener, &Client::new(listener.local_address()));
    });
}

#[test]
fn a_peer_that_goes_at_any_point_is_told_and_the_listener_goes_on() {
    over_both(|address| {
        let is_tcp = matches!(address, ipc_pipe::Address::Tcp(_));
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        // Over a Unix socket, what was sent at once comes at once.
        let ends = if is_tcp { (0..HELLO + PROOF).step_by(7).collect() } else { vec![0, HELLO] };
        for end in ends {
            let raw = Raw::connect(listener.local_address());
            thread::scope(|scope| {
                scope.spawn(|| {
                    let mine = hello(HAS_KEY, "u32");
                    raw.send(&mine[..end.min(HELLO)]);
                    if end > HELLO {
                        let theirs = raw.recv(HELLO);
                        raw.send(&proof(b"secret", 0, &mine, &theirs)[..end - HELLO]);
                    }
                    drop(raw);
                });
                let found = refused(listener.accept_timeout(LONG));
                assert!(matches!(found, HandshakeError::Closed), "{end}: {found}");
            });
        }
        works(&listener, &Client::new(listener.local_address()).key("secret"));
    });
}

#[test]
fn a_listener_that_goes_at_any_point_is_told() {
    over_both(|address| {
        let is_tcp = matches!(address, ipc_pipe::Address::Tcp(_));
        let going = RawListener::bind(address);
        let client = Client::new(&going.address);
        let all = [&hello(IS_LISTENER, "u32")[..], &[0; PROOF]].concat();
        let ends = if is_tcp { (0..all.len()).step_by(7).collect() } else { vec![0, HELLO, HELLO + PROOF] };
        for end in ends {
            let ((), connected) = connect_while(&client, || {
                let raw = going.accept();
                // Or the system would tell that it was not read.
                raw.recv(HELLO);
                raw.send(&all[..end.min(HELLO)]);
                if end > HELLO {
                    raw.send(&all[HELLO..end]);
                }
            });
            let found = why(connected);
            assert!(matches!(found, HandshakeError::Closed), "{end}: {found}");
        }
    });
}

/// A message that comes with the last byte of the handshake is not lost.
#[test]
fn what_follows_the_handshake_at_once_is_received() {
    let listener = Listener::<u32>::bind(localhost()).unwrap();
    let raw = Raw::connect(listener.local_address());
    let frame = [&2_u64.to_le_bytes()[..], &[0xac, 2]].concat();
    raw.send(&[&hello(0, "u32")[..], &frame].concat());
    let (here, _) = listener.accept_timeout(LONG).unwrap();
    assert_eq!(here.recv().unwrap(), 300);
}

#[test]
fn refused_peers_are_passed_over_on_request() {
    over_both(|address| {
        let listener = Listener::bind(address).unwrap().skip_refused(true);
        let _bad: Vec<_> = (0..5)
            .map(|_| {
                let raw = Raw::connect(listener.local_address());
                raw.send(&[0; HELLO]);
                raw
            })
            .collect();
        works(&listener, &Client::new(listener.local_address()));
        assert!(matches!(listener.try_accept(), Err(TryAcceptError::Empty)));
    });
}

#[test]
fn a_refusal_says_who_it_was() {
    let listener = Listener::<u32>::bind(localhost()).unwrap();
    let raw = Raw::connect(listener.local_address());
    raw.send(b"GET / HTTP/1.1\r\n\r\n");
    let Err(AcceptTimeoutError::Refused(refused)) = listener.accept_timeout(LONG) else { panic!() };
    assert!(matches!(refused.why, HandshakeError::BadMessage));
    let text = format!("cannot accept {}: the other side does not speak this protocol", refused.peer);
    assert_eq!(refused.to_string(), text);
    assert!(refused.peer.to_string().starts_with("127.0.0.1:"));
}

/// Its first byte is enough.
#[test]
fn a_stranger_is_not_waited_for() {
    let listener = Listener::<u32>::bind(localhost()).unwrap().handshake_timeout(Duration::from_secs(3600));
    let raw = Raw::connect(listener.local_address());
    raw.send(b"G");
    assert!(matches!(refused(listener.accept_timeout(LONG)), HandshakeError::BadMessage));
}

/// It was served while nobody looked after the others.
#[test]
fn an_answer_that_was_there_in_time_is_found_after_the_deadline() {
    let listener = Listener::<u32>::bind(localhost()).unwrap().key("secret").handshake_timeout(SHORT);
    let raw = Raw::connect(listener.local_address());
    until("it is not taken up", || {
        matches!(listener.try_accept(), Err(TryAcceptError::Empty));
        rustix::io::ioctl_fionread(&raw).is_ok_and(|bytes| bytes >= HELLO as u64)
    });
    raw.shake_hands(Some(b"secret"), "u32");
    thread::sleep(SHORT * 2);
    listener.accept_timeout(LONG).unwrap();
}

/// Or many who come would keep one from being accepted.
#[test]
fn who_is_ready_comes_before_who_is_new() {
    over_both(|address| {
        let listener = Listener::<u32>::bind(address).unwrap().key("secret");
        let raws: Vec<_> = (0..2).map(|_| Raw::connect(listener.local_address())).collect();
        raws.iter().for_each(|raw| raw.send(&hello(HAS_KEY, "u32")));
        assert!(matches!(listener.try_accept(), Err(TryAcceptError::Empty)));
        let strangers: Vec<_> = (0..3).map(|_| Raw::connect(listener.local_address())).collect();
        strangers.iter().for_each(|raw| raw.send(&[0; HELLO]));
        for raw in &raws {
            let theirs = raw.recv(HELLO);
            raw.send(&proof(b"secret", 0, &hello(HAS_KEY, "u32"), &theirs));
        }
        for _ in &raws {
            listener.accept_timeout(LONG).unwrap();
        }
        for _ in &strangers {
            assert!(matches!(refused(listener.accept_timeout(LONG)), HandshakeError::BadMessage));
        }
    });
}

#[test]
fn the_function_connects_with_and_without_a_key() {
    for key in [None, Some(&b"secret"[..])] {
        let listener = Listener::<u32>::bind(abstract_name()).unwrap();
        let listener = match key {
            Some(key) => listener.key(key),
            None => listener,
        };
        let address = listener.local_address().clone();
        let client = thread::spawn(move || connect::<u32, u32>(address, key));
        let (here, _) = listener.accept().unwrap();
        let there: Connection<u32> = client.join().unwrap().unwrap();
        there.send(5).unwrap();
        assert_eq!(here.recv().unwrap(), 5);
    }
}
