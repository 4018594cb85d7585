//! Closing, names, and the handles that can do one thing only.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::SeqCst;

use ipc_core::transfer::{self, Parcel};
use ipc_crash_test::alone::until;
use ipc_crash_test::{KillTest, Outcome, Report};
use ipc_queue::{GetError, GetTimeoutError, PutTimeoutError, Queue, TryPutError};

use super::{Entry, Expected, Numbers, SOON, Scene, Walk, ready, works};

pub(super) const CASES: &[Entry] = &[
    ("end: close", [1, 11], close),
    ("end: close, while one waits to get", [1, 11], close_for_getter),
    ("end: close, while one waits to put", [1, 11], close_for_putter),
    ("end: make a producer", [3, 97], make_producer),
    ("end: make a consumer", [3, 97], make_consumer),
    ("end: drop the last producer", [1, 11], drop_producer),
    ("end: drop the last producer, while a consumer waits", [1, 11], drop_producer_for_consumer),
    ("end: drop the last consumer", [1, 11], drop_consumer),
    ("end: drop the last consumer, while a producer waits", [1, 11], drop_consumer_for_producer),
    ("end: send the last producer to a process that is killed, too", [11, 211], send_producer),
    ("end: receive a producer", [101, 2003], receive_producer),
    ("name: create, put, drop", [101, 4001], create),
    ("name: open, put, drop", [101, 4001], open),
    ("name: make one without a name, drop", [101, 4001], make),
];

type Numbered = Scene<Queue<u64>>;

fn scene() -> Numbered {
    let queue = Queue::bounded(4).unwrap();
    queue.put_all([1, 2]).unwrap();
    Scene::new(queue)
}

fn full() -> Numbered {
    let scene = scene();
    scene.lock.put_all([3, 4]).unwrap();
    scene
}

fn closing(walk: Walk, setup: fn() -> Numbered) -> KillTest<'static, Numbered> {
    walk.of(setup).victim(|scene, step| {
        let queue = ready(scene);
        step.run(|| queue.close());
    })
}

/// Either it is open, or closed with what was in it still to be got.
fn check_closed(scene: &Numbered, outcome: Outcome) {
    let queue = &scene.lock;
    if !queue.is_closed() {
        assert_ne!(outcome, Outcome::Completed, "it is not closed");
        Expected::new([1, 2]).check(queue, outcome);
        queue.close();
        assert!(queue.is_closed());
        return;
    }
    assert!(matches!(queue.put_timeout(5, SOON), Err(PutTimeoutError::Closed(5))));
    assert_eq!([queue.get().unwrap(), queue.get().unwrap()], [1, 2], "lost items");
    assert!(matches!(queue.get(), Err(GetError::Closed)));
}

fn close(walk: Walk) -> Report {
    closing(walk, scene).check(check_closed).run()
}

fn close_for_getter(walk: Walk) -> Report {
    let test = closing(walk, || Scene::new(Queue::bounded(4).unwrap()));
    let waiter = |scene: &Numbered| match scene.lock.get_timeout(SOON * 20) {
        Ok(number) => assert_eq!(number, 5),
        Err(error) => assert!(matches!(error, GetTimeoutError::Closed), "hang: {error}"),
    };
    let check = |scene: &Numbered, _: Outcome| match scene.lock.try_put(5) {
        Ok(()) | Err(TryPutError::Closed(5)) => {}
        Err(error) => panic!("{error}"),
    };
    test.waiter(waiter).check(check).run()
}

fn close_for_putter(walk: Walk) -> Report {
    let waiter = |scene: &Numbered| match scene.lock.put_timeout(5, SOON * 20) {
        Ok(()) => {}
        Err(error) => assert!(matches!(error, PutTimeoutError::Closed(5)), "hang: {error}"),
    };
    let check = |scene: &Numbered, _: Outcome| assert_eq!(scene.lock.take(), Some(1), "lost item");
    closing(walk, full).waiter(waiter).check(check).run()
}

fn make_producer(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let queue = ready(scene);
        step.run(|| std::mem::forget(queue.producer().unwrap()));
    });
    test.check(check_end_of_producers).run()
}

/// What is left, and then the end: if there has been a producer.
fn check_end_of_producers(scene: &Numbered, outcome: Outcome) {
    let consumer = scene.lock.consumer().unwrap();
    assert_eq!([consumer.get().unwrap(), consumer.get().unwrap()], [1, 2], "lost items");
    let patience = if outcome == Outcome::Completed { SOON } else { SOON / 50 };
    match consumer.get_timeout(patience) {
        Err(GetTimeoutError::Closed) => {}
        Err(GetTimeoutError::Timeout) => assert_ne!(outcome, Outcome::Completed, "hang: no end"),
        other => panic!("wrong item: {other:?}"),
    }
    // The queue itself goes on.
    works(&scene.lock);
}

fn drop_producer(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let producer = ready(scene).producer().unwrap();
        step.run(|| drop(producer));
    });
    // There was one before the first step.
    test.check(|scene, _| check_end_of_producers(scene, Outcome::Completed)).run()
}

fn drop_producer_for_consumer(walk: Walk) -> Report {
    let test = walk.of(|| Scene::new(Queue::bounded(4).unwrap())).victim(|scene, step| {
        let producer = ready(scene).producer().unwrap();
        step.run(|| drop(producer));
    });
    let waiter = |scene: &Numbered| {
        let end = scene.lock.consumer().unwrap().get_timeout(SOON * 20);
        assert!(matches!(end, Err(GetTimeoutError::Closed)), "hang: no end: {end:?}");
    };
    let check = |scene: &Numbered, _| {
        // It would get what is put before it has noticed.
        until("hang: no end", || !scene.lock.segment().is_held(CONSUMERS).unwrap());
        works(&scene.lock);
    };
    test.waiter(waiter).check(check).run()
}

/// What a consumer's segment is held by.
const CONSUMERS: u16 = 1;

fn make_consumer(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let queue = ready(scene);
        step.run(|| std::mem::forget(queue.consumer().unwrap()));
    });
    let check = |scene: &Numbered, outcome: Outcome| {
        let producer = scene.lock.producer().unwrap();
        match producer.put_timeout(3, SOON) {
            Ok(()) => assert_ne!(outcome, Outcome::Completed, "put for nobody"),
            Err(error) => assert!(matches!(error, PutTimeoutError::Closed(3)), "hang: {error}"),
        }
        // Another consumer gets what there is, and puts are taken again.
        let consumer = scene.lock.consumer().unwrap();
        producer.put_timeout(4, SOON).unwrap();
        assert_eq!([consumer.get().unwrap(), consumer.get().unwrap()], [1, 2], "lost items");
    };
    test.check(check).run()
}

fn drop_consumer(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let consumer = ready(scene).consumer().unwrap();
        step.run(|| drop(consumer));
    });
    let check = |scene: &Numbered, _: Outcome| {
        let producer = scene.lock.producer().unwrap();
        assert!(matches!(producer.put_timeout(3, SOON), Err(PutTimeoutError::Closed(3))), "put for nobody");
        Expected::new([1, 2]).check(&scene.lock, Outcome::Completed);
        let consumer = scene.lock.consumer().unwrap();
        producer.put_timeout(3, SOON).unwrap();
        assert_eq!(consumer.get().unwrap(), 3);
    };
    test.check(check).run()
}

fn drop_consumer_for_producer(walk: Walk) -> Report {
    let test = walk.of(full).victim(|scene, step| {
        let consumer = ready(scene).consumer().unwrap();
        step.run(|| drop(consumer));
    });
    let waiter = |scene: &Numbered| {
        let refused = scene.lock.producer().unwrap().put_timeout(5, SOON * 20);
        assert!(matches!(refused, Err(PutTimeoutError::Closed(5))), "hang: {refused:?}");
        scene.notes[0].store(1, SeqCst);
    };
    let check = |scene: &Numbered, outcome: Outcome| {
        // No room is made for it before it was told.
        while scene.notes[0].load(SeqCst) == 0 {
            std::thread::yield_now();
        }
        Expected::new(1..5).check(&scene.lock, outcome);
    };
    test.waiter(waiter).check(check).run()
}

/// The producer is on its way in a socket that dies with the victim, which holds both ends.
fn send_producer(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let (here, there) = transfer::channel().unwrap();
        let producer = ready(scene).producer().unwrap();
        step.run(|| {
            Parcel::pack(|| Ok::<_, ipc_core::Error>(encode(&producer))).unwrap().send(&here).unwrap();
            drop(producer);
        });
        drop(there);
    });
    test.check(|scene, _| check_end_of_producers(scene, Outcome::Completed)).run()
}

fn encode<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ipc_core::codec::encode(value, &mut bytes).unwrap();
    bytes
}

fn receive_producer(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|scene, step| {
        let (here, there) = transfer::channel().unwrap();
        let producer = ready(scene).producer().unwrap();
        Parcel::pack(|| Ok::<_, ipc_core::Error>(encode(&producer))).unwrap().send(&here).unwrap();
        drop(producer);
        step.run(|| {
            let parcel = Parcel::receive(&there).unwrap().unwrap();
            let producer: ipc_queue::Producer<u64> = parcel.unpack(ipc_core::codec::decode_all).unwrap();
            producer.try_put(3).unwrap();
        });
    });
    let check = |scene: &Numbered, outcome: Outcome| {
        let consumer = scene.lock.consumer().unwrap();
        let items: Vec<u64> = consumer.iter().map(Result::unwrap).collect();
        assert!(
            items == [1, 2, 3] || items == [1, 2] && outcome != Outcome::Completed,
            "lost items: {items:?}"
        );
        works(&scene.lock);
    };
    test.check(check).run()
}

fn name() -> String {
    // Of the process that makes the scenes, which its children have from it.
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| format!("queue-kills-{}", std::process::id())).clone()
}

fn files() -> Vec<String> {
    let files = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().file_name());
    files.map(|name| name.into_string().unwrap()).filter(|file| file.contains(&name())).collect()
}

fn nothing() -> Scene<()> {
    name();
    Scene::new(())
}

fn create(walk: Walk) -> Report {
    let test = walk.of(nothing).victim(|_, step| {
        let name = name();
        step.run(|| {
            let queue = Queue::create_bounded(&name, 4).unwrap();
            queue.put(5_u64).unwrap();
        });
    });
    let check = |_: &Scene<()>, outcome: Outcome| {
        match Queue::<u64>::open(&name()) {
            Ok(queue) => {
                assert_ne!(outcome, Outcome::Completed, "its name is left");
                assert_eq!(queue.capacity(), Some(4), "it is not whole");
                Expected::new([]).put([5]).check(&queue, outcome);
            }
            Err(error) => assert!(error.is_not_found(), "{error}"),
        }
        // It can be made again, whatever is left; and then nothing is left.
        let queue = Queue::<u64>::create_bounded(&name(), 4).unwrap();
        works(&queue);
        drop(queue);
        assert_eq!(files(), Vec::<String>::new());
    };
    test.check(check).run()
}

fn open(walk: Walk) -> Report {
    let setup = || {
        let queue = Queue::create_bounded(&name(), 8).unwrap();
        queue.put_all([1, 2]).unwrap();
        Scene::new(queue)
    };
    let test = walk.of(setup).victim(|_, step| {
        let name = name();
        step.run(|| Queue::open(&name).unwrap().put(5_u64).unwrap());
    });
    let check = |scene: &Numbered, outcome: Outcome| {
        assert!(Queue::<u64>::open(&name()).is_ok());
        Expected::new([1, 2]).put([5]).check(&scene.lock, outcome);
    };
    test.check(check).run()
}

fn make(walk: Walk) -> Report {
    let make = || works(&Queue::<u64>::bounded(4).unwrap());
    let test = walk.of(nothing).victim(|_, step| step.run(|| drop(Queue::<u64>::bounded(4).unwrap())));
    test.check(move |_, _| make()).run()
}
