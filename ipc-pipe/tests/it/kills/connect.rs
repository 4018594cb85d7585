//! Two programs that meet: either is killed on the way, and the listener, or the next one at its path, serves others.

use std::cell::RefCell;
use std::thread;

use ipc_crash_test::{Outcome, Report};
use ipc_pipe::{
    AcceptTimeoutError, Client, ConnectError, Connection, Listener, RecvTimeoutError, TryAcceptError,
};
use tempfile::TempDir;

use super::{Entry, SOON, Scene, Walk};

pub(super) const CASES: &[Entry] = &[
    ("connect: the client is killed", [997, 9973], |walk| client(walk, None)),
    ("connect: the client with a key is killed", [997, 9973], |walk| client(walk, Some("secret"))),
    ("connect: the listener that accepts is killed", [997, 9973], |walk| accept(walk, None)),
    ("connect: the listener with a key that accepts is killed", [997, 9973], |walk| {
        accept(walk, Some("secret"))
    }),
    ("listen: bind a path", [31, 499], bind),
    ("listen: bind a path whose owner was killed", [31, 499], bind_stale),
    ("listen: drop a listener while one connects", [1, 61], drop_listener),
];

/// Where a listener is, and what lets in there.
struct Address {
    folder: TempDir,
    key: Option<&'static str>,
}

impl Address {
    fn new(key: Option<&'static str>) -> Address {
        Address { folder: tempfile::tempdir().unwrap(), key }
    }

    fn listen(&self) -> Listener<u64> {
        let listener = Listener::bind(self.folder.path().join("socket")).unwrap();
        match self.key {
            Some(key) => listener.key(key),
            None => listener,
        }
    }

    fn client(&self) -> Client {
        let client = Client::new(self.folder.path().join("socket"));
        self.key.map_or(client.clone(), |key| client.key(key))
    }

    /// That a client is served, whoever else has tried.
    fn serve_next(&self, listener: &Listener<u64>) {
        let client = self.client();
        thread::scope(|scope| {
            let client = scope.spawn(move || {
                let connection = client.connect_timeout::<u64, u64>(10 * SOON).unwrap();
                connection.send(7).unwrap();
                assert_eq!(connection.recv_timeout(SOON).unwrap(), 8, "torn message");
            });
            let connection = accept_others(listener).find(|connection| {
                let first = connection.recv_timeout(SOON);
                assert!(matches!(first, Ok(7) | Err(RecvTimeoutError::Closed)), "hang: {first:?}");
                first.is_ok()
            });
            connection.unwrap().send(8).unwrap();
            client.join().unwrap();
        });
    }
}

fn accept_others(listener: &Listener<u64>) -> impl Iterator<Item = Connection<u64>> {
    std::iter::repeat_with(|| listener.accept_timeout(SOON)).filter_map(|accepted| match accepted {
        Ok((connection, _)) => Some(connection),
        Err(AcceptTimeoutError::Refused(_)) => None,
        Err(error) => panic!("hang: {error}"),
    })
}

pub(super) fn warm_up() {
    let address = Address::new(Some("secret"));
    address.serve_next(&address.listen());
}

/// A listener that goes on whenever the client sleeps.
struct Serving {
    address: Address,
    listener: Listener<u64>,
    accepted: RefCell<Option<Connection<u64>>>,
}

fn client(walk: Walk, key: Option<&'static str>) -> Report {
    let setup = move || {
        let address = Address::new(key);
        Scene::new(Serving { listener: address.listen(), address, accepted: RefCell::new(None) })
    };
    let test = walk.of(setup).victim(|scene, step| {
        let client = scene.lock.address.client();
        step.run(|| drop(client.connect_timeout::<u64, u64>(100 * SOON).unwrap()));
    });
    let go_on = |scene: &Scene<Serving>| match scene.lock.listener.try_accept() {
        Ok((connection, _)) => drop(scene.lock.accepted.replace(Some(connection))),
        Err(TryAcceptError::Empty | TryAcceptError::Refused(_)) => {}
        Err(error) => panic!("{error}"),
    };
    let check = |scene: &Scene<Serving>, outcome: Outcome| {
        let Serving { address, listener, accepted } = &scene.lock;
        address.serve_next(listener);
        match &*accepted.borrow() {
            Some(connection) => {
                let end = connection.recv_timeout(SOON);
                assert!(matches!(end, Err(RecvTimeoutError::Closed)), "hang: no end: {end:?}");
            }
            None => assert_ne!(outcome, Outcome::Completed, "lost connection"),
        }
    };
    test.when_blocked(go_on).deadline(10 * SOON).check(check).run()
}

/// One who connects has a connection or an error in time.
fn connect(scene: &Scene<Address>) {
    // The listener makes its steps meanwhile, which take their time.
    match scene.lock.client().connect_timeout::<u64, u64>(100 * SOON) {
        Ok(connection) => {
            let end = connection.recv_timeout(100 * SOON);
            assert!(matches!(end, Err(RecvTimeoutError::Closed)), "hang: no end: {end:?}");
        }
        Err(ConnectError::Timeout) => panic!("hang: the client"),
        Err(_) => {}
    }
}

/// The next listener has the path.
fn check_next(scene: &Scene<Address>, _: Outcome) {
    scene.lock.serve_next(&scene.lock.listen());
}

fn accept(walk: Walk, key: Option<&'static str>) -> Report {
    let test = walk.of(move || Scene::new(Address::new(key))).victim(|scene, step| {
        let listener = scene.lock.listen();
        step.run(|| drop(listener.accept().unwrap()));
    });
    test.waiter(connect).deadline(10 * SOON).check(check_next).run()
}

fn bind(walk: Walk) -> Report {
    let test = walk.of(|| Scene::new(Address::new(None)));
    let test = test.victim(|scene, step| drop(step.run(|| scene.lock.listen())));
    test.deadline(10 * SOON).check(check_next).run()
}

fn bind_stale(walk: Walk) -> Report {
    let setup = || Scene::new(Address::new(None)).after(|address| std::mem::forget(address.listen()));
    let test = walk.of(setup).victim(|scene, step| drop(step.run(|| scene.lock.listen())));
    test.deadline(10 * SOON).check(check_next).run()
}

fn drop_listener(walk: Walk) -> Report {
    let test = walk.of(|| Scene::new(Address::new(Some("secret")))).victim(|scene, step| {
        let listener = scene.lock.listen();
        step.run(|| drop(listener));
    });
    test.waiter(connect).deadline(10 * SOON).check(check_next).run()
}
