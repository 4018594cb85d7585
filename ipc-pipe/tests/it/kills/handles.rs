//! Messages with descriptors.

use std::fs::File;
use std::sync::atomic::Ordering::SeqCst;

use ipc_core::Fd;
use ipc_crash_test::{Outcome, Report};
use ipc_pipe::{Builder, TryRecvError, TrySendError, one_way};

use super::{Ends, Entry, Expected, Item, Numbers, SOON, Scene, Walk, item, ready};

pub(super) const CASES: &[Entry] = &[
    ("handles: send one", [7, 211], send),
    ("handles: send one while one waits to receive", [7, 211], send_for_receiver),
    ("handles: send one where there is no room for its bytes", [7, 211], send_full),
    ("handles: send one, the socket is full", [7, 211], send_full_socket),
    ("handles: recv one", [7, 211], recv),
    ("handles: send one, and then nobody sends", [7, 211], send_last),
    ("handles: send 300", [20_011, 1_000_003], send_many),
    ("handles: recv 300", [20_011, 1_000_003], recv_many),
];

type Pipe = Scene<Ends<Item>>;

fn scene(numbers: impl IntoIterator<Item = u64>) -> Pipe {
    let ends = Ends::new(Builder::new().ring(4096).one_way().unwrap());
    numbers.into_iter().for_each(|number| ends.sender.send(item(number)).unwrap());
    Scene::new(ends)
}

fn run(walk: Walk, setup: fn() -> Pipe, victim: fn(&Ends<Item>, Item), expected: fn() -> Expected) -> Report {
    let test = walk.of(setup).victim(move |scene, step| {
        let (ends, item) = (ready(scene), item(5));
        step.run(|| victim(ends, item));
    });
    let check = move |scene: &Pipe, outcome: Outcome| expected().check(&scene.lock, outcome);
    test.blocked_after(SOON).check(check).run()
}

fn send_it(ends: &Ends<Item>, item: Item) {
    ends.sender.send(item).unwrap();
}

fn send(walk: Walk) -> Report {
    run(walk, || scene([1, 2]), send_it, || Expected::new([1, 2]).sent(5))
}

/// What a killed sender has left at the socket does not show for ever.
fn send_last(walk: Walk) -> Report {
    let test = walk.of(|| scene([1])).victim(|scene, step| {
        let (ends, item) = (ready(scene), item(5));
        step.run(|| send_it(ends, item));
    });
    let check = |scene: &Pipe, outcome: Outcome| {
        let ends = &scene.lock;
        let found: Vec<_> = std::iter::from_fn(|| ends.receiver.try_recv().ok()).map(|item| item.0).collect();
        assert!(found == [1, 5] || found == [1] && outcome != Outcome::Completed, "lost messages: {found:?}");
        assert!(!ends.shows(), "leaked packets");
    };
    test.check(check).run()
}

fn send_for_receiver(walk: Walk) -> Report {
    let test = walk.of(|| scene([])).victim(|scene, step| {
        let (ends, item) = (ready(scene), item(5));
        step.run(|| send_it(ends, item));
    });
    let waiter = |scene: &Pipe| {
        let (number, blob) = scene.lock.receiver.recv_timeout(SOON * 20).unwrap();
        assert!(number == 5 || number == 6, "torn message {number}");
        assert_eq!(blob.unwrap()[..], number.to_le_bytes(), "torn message {number}: another descriptor");
    };
    let check = |scene: &Pipe, outcome: Outcome| match outcome {
        Outcome::Completed => {}
        _ => scene.lock.add(6),
    };
    test.waiter(waiter).check(check).run()
}

fn send_full(walk: Walk) -> Report {
    let setup = || {
        let scene = scene([1]);
        while scene.lock.sender.try_send((7, None)).is_ok() {}
        scene
    };
    let test = walk.of(setup).victim(|scene, step| {
        let (ends, item) = (ready(scene), item(5));
        step.run(|| assert!(matches!(ends.sender.try_send(item), Err(TrySendError::Full(_)))));
    });
    let check = |scene: &Pipe, _: Outcome| {
        assert_eq!(scene.lock.take(), Some(1), "lost message");
        while scene.lock.receiver.try_recv().is_ok() {}
        super::works(&scene.lock);
    };
    test.check(check).run()
}

fn send_full_socket(walk: Walk) -> Report {
    let setup = || {
        let ends = Ends::new(Builder::new().ring(1 << 16).one_way().unwrap());
        let mut count = 0;
        while ends.sender.try_send(item(count)).is_ok() {
            count += 1;
        }
        let scene = Scene::new(ends);
        scene.notes[0].store(count, SeqCst);
        scene
    };
    let test = walk.of(setup).victim(|scene, step| {
        let (ends, item) = (ready(scene), item(5));
        step.run(|| assert!(matches!(ends.sender.try_send(item), Err(TrySendError::Full(_)))));
    });
    let check = |scene: &Pipe, _: Outcome| {
        let found: Vec<_> = (0..scene.notes[0].load(SeqCst)).map(|_| scene.lock.take().unwrap()).collect();
        assert!(found.is_sorted() && found.len() > 10, "lost messages");
        super::works(&scene.lock);
    };
    test.check(check).run()
}

fn recv_it(ends: &Ends<Item>, _: Item) {
    assert_eq!(ends.take(), Some(1));
}

fn recv(walk: Walk) -> Report {
    run(walk, || scene([1, 2]), recv_it, || Expected::new([1, 2]).received(1))
}

type Files = Vec<Fd<File>>;
type PipeOfFiles = Scene<Ends<Files>>;

fn files() -> Files {
    let file = File::open("/dev/null").unwrap();
    (0..300).map(|_| Fd(file.try_clone().unwrap())).collect()
}

fn run_many(walk: Walk, setup: fn() -> PipeOfFiles, victim: fn(&Ends<Files>, Files)) -> Report {
    let test = walk.of(setup).victim(move |scene, step| {
        let (ends, files) = (&scene.lock, files());
        ends.receiver.segment().unwrap().me().unwrap();
        step.run(|| victim(ends, files));
    });
    let check = |scene: &PipeOfFiles, _: Outcome| {
        let ends = &scene.lock;
        ends.sender.send(Vec::new()).unwrap();
        ends.sender.send(files()).unwrap();
        // It is whole or it is not there, and the others are.
        let found: Vec<_> = (0..3).map_while(|_| ends.receiver.recv_timeout(SOON / 20).ok()).collect();
        let counts: Vec<_> = found.iter().map(Vec::len).collect();
        assert!(counts == [300, 0, 300] || counts == [0, 300], "lost descriptors: {counts:?}");
        assert!(matches!(ends.receiver.try_recv(), Err(TryRecvError::Empty)));
    };
    test.blocked_after(SOON).check(check).run()
}

fn no_files() -> PipeOfFiles {
    Scene::new(Ends::new(one_way().unwrap()))
}

fn send_many(walk: Walk) -> Report {
    run_many(walk, no_files, |ends, files| ends.sender.send(files).unwrap())
}

fn recv_many(walk: Walk) -> Report {
    let setup = || {
        let scene = no_files();
        scene.lock.sender.send(files()).unwrap();
        scene
    };
    run_many(walk, setup, |ends, _| assert_eq!(ends.receiver.recv().unwrap().len(), 300))
}
