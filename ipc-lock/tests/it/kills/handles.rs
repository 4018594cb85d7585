//! Making, opening, cloning and dropping: whole or absent, and nothing is left.

use ipc_crash_test::{Outcome, Report};
use ipc_lock::{Barrier, Condvar, Event, Mutex, OwnerDied, ReentrantMutex, RwLock, Semaphore};

use super::scene::Scene;
use super::{Entry, SOON, Walk};

pub(super) const CASES: &[Entry] = &[
    ("Mutex: new, drop", [101, 2003], |walk| made(walk, || drop(Mutex::new([7_u64; 2]).unwrap()))),
    ("ReentrantMutex: new, drop", [101, 2003], |walk| {
        made(walk, || drop(ReentrantMutex::new([7_u64; 2]).unwrap()))
    }),
    ("RwLock: new, drop", [101, 2003], |walk| made(walk, || drop(RwLock::new([7_u64; 2]).unwrap()))),
    ("Semaphore: new, drop", [101, 2003], |walk| made(walk, || drop(Semaphore::new(7).unwrap()))),
    ("Condvar: new, drop", [101, 2003], |walk| made(walk, || drop(Condvar::new().unwrap()))),
    ("Event: new, drop", [101, 2003], |walk| made(walk, || drop(Event::new().unwrap()))),
    ("Barrier: new, drop", [101, 2003], |walk| made(walk, || drop(Barrier::new(7).unwrap()))),
    ("Mutex: create by name, lock, drop", [101, 2003], create),
    ("Mutex: open by name, lock, drop", [101, 2003], open),
    ("Mutex: clone, lock, drop", [1, 11], clone),
];

fn name() -> String {
    // Of the process that makes the scenes, which its children have from it.
    static NAME: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    NAME.get_or_init(|| format!("kills-{}", std::process::id())).clone()
}

fn files() -> Vec<String> {
    let files = std::fs::read_dir("/dev/shm").unwrap().map(|file| file.unwrap().file_name());
    files.map(|name| name.into_string().unwrap()).filter(|file| file.contains(&name())).collect()
}

fn scene() -> Scene<()> {
    name();
    Scene::new(())
}

fn made(walk: Walk, make: fn()) -> Report {
    let test = walk.of(scene).victim(move |_, step| step.run(make));
    test.check(move |_, _| make()).run()
}

/// It can be made again, whatever is left; and then nothing is left.
fn can_be_made() {
    let mutex = Mutex::create(&name(), [7_u64; 2]).unwrap();
    assert_eq!(*mutex.lock().unwrap(), [7; 2]);
    drop(mutex);
    assert_eq!(files(), Vec::<String>::new());
}

fn create(walk: Walk) -> Report {
    let test = walk.of(scene).victim(|_, step| {
        let name = name();
        step.run(|| {
            let mutex = Mutex::create(&name, [7_u64; 2]).unwrap();
            assert_eq!(*mutex.lock().unwrap(), [7; 2]);
        });
    });
    let check = |_: &Scene<()>, outcome: Outcome| {
        match Mutex::<[u64; 2]>::open(&name()) {
            Ok(mutex) => {
                assert_ne!(outcome, Outcome::Completed, "its name is left");
                assert_eq!(*mutex.lock().unwrap_or_else(OwnerDied::into_inner), [7; 2], "it is not whole");
            }
            Err(error) => assert!(error.is_not_found(), "{error}"),
        }
        can_be_made();
    };
    test.check(check).run()
}

fn open(walk: Walk) -> Report {
    let setup = || Scene::new(Mutex::create(&name(), [7_u64; 2]).unwrap());
    let test = walk.of(setup).victim(|_, step| {
        let name = name();
        step.run(|| {
            let mutex = Mutex::<[u64; 2]>::open(&name).unwrap();
            assert_eq!(*mutex.lock().unwrap(), [7; 2]);
        });
    });
    let check = |scene: &Scene<Mutex<[u64; 2]>>, _: Outcome| {
        assert!(scene.lock.lock_timeout(SOON).is_ok_and(|guard| *guard == [7; 2]));
        assert!(Mutex::<[u64; 2]>::open(&name()).is_ok());
    };
    test.check(check).run()
}

fn clone(walk: Walk) -> Report {
    let setup = || Scene::new(Mutex::new([7_u64; 2]).unwrap());
    let test = walk.of(setup).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| {
            let mutex = scene.lock.clone();
            assert_eq!(*mutex.lock().unwrap(), [7; 2]);
        });
    });
    let check = |scene: &Scene<Mutex<[u64; 2]>>, outcome: Outcome| {
        let told = scene.lock.lock_timeout(SOON).is_err();
        assert!(!told || outcome != Outcome::Completed);
        assert!(scene.lock.lock_timeout(SOON).is_ok());
    };
    test.check(check).run()
}
