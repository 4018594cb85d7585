//! Leaving, and ends on their way.

use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering::SeqCst;

use ipc_core::transfer::{self, Parcel};
use ipc_crash_test::alone::until;
use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_pipe::{Builder, Connection, Receiver, RecvTimeoutError, SendTimeoutError, Sender, one_way, pipe};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Entry, SOON, Scene, Walk};

pub(super) const CASES: &[Entry] = &[
    ("end: drop the last sender", [1, 31], drop_sender),
    ("end: drop the last sender, while one waits to receive", [1, 31], drop_sender_for_receiver),
    ("end: drop the last receiver", [1, 31], drop_receiver),
    ("end: drop the last receiver, while one waits to send", [1, 31], drop_receiver_for_sender),
    ("end: drop the last receiver of a full pipe", [1, 31], drop_receiver_of_full),
    ("end: drop one end of a duplex pipe", [1, 61], drop_connection),
    ("end: drop the last receiver, with descriptors unread", [1, 61], drop_with_descriptors),
    ("end: send the last sender to a process that is killed, too", [11, 499], send_sender),
    ("end: receive an end", [11, 997], receive_end),
    ("end: make a pipe, use it, drop it", [401, 4001], make),
];

/// One end that all have, and the other on its way, to be received by the victim alone.
pub(super) struct Apart<Here> {
    pub(super) here: Here,
    pub(super) way: OwnedFd,
}

fn pack<T: Serialize>(value: &T) -> Parcel {
    let mut bytes = Vec::new();
    let pack = || ipc_core::codec::encode(value, &mut bytes).map(|()| std::mem::take(&mut bytes));
    Parcel::pack(pack).unwrap()
}

pub(super) fn apart<Here, There: Serialize>(here: Here, there: There) -> Scene<Apart<Here>> {
    let (to, way) = transfer::channel().unwrap();
    pack(&there).send(&to).unwrap();
    Scene::new(Apart { here, way })
}

pub(super) fn arrive<T: DeserializeOwned>(way: &OwnedFd) -> T {
    Parcel::receive(way).unwrap().unwrap().unpack(ipc_core::codec::decode_all).unwrap()
}

type AtReceiver = Scene<Apart<Receiver<u64>>>;
type AtSender = Scene<Apart<Sender<u64>>>;

fn sender_apart() -> AtReceiver {
    let (sender, receiver) = one_way().unwrap();
    apart(receiver, sender)
}

fn receiver_apart() -> AtSender {
    let (sender, receiver) = Builder::new().ring(4096).one_way().unwrap();
    apart(sender, receiver)
}

fn dropping<Here: 'static, There: DeserializeOwned + 'static>(
    walk: Walk,
    setup: fn() -> Scene<Apart<Here>>,
    prepare: fn(&There),
) -> KillTest<'static, Scene<Apart<Here>>> {
    walk.of(setup).victim(move |scene, step| {
        let end: There = arrive(&scene.lock.way);
        prepare(&end);
        step.run(|| drop(end));
    })
}

/// What was sent, and then the end: it does not matter how far the victim came.
fn check_end(receiver: &Receiver<u64>) {
    for number in [1, 2] {
        assert_eq!(receiver.recv_timeout(SOON).unwrap(), number, "lost messages");
    }
    let end = receiver.recv_timeout(SOON);
    assert!(matches!(end, Err(RecvTimeoutError::Closed)), "hang: no end: {end:?}");
}

fn send_two(sender: &Sender<u64>) {
    [1, 2].into_iter().for_each(|number| sender.send(number).unwrap());
}

fn drop_sender(walk: Walk) -> Report {
    let test = dropping(walk, sender_apart, send_two);
    test.check(|scene, _| check_end(&scene.lock.here)).run()
}

fn drop_sender_for_receiver(walk: Walk) -> Report {
    let test = dropping(walk, sender_apart, |sender: &Sender<u64>| drop(sender.segment().unwrap().me()));
    let waiter = |scene: &AtReceiver| {
        let end = scene.lock.here.recv_timeout(SOON * 20);
        assert!(matches!(end, Err(RecvTimeoutError::Closed)), "hang: no end: {end:?}");
    };
    test.waiter(waiter).check(|_, _| ()).run()
}

/// Nobody is left, and it is known at once after an orderly end, and soon after a kill.
fn check_refused(sender: &Sender<u64>, outcome: Outcome) {
    if outcome == Outcome::Completed {
        assert!(sender.try_send(3).is_err(), "sent to nobody");
    }
    until("hang: it is not noticed", || sender.try_send(3).is_err());
    let refused = sender.send_timeout(3, SOON);
    assert!(matches!(refused, Err(SendTimeoutError::Closed(3))), "hang: {refused:?}");
}

fn fill(sender: &Sender<u64>) {
    while sender.try_send(7).is_ok() {}
}

fn drop_receiver(walk: Walk) -> Report {
    let test = dropping(walk, receiver_apart, |receiver: &Receiver<u64>| drop(receiver.try_recv()));
    test.check(|scene, outcome| check_refused(&scene.lock.here, outcome)).run()
}

fn drop_receiver_for_sender(walk: Walk) -> Report {
    let setup = || {
        let scene = receiver_apart();
        fill(&scene.lock.here);
        scene
    };
    let test = dropping(walk, setup, |receiver: &Receiver<u64>| drop(receiver.segment().unwrap().me()));
    let waiter = |scene: &AtSender| {
        let refused = scene.lock.here.send_timeout(5, SOON * 20);
        assert!(matches!(refused, Err(SendTimeoutError::Closed(5))), "hang: {refused:?}");
        scene.notes[0].store(1, SeqCst);
    };
    test.waiter(waiter).check(|_, _| ()).run()
}

fn drop_receiver_of_full(walk: Walk) -> Report {
    let setup = || {
        let scene = receiver_apart();
        fill(&scene.lock.here);
        scene
    };
    let test = dropping(walk, setup, |receiver: &Receiver<u64>| drop(receiver.segment().unwrap().me()));
    test.check(|scene, outcome| check_refused(&scene.lock.here, outcome)).run()
}

type Duplex = Connection<u64, u64>;

fn drop_connection(walk: Walk) -> Report {
    let setup = || {
        let (here, there) = pipe::<u64, u64>().unwrap();
        here.send(9).unwrap();
        apart(here, there)
    };
    let test = dropping(walk, setup, |there: &Duplex| {
        [1, 2].into_iter().for_each(|number| there.send(number).unwrap());
    });
    let check = |scene: &Scene<Apart<Duplex>>, outcome| {
        let (sender, receiver) = scene.lock.here.clone().split();
        check_end(&receiver);
        check_refused(&sender, outcome);
    };
    test.check(check).run()
}

/// The message has a sending end in it, whose receiver learns what became of it.
fn drop_with_descriptors(walk: Walk) -> Report {
    let setup = || {
        let (sender, receiver) = one_way::<Sender<u64>>().unwrap();
        let (inner, watched) = one_way::<u64>().unwrap();
        send_two(&inner);
        sender.send(inner).unwrap();
        apart((sender, watched), receiver)
    };
    let test =
        dropping(walk, setup, |receiver: &Receiver<Sender<u64>>| drop(receiver.segment().unwrap().me()));
    test.check(|scene, _| check_end(&scene.lock.here.1)).run()
}

/// The sender is on its way in a pipe that dies with the victim, which has both ends.
fn send_sender(walk: Walk) -> Report {
    let test = walk.of(sender_apart).victim(|scene, step| {
        let inner: Sender<u64> = arrive(&scene.lock.way);
        send_two(&inner);
        let (sender, receiver) = one_way::<Sender<u64>>().unwrap();
        step.run(|| sender.send(inner).unwrap());
        drop(receiver);
    });
    test.check(|scene, _| check_end(&scene.lock.here)).run()
}

fn receive_end(walk: Walk) -> Report {
    let test = walk.of(sender_apart).victim(|scene, step| {
        let inner: Sender<u64> = arrive(&scene.lock.way);
        send_two(&inner);
        let (sender, receiver) = one_way::<Sender<u64>>().unwrap();
        sender.send(inner).unwrap();
        step.run(|| drop(receiver.recv().unwrap()));
    });
    test.check(|scene, _| check_end(&scene.lock.here)).run()
}

fn use_one() {
    let (here, there) = pipe::<u64, u64>().unwrap();
    here.send(1).unwrap();
    assert_eq!(there.recv().unwrap(), 1);
}

fn make(walk: Walk) -> Report {
    let test = walk.of(|| Scene::new(())).victim(|_, step| step.run(use_one));
    test.check(|_, _| use_one()).run()
}
