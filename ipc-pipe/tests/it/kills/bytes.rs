//! Bytes, small and large: growing and giving memory back.

use std::sync::atomic::Ordering::SeqCst;

use ipc_crash_test::{Outcome, Report};
use ipc_pipe::Builder;

use super::{Ends, Entry, Expected, Numbers, SOON, Scene, Walk, number_of, ready};

pub(super) const CASES: &[Entry] = &[
    ("bytes: send", [1, 31], send),
    ("bytes: recv into a buffer", [1, 31], recv_into),
    ("bytes: recv in place", [1, 31], recv_with),
    ("large: send more than half of the ring", [1, 61], send_larger),
    ("large: send behind such a one", [1, 31], send_behind_larger),
    ("large: recv the first of a larger ring", [3, 61], recv_larger),
    ("large: memory given back when nothing is left", [3, 61], give_back),
    ("large: wait for half of the ring, where small ones come", [61, 997], wait_among_small),
];

type Bytes = Scene<Ends<[u8]>>;

/// Of the shortest message that takes more than half of the ring.
const LARGER: usize = 2033;

/// Of a message, larger than what is kept.
const LARGE: usize = 600_000;

fn send_large(ends: &Ends<[u8]>, number: u64, len: usize) {
    let mut bytes = vec![number as u8; len];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    ends.sender.send_bytes(&bytes).unwrap();
}

fn scene() -> Bytes {
    let ends = Ends::new(Builder::new().ring(4096).one_way().unwrap());
    (1..5).for_each(|number| send_large(&ends, number, 8));
    Scene::new(ends)
}

fn run(walk: Walk, setup: fn() -> Bytes, victim: fn(&Ends<[u8]>), expected: fn() -> Expected) -> Report {
    let test = walk.of(setup).victim(move |scene, step| {
        let ends = ready(scene);
        step.run(|| victim(ends));
    });
    let check = move |scene: &Bytes, outcome: Outcome| expected().check(&scene.lock, outcome);
    // The survivors set memory aside, which a busy machine takes its time for.
    test.deadline(10 * SOON).check(check).run()
}

fn send(walk: Walk) -> Report {
    run(walk, scene, |ends| send_large(ends, 5, 8), || Expected::new(1..5).sent(5))
}

fn recv_into(walk: Walk) -> Report {
    let victim = |ends: &Ends<[u8]>| {
        let mut buffer = [0; 16];
        assert_eq!(ends.receiver.recv_bytes_into(&mut buffer).unwrap(), 8);
        assert_eq!(number_of(&buffer), 1);
    };
    run(walk, scene, victim, || Expected::new(1..5).received(1))
}

fn recv_with(walk: Walk) -> Report {
    let victim = |ends: &Ends<[u8]>| {
        ends.receiver.recv_bytes_with(|message| assert_eq!(message.len(), 8)).unwrap();
    };
    run(walk, scene, victim, || Expected::new(1..5).received(1))
}

fn send_larger(walk: Walk) -> Report {
    run(walk, scene, |ends| send_large(ends, 5, LARGER), || Expected::new(1..5).sent(5))
}

fn large() -> Bytes {
    let scene = scene();
    send_large(&scene.lock, 5, LARGE);
    scene
}

fn send_behind_larger(walk: Walk) -> Report {
    run(walk, large, |ends| send_large(ends, 6, 8), || Expected::new(1..6).sent(6))
}

fn at_larger() -> Bytes {
    let scene = large();
    (0..4).for_each(|_| assert!(scene.lock.take().is_some()));
    send_large(&scene.lock, 6, 8);
    scene
}

fn recv_larger(walk: Walk) -> Report {
    let victim = |ends: &Ends<[u8]>| {
        ends.receiver.recv_bytes_with(|message| assert_eq!(message.len(), LARGE)).unwrap();
    };
    run(walk, at_larger, victim, || Expected::new([5, 6]).received(1))
}

fn give_back(walk: Walk) -> Report {
    let setup = || {
        let scene = large();
        (0..5).for_each(|_| assert!(scene.lock.take().is_some()));
        super::age(&scene.lock);
        scene
    };
    run(walk, setup, |ends| ends.find_nothing(), || Expected::new([]))
}

/// Another receives three at a time and sends as many, until the one who waits has him wait, or he has had his chance.
fn wait_among_small(walk: Walk) -> Report {
    let setup = || {
        scene().with_other(|ends, notes, gate| {
            ends.segment().me().unwrap();
            let fill = || (0..).take_while(|_| ends.sender.try_send_bytes(&[7; 8]).is_ok()).count();
            fill();
            gate.stay_until(|| !ends.sender.outgoing_stats().waiting_to_send.is_empty());
            let receive = |count| (0..count).for_each(|_| drop(ends.receiver.try_recv_bytes()));
            receive(3);
            while fill() != 0 && !gate.is_open() {
                receive(3);
            }
            receive(ends.receiver.incoming_stats().messages);
            notes[0].store(1, SeqCst);
        })
    };
    let test = walk.of(setup).victim(|scene, step| {
        let ends = ready(scene);
        step.run(|| send_large(ends, 5, 2000));
    });
    let check = |scene: &Bytes, outcome: Outcome| {
        scene.go();
        while scene.notes[0].load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        let mut sent = 0;
        while let Ok(message) = scene.lock.receiver.try_recv_bytes() {
            sent += usize::from(message.len() == 2000);
        }
        assert!(sent == 1 || outcome != Outcome::Completed && sent == 0, "lost message");
        super::works(&scene.lock);
    };
    test.blocked_after(SOON).when_blocked(Scene::go).deadline(10 * SOON).check(check).run()
}
