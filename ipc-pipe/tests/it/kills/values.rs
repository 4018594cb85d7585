//! Values in and out, without descriptors.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_pipe::{Builder, TryRecvError, TrySendError, one_way};

use super::{Ends, Entry, Expected, Item, Numbers, SOON, Scene, Walk, ready};

pub(super) const CASES: &[Entry] = &[
    ("send: into an empty pipe", [1, 31], send_empty),
    ("send: behind others", [1, 31], send_behind),
    ("send: at the end of the ring, going on at its start", [1, 31], send_wrapping),
    ("send: while one waits to receive", [1, 31], send_for_receiver),
    ("send: while the pipe is full, until one receives", [61, 997], send_full),
    ("send_timeout that passes", [101, 4001], send_timeout),
    ("try_send: behind others", [1, 31], try_send),
    ("try_send: the pipe is full", [1, 31], try_send_full),
    ("recv: one of four", [1, 31], recv),
    ("recv: the last", [1, 31], recv_last),
    ("recv: at the end of the ring, going on at its start", [1, 31], recv_wrapping),
    ("recv: while one waits to send", [1, 31], recv_for_sender),
    ("recv: while the pipe is empty, until one sends", [61, 997], recv_empty),
    ("recv_timeout that passes", [101, 4001], recv_timeout),
    ("try_recv: the pipe is empty", [1, 31], try_recv_empty),
    ("try_recv: the pipe is empty, and a token is there", [1, 31], try_recv_token),
    ("wait: poll where there is something", [1, 31], poll),
    ("wait: for two of which one has something", [3, 211], wait),
    ("wait: for nothing, until a timeout", [101, 4001], wait_in_vain),
    ("wait: for nothing, until one sends", [61, 997], wait_until_sent),
];

const ALL: [u64; 4] = [1, 2, 3, 4];

type Pipe = Scene<Ends<Item>>;

fn plain(ends: &Ends<Item>, number: u64) {
    ends.sender.send((number, None)).unwrap();
}

fn scene(numbers: impl IntoIterator<Item = u64>) -> Pipe {
    let ends = Ends::new(Builder::new().ring(4096).one_way().unwrap());
    numbers.into_iter().for_each(|number| plain(&ends, number));
    Scene::new(ends)
}

/// How many there is room for: numbers up to 127 take 16 bytes.
const ROOM: u64 = 255;

/// A pipe that is full of 1, 2, ... .
fn full() -> Pipe {
    let scene = scene(1..=ROOM - 1);
    while scene.lock.sender.try_send((7777, None)).is_ok() {}
    scene
}

/// The next one goes on at the start.
fn before_the_end() -> Pipe {
    let scene = scene([]);
    for _ in 0..ROOM {
        plain(&scene.lock, 0);
        scene.lock.receiver.recv().unwrap();
    }
    scene
}

fn test(walk: Walk, setup: fn() -> Pipe, victim: fn(&Ends<Item>)) -> KillTest<'static, Pipe> {
    let test = walk.of(setup).victim(move |scene, step| {
        let ends = ready(scene);
        step.run(|| victim(ends));
    });
    test.blocked_after(SOON).when_blocked(Scene::go)
}

fn run(walk: Walk, setup: fn() -> Pipe, victim: fn(&Ends<Item>), expected: fn() -> Expected) -> Report {
    let check = move |scene: &Pipe, outcome: Outcome| {
        scene.go();
        expected().check(&scene.lock, outcome);
    };
    test(walk, setup, victim).check(check).run()
}

fn send_empty(walk: Walk) -> Report {
    run(walk, || scene([]), |ends| plain(ends, 5), || Expected::new([]).sent(5))
}

fn send_behind(walk: Walk) -> Report {
    run(walk, || scene(ALL), |ends| plain(ends, 5), || Expected::new(ALL).sent(5))
}

fn send_wrapping(walk: Walk) -> Report {
    run(walk, before_the_end, |ends| plain(ends, 5), || Expected::new([]).sent(5))
}

fn send_for_receiver(walk: Walk) -> Report {
    let test = test(walk, || scene([]), |ends| plain(ends, 5));
    let waiter = |scene: &Pipe| {
        let received = scene.lock.receiver.recv_timeout(SOON * 20).unwrap().0;
        assert!(received == 5 || received == 6, "torn message {received}");
    };
    let check = |scene: &Pipe, outcome: Outcome| match outcome {
        Outcome::Completed => {}
        // Nothing may have been sent, which is to wait for.
        _ => scene.lock.add(6),
    };
    test.waiter(waiter).check(check).run()
}

/// Everything is received; in the order in which it was sent, the victim's last.
fn drain(scene: &Pipe, outcome: Outcome) {
    let mut found = Vec::new();
    while let Ok((number, _)) = scene.lock.receiver.try_recv() {
        found.push(number);
    }
    let sent = found.contains(&5000);
    assert!(sent || outcome != Outcome::Completed, "lost message");
    assert!(
        found.iter().position(|&number| number == 5000).is_none_or(|at| at + 1 == found.len()),
        "wrong order"
    );
    super::works(&scene.lock);
}

fn send_full(walk: Walk) -> Report {
    let setup = || {
        full().with_other(|ends, notes, gate| {
            ends.segment().me().unwrap();
            gate.stay_until(|| !ends.sender.outgoing_stats().waiting_to_send.is_empty());
            (0..8).for_each(|_| drop(ends.receiver.try_recv().unwrap()));
            notes[0].store(1, SeqCst);
        })
    };
    let check = |scene: &Pipe, outcome: Outcome| {
        scene.go();
        while scene.notes[0].load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        drain(scene, outcome);
    };
    test(walk, setup, |ends| plain(ends, 5000)).check(check).run()
}

fn send_timeout(walk: Walk) -> Report {
    let victim =
        |ends: &Ends<Item>| assert!(ends.sender.send_timeout((5, None), Duration::from_micros(100)).is_err());
    let check = |scene: &Pipe, _: Outcome| drain(scene, Outcome::Killed { step: 0 });
    test(walk, full, victim).check(check).run()
}

fn try_send(walk: Walk) -> Report {
    run(walk, || scene(ALL), |ends| ends.sender.try_send((5, None)).unwrap(), || Expected::new(ALL).sent(5))
}

fn try_send_full(walk: Walk) -> Report {
    let victim =
        |ends: &Ends<Item>| assert!(matches!(ends.sender.try_send((5, None)), Err(TrySendError::Full(_))));
    let check = |scene: &Pipe, _: Outcome| drain(scene, Outcome::Killed { step: 0 });
    test(walk, full, victim).check(check).run()
}

fn take_first(ends: &Ends<Item>) {
    assert_eq!(ends.receiver.recv().unwrap().0, 1);
}

fn recv(walk: Walk) -> Report {
    run(walk, || scene(ALL), take_first, || Expected::new(ALL).received(1))
}

fn recv_last(walk: Walk) -> Report {
    run(walk, || scene([1]), take_first, || Expected::new([1]).received(1))
}

fn recv_wrapping(walk: Walk) -> Report {
    let setup = || {
        let scene = before_the_end();
        ALL.iter().for_each(|&number| plain(&scene.lock, number));
        scene
    };
    run(walk, setup, take_first, || Expected::new(ALL).received(1))
}

fn recv_for_sender(walk: Walk) -> Report {
    let victim = |ends: &Ends<Item>| (0..4).for_each(|_| drop(ends.receiver.recv().unwrap()));
    let test = test(walk, full, victim);
    let waiter = |scene: &Pipe| scene.lock.sender.send_timeout((5, None), SOON * 20).unwrap();
    let check = |scene: &Pipe, outcome: Outcome| match outcome {
        Outcome::Completed => {}
        _ => (0..8).for_each(|_| assert!(scene.lock.take().is_some())),
    };
    test.waiter(waiter).check(check).run()
}

fn recv_empty(walk: Walk) -> Report {
    let setup = || {
        scene([]).with_other(|ends, _, gate| {
            ends.segment().me().unwrap();
            gate.stay_until(|| !ends.receiver.incoming_stats().waiting_to_receive.is_empty());
            [1, 2].into_iter().for_each(|number| plain(ends, number));
        })
    };
    let check = |scene: &Pipe, _: Outcome| {
        scene.go();
        // One or both of what the other sends.
        assert!(scene.lock.take().is_some_and(|number| number <= 2), "lost message");
        let _ = scene.lock.receiver.recv_timeout(SOON / 100);
        super::works(&scene.lock);
    };
    test(walk, setup, take_first).check(check).run()
}

fn recv_timeout(walk: Walk) -> Report {
    let victim = |ends: &Ends<Item>| assert!(ends.receiver.recv_timeout(Duration::from_micros(100)).is_err());
    run(walk, || scene([]), victim, || Expected::new([]))
}

fn find_nothing(ends: &Ends<Item>) {
    assert!(matches!(ends.receiver.try_recv(), Err(TryRecvError::Empty)));
}

fn try_recv_empty(walk: Walk) -> Report {
    run(walk, || scene([]), find_nothing, || Expected::new([]))
}

fn try_recv_token(walk: Walk) -> Report {
    let setup = || {
        let scene = scene([1]);
        scene.lock.receiver.recv().unwrap();
        scene
    };
    run(walk, setup, find_nothing, || Expected::new([]))
}

fn poll(walk: Walk) -> Report {
    run(walk, || scene([1]), |ends| assert!(ends.receiver.poll(None)), || Expected::new([1]))
}

fn wait(walk: Walk) -> Report {
    let (_sender, silent) = one_way::<Item>().unwrap();
    let test = test(walk, || scene([1]), |_| ());
    let test = test.victim(move |scene, step| {
        let receiver = &ready(scene).receiver;
        let found = step.run(|| ipc_pipe::wait(&[&silent, receiver], None).unwrap());
        assert_eq!(found, [1]);
    });
    test.check(|scene, outcome| Expected::new([1]).check(&scene.lock, outcome)).run()
}

fn wait_in_vain(walk: Walk) -> Report {
    let victim = |ends: &Ends<Item>| {
        let found = ipc_pipe::wait(&[&ends.receiver], Some(Duration::from_micros(100)));
        assert!(found.unwrap().is_empty());
    };
    run(walk, || scene([]), victim, || Expected::new([]))
}

fn wait_until_sent(walk: Walk) -> Report {
    let victim = |ends: &Ends<Item>| assert_eq!(ipc_pipe::wait(&[&ends.receiver], None).unwrap(), [0]);
    let check = |scene: &Pipe, outcome: Outcome| {
        // It has sent 1 when the victim slept.
        let found: Vec<_> = std::iter::from_fn(|| scene.lock.receiver.try_recv().ok()).collect();
        assert!(found.len() == 1 || outcome != Outcome::Completed, "lost messages: {found:?}");
        super::works(&scene.lock);
    };
    let test = test(walk, || scene([]), victim);
    // It looks again after 70 ms, of which its steps have taken some.
    let test = test.blocked_after(Duration::from_millis(20));
    test.when_blocked(|scene| plain(&scene.lock, 1)).check(check).run()
}
