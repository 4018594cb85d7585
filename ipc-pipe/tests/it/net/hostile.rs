//! Whatever a stranger or a peer sends: errors, and the next peer is let in.

use std::os::fd::AsFd;
use std::time::Duration;

use ipc_core::transfer::Parcel;
use ipc_core::{Fd, codec};
use ipc_crash_test::alone::LONG;
use ipc_pipe::{AcceptTimeoutError, Client, ConnectError, Listener, RecvError};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};

use super::raw::{HAS_KEY, HELLO, IS_LISTENER, PROOF, Raw, RawListener, hello, proof};
use super::{abstract_name, connect_while, localhost, over_both, works};

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

#[test]
fn garbage_instead_of_a_handshake_is_refused() {
    over_both(|address| {
        let short = Duration::from_millis(30);
        let listener = Listener::<u32>::bind(address).unwrap().key("secret").handshake_timeout(short);
        let good = hello(HAS_KEY, "u32");
        // Nothing of a hello, or its start, and then anything.
        let garbage = (0..=HELLO, prop::collection::vec(any::<u8>(), 1..600))
            .prop_map(|(good_bytes, bytes)| [&good[..good_bytes], &bytes].concat());
        let run = |bytes: Vec<u8>| {
            let raw = Raw::connect(listener.local_address());
            let _ = raw.try_send(&bytes);
            match listener.accept_timeout(LONG) {
                Err(AcceptTimeoutError::Refused(_)) => Ok(()),
                other => Err(TestCaseError::fail(format!("{other:?}"))),
            }
        };
        runner(200).run(&garbage, run).unwrap();
        works(&listener, &Client::new(listener.local_address()).key("secret"));
    });
}

/// Each bit of the handshake counts: with one of them turned, nobody is let in.
#[test]
fn a_handshake_with_one_bit_turned_is_refused() {
    over_both(|address| {
        let short = Duration::from_millis(30);
        let listener = Listener::<u32>::bind(address).unwrap().key("secret").handshake_timeout(short);
        let turned = |bit: usize| {
            let raw = Raw::connect(listener.local_address());
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mine = hello(HAS_KEY, "u32");
                    let mut said = mine;
                    if bit < HELLO * 8 {
                        said[bit / 8] ^= 1 << (bit % 8);
                    }
                    let _ = raw.try_send(&said);
                    let theirs = raw.recv(HELLO);
                    let mut proof = proof(b"secret", 0, &mine, &theirs);
                    if bit >= HELLO * 8 {
                        proof[bit / 8 - HELLO] ^= 1 << (bit % 8);
                    }
                    let _ = raw.try_send(&proof);
                });
                let result = listener.accept_timeout(LONG);
                assert!(matches!(result, Err(AcceptTimeoutError::Refused(_))), "{bit}: {result:?}");
            });
        };
        (0..(HELLO + PROOF) * 8).step_by(13).for_each(turned);
        (HELLO * 8..(HELLO + PROOF) * 8).for_each(turned);
    });
}

/// From a peer that has the key.
#[test]
fn garbage_after_the_handshake_is_an_error_or_a_message() {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        // With a length that is possible.
        (0..40_u64, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(len, bytes)| [
            &len.to_le_bytes()[..],
            &bytes
        ]
        .concat()),
    ];
    let run = |parts: Vec<Vec<u8>>| {
        let listener = Listener::<Vec<(u32, String)>>::bind(localhost()).unwrap().message_limit(100);
        let raw = Raw::connect(listener.local_address());
        raw.send(&hello(0, std::any::type_name::<Vec<(u32, String)>>()));
        let (here, _) = listener.accept_timeout(LONG).unwrap();
        for part in &parts {
            let _ = raw.try_send(part);
        }
        drop(raw);
        // At the latest when nothing is left.
        for _ in 0..1000 {
            if let Err(RecvError::Closed) = here.recv() {
                return Ok(());
            }
        }
        Err(TestCaseError::fail("it has no end"))
    };
    runner(300).run(&prop::collection::vec(bytes, 0..4), run).unwrap();
}

#[test]
fn garbage_instead_of_a_listener_is_refused() {
    over_both(|address| {
        let stranger = RawListener::bind(address);
        let client = Client::new(&stranger.address).key("secret");
        let good = hello(HAS_KEY | IS_LISTENER, "u32");
        let garbage = (0..=HELLO, prop::collection::vec(any::<u8>(), 1..600))
            .prop_map(|(good_bytes, bytes)| [&good[..good_bytes], &bytes].concat());
        let run = |bytes: Vec<u8>| {
            std::thread::scope(|scope| {
                let client = scope.spawn(|| client.connect_timeout::<u32, u32>(Duration::from_millis(50)));
                let raw = stranger.accept();
                let _ = raw.try_send(&bytes);
                match client.join().unwrap() {
                    Err(ConnectError::Refused(_) | ConnectError::Timeout) => Ok(()),
                    other => Err(TestCaseError::fail(format!("{other:?}"))),
                }
            })
        };
        runner(100).run(&garbage, run).unwrap();
    });
}

/// What a client says of an end that a hostile listener has sent it in the place of a good one.
fn handed_over(send: impl FnOnce(&Raw)) -> String {
    let hostile = RawListener::bind(abstract_name());
    let client = Client::new(&hostile.address);
    let (_held, connected) = connect_while(&client, || {
        let raw = hostile.accept();
        raw.send(&hello(IS_LISTENER, "u32"));
        raw.send(&[0; PROOF]);
        send(&raw);
        raw
    });
    match connected {
        Err(ConnectError::Fault(error)) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

fn send_value(raw: &Raw, value: &impl serde::Serialize) {
    let pack = || {
        let mut bytes = Vec::new();
        codec::encode(value, &mut bytes).map(|()| bytes)
    };
    Parcel::pack(pack).unwrap().send(raw).unwrap();
}

#[test]
fn an_end_that_is_none_is_refused() {
    let null = || Fd(std::fs::File::open("/dev/null").unwrap());
    let text = handed_over(|raw| raw.send(b"garbage"));
    assert_eq!(text, "cannot receive parcel: the message is malformed");
    let text = handed_over(|raw| send_value(raw, &0));
    assert!(text.contains("descriptor 0 did not come with the message"), "{text}");
    let text = handed_over(|raw| send_value(raw, &[null(), null(), null(), null()]));
    assert!(text.starts_with("cannot hand over a connection: "), "{text}");
    // A half of one.
    let (sender, _receiver) = ipc_pipe::one_way::<u32>().unwrap();
    let text = handed_over(|raw| send_value(raw, &sender));
    assert!(text.contains("descriptor 2 did not come with the message"), "{text}");
}

#[test]
fn an_end_of_another_type_is_refused_and_both_types_are_named() {
    let (_here, there) = ipc_pipe::pipe::<u32, String>().unwrap();
    let text = handed_over(|raw| send_value(raw, &there));
    assert!(text.contains("its type is alloc::string::String, asked for was u32"), "{text}");
}

/// Nobody has asked for them.
#[test]
fn descriptors_that_come_with_a_handshake_are_closed() {
    let listener = Listener::<u32>::bind(abstract_name()).unwrap();
    let raw = Raw::connect(listener.local_address());
    let (mut reader, writer) = std::io::pipe().unwrap();
    raw.try_send_with(&hello(0, "u32"), writer.as_fd()).unwrap();
    drop(writer);
    let _accepted = listener.accept_timeout(LONG).unwrap();
    assert_eq!(std::io::Read::read(&mut reader, &mut [0]).unwrap(), 0);
}
