//! What others do between any two instructions of a process that is not killed, but goes on then.

use std::sync::atomic::Ordering::SeqCst;

use ipc_crash_test::{Outcome, Report};
use ipc_pipe::{Receiver, SendError, Sender, TrySendError, one_way};

use super::ends::{Apart, apart, arrive};
use super::{Entry, Item, Scene, Walk, item};

pub(super) const CASES: &[Entry] = &[
    ("between: send, the last receiver takes it and is killed, another sends", [1, 31], send),
    ("between: send a descriptor, and the same", [7, 211], send_handle),
];

type AtSender = Scene<Apart<Sender<Item>>>;

const RECEIVED: usize = 0;
const HANDED_BACK: usize = 1;

/// The only receiver takes what is there and finds no more; it is killed, which others that have just sent something do not
/// know yet. So one more message goes in, and stays behind.
fn receive_and_die(scene: &AtSender) {
    let send = |number| {
        let sent = scene.lock.here.try_send((number, None));
        assert!(!matches!(sent, Err(TrySendError::Fault(..))), "{sent:?}");
    };
    send(0);
    let others = Scene::new(()).after(|()| {
        let receiver: Receiver<Item> = arrive(&scene.lock.way);
        while let Ok((number, _)) = receiver.try_recv() {
            scene.notes[RECEIVED].fetch_or(number, SeqCst);
        }
        std::mem::forget(receiver);
    });
    drop(others);
    send(2);
}

fn run(walk: Walk, item: fn() -> Item) -> Report {
    let setup = || {
        let (sender, receiver) = one_way::<Item>().unwrap();
        apart(sender, receiver)
    };
    let test = walk.of(setup).victim(move |scene: &AtSender, step| {
        scene.lock.here.segment().unwrap().me().unwrap();
        let item = item();
        match step.run(|| scene.lock.here.send(item)) {
            Ok(()) => {}
            Err(SendError::Closed(_)) => scene.notes[HANDED_BACK].store(1, SeqCst),
            Err(error) => panic!("{error}"),
        }
    });
    let check = |scene: &AtSender, _: Outcome| {
        let both = [RECEIVED, HANDED_BACK].map(|note| scene.notes[note].load(SeqCst));
        assert_ne!(both, [1, 1], "duplicated: it was received and handed back");
    };
    test.meanwhile(receive_and_die).check(check).run()
}

fn send(walk: Walk) -> Report {
    run(walk, || (1, None))
}

fn send_handle(walk: Walk) -> Report {
    run(walk, || item(1))
}
