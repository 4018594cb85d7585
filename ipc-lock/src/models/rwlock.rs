//! Models of the readers-writer lock.

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use super::{Torn, Wait};
use crate::layout;
use crate::models::{DEAD, ONE, Plain, THREE, TWO, World, explore, explore_kills};
use crate::sync::{AtomicU32, Ordering, killed_at};

/// A lock around two numbers, which are equal unless a writer is between writing the one and the other.
struct Scene {
    world: World,
    lock: layout::RwLock,
    data: [Plain; 2],
    /// Does nothing but to be a step, at which a writer can be killed.
    step: AtomicU32,
}

const FOREVER: Wait = Wait::Until(None);

impl Scene {
    /// A writer that waits for readers sleeps until it is woken, if `strict`.
    fn new(strict: bool) -> Arc<Scene> {
        let mut lock = layout::RwLock::new();
        if strict {
            lock.left.wait_for_wakes();
        }
        let data = [Plain::new(), Plain::new()];
        Arc::new(Scene { world: World::new(), lock, data, step: AtomicU32::new(0) })
    }

    /// Reads within the lock.
    fn look(&self, torn: Torn) -> Torn {
        let [one, other] = self.data.each_ref().map(Plain::get);
        assert!(torn || one == other, "torn, and not told");
        torn
    }

    fn read(&self, me: u32) -> Torn {
        let torn = self.lock.read(&self.world, me, FOREVER).unwrap();
        self.look_and_leave(me, torn)
    }

    fn look_and_leave(&self, me: u32, torn: Torn) -> Torn {
        self.look(torn);
        self.lock.leave(me);
        torn
    }

    fn try_read(&self, me: u32) {
        if let Ok(torn) = self.lock.read(&self.world, me, Wait::Not) {
            self.look_and_leave(me, torn);
        }
    }

    /// Writes within the lock, and leaves it.
    fn change(&self, torn: Torn) -> Torn {
        self.look(torn);
        for number in &self.data {
            number.set(number.get() + 1);
            self.step.load(Ordering::Relaxed);
        }
        if torn {
            for number in &self.data {
                number.set(9);
            }
        }
        self.lock.unlock_writer();
        torn
    }

    fn write(&self, me: u32) -> Torn {
        self.change(self.lock.write(&self.world, me, FOREVER).unwrap())
    }

    fn try_write(&self, me: u32) {
        if let Ok(torn) = self.lock.write(&self.world, me, Wait::Not) {
            self.change(torn);
        }
    }

    /// In a process that dies after so many steps; whether it did.
    fn killed<R>(&self, me: u32, step: u32, f: impl FnOnce() -> R) -> bool {
        let killed = killed_at(step, f).is_none();
        self.world.bury(me);
        killed
    }
}

fn spawn<R: 'static>(scene: &Arc<Scene>, f: impl FnOnce(&Scene) -> R + 'static) -> JoinHandle<R> {
    let scene = scene.clone();
    thread::spawn(move || f(&scene))
}

#[test]
fn a_reader_and_a_writer_exclude_each_other() {
    explore(3, || {
        let scene = Scene::new(false);
        let reader = spawn(&scene, |scene| scene.read(TWO));
        assert!(!scene.write(ONE));
        assert!(!reader.join().unwrap());
    });
}

#[test]
fn a_reader_that_leaves_wakes_the_writer() {
    explore(3, || {
        let scene = Scene::new(true);
        let reader = spawn(&scene, |scene| scene.read(TWO));
        scene.write(ONE);
        reader.join().unwrap();
    });
}

/// Two that are reading leave, while a third wants to write. (That they come as well takes minutes to explore.)
fn two_readers_leave(strict: bool, readers: [u32; 2]) {
    explore(2, move || {
        let scene = Scene::new(strict);
        let readers = readers.map(|me| {
            let torn = scene.lock.read(&scene.world, me, FOREVER).unwrap();
            spawn(&scene, move |scene| scene.look_and_leave(me, torn))
        });
        scene.write(ONE);
        for reader in readers {
            assert!(!reader.join().unwrap());
        }
    });
}

#[test]
fn two_readers_wake_the_writer() {
    two_readers_leave(true, [TWO, THREE]);
}

#[test]
fn two_readers_of_one_process_are_both_seen() {
    two_readers_leave(false, [TWO, TWO]);
}

#[test]
fn two_writers_and_a_reader_exclude_each_other() {
    explore(2, || {
        let scene = Scene::new(false);
        let writer = spawn(&scene, |scene| scene.write(TWO));
        let reader = spawn(&scene, |scene| scene.read(THREE));
        scene.write(ONE);
        assert!(!writer.join().unwrap());
        assert!(!reader.join().unwrap());
    });
}

#[test]
fn those_who_only_try_exclude_each_other() {
    explore(3, || {
        let scene = Scene::new(false);
        let reader = spawn(&scene, |scene| {
            scene.try_read(TWO);
            scene.try_read(TWO);
        });
        scene.try_write(ONE);
        scene.try_write(ONE);
        reader.join().unwrap();
        assert!(!scene.read(ONE));
    });
}

#[test]
fn a_writer_is_killed_at_every_step_beside_a_reader() {
    explore_kills(2, |step| {
        let scene = Scene::new(false);
        let victim = spawn(&scene, move |scene| scene.killed(TWO, step, || scene.write(TWO)));
        let told = scene.read(ONE);
        assert!(victim.join().unwrap() || !told, "told of a death that was none");
        // Everybody is told, until it is repaired.
        assert!(!told || scene.read(ONE));
        assert!(!told || scene.write(ONE));
        assert!(!told || !scene.read(ONE));
    });
}

#[test]
fn a_writer_is_killed_at_every_step_beside_a_writer() {
    explore_kills(2, |step| {
        let scene = Scene::new(false);
        let victim = spawn(&scene, move |scene| scene.killed(TWO, step, || scene.write(TWO)));
        let told = scene.write(ONE);
        assert!(victim.join().unwrap() || !told, "told of a death that was none");
        assert!(!(told && scene.write(ONE)), "told twice");
    });
}

#[test]
fn a_reader_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(false);
        let victim = spawn(&scene, move |scene| scene.killed(TWO, step, || scene.read(TWO)));
        assert!(!scene.write(ONE));
        victim.join().unwrap();
        assert!(!scene.write(ONE));
    });
}

#[test]
fn a_recovering_writer_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(false);
        // One that had the lock to write is dead, and so is a reader; the numbers are torn.
        scene.lock.readers.raise(DEAD);
        scene.lock.writer.word.store(DEAD, Ordering::Relaxed);
        scene.lock.writing.store(1, Ordering::Relaxed);
        scene.data[0].set(7);
        let victim = spawn(&scene, move |scene| scene.killed(TWO, step, || scene.write(TWO)));
        // That they are told while the numbers differ is checked in `look`.
        scene.read(ONE);
        scene.write(ONE);
        victim.join().unwrap();
        scene.write(ONE);
        assert!(!scene.read(ONE));
    });
}
