//! Models of the lock.

use std::time::Instant;

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use super::Acquired;
use crate::layout::RawLock;
use crate::models::{DEAD, ONE, Plain, THREE, TWO, World, explore, explore_kills};
use crate::sync::{AtomicU32, Ordering, killed_at};

/// A lock around two numbers, which are equal unless somebody is between writing the one and the other.
struct Scene {
    world: World,
    lock: RawLock,
    data: [Plain; 2],
    /// Does nothing but to be a step, at which a writer can be killed.
    step: AtomicU32,
}

impl Scene {
    fn new(owner: u32) -> Arc<Scene> {
        let lock = RawLock::new();
        lock.word.store(owner, Ordering::Relaxed);
        let data = [Plain::new(), Plain::new()];
        Arc::new(Scene { world: World::new(), lock, data, step: AtomicU32::new(0) })
    }

    /// Within the lock: the numbers.
    fn numbers(&self) -> [u32; 2] {
        self.data.each_ref().map(Plain::get)
    }

    /// Within the lock: what both are, plus 1; if its owner died with it, they may differ.
    fn write(&self, acquired: Acquired) {
        let [one, other] = self.numbers();
        assert!(one == other || acquired == Acquired::OwnerDied, "torn, and not told");
        self.data[0].set(one + 1);
        self.step.load(Ordering::Relaxed);
        self.data[1].set(one + 1);
    }

    fn work(&self, me: u32) -> Acquired {
        let acquired = self.lock.lock(&self.world, me);
        self.write(acquired);
        self.lock.unlock();
        acquired
    }

    /// As `work`, in a process that dies after so many steps. `None` if it did.
    fn work_killed(&self, me: u32, step: u32) -> Option<Acquired> {
        let acquired = killed_at(step, || self.work(me));
        self.world.bury(me);
        acquired
    }
}

fn spawn<R: 'static>(scene: &Arc<Scene>, f: impl FnOnce(&Scene) -> R + 'static) -> JoinHandle<R> {
    let scene = scene.clone();
    thread::spawn(move || f(&scene))
}

#[test]
fn two_exclude_each_other() {
    explore(3, || {
        let scene = Scene::new(0);
        let other = spawn(&scene, |scene| {
            scene.work(TWO);
            scene.work(TWO)
        });
        assert_eq!(scene.work(ONE), Acquired::Clean);
        assert_eq!(other.join().unwrap(), Acquired::Clean);
        assert_eq!(scene.numbers(), [3, 3]);
    });
}

#[test]
fn three_exclude_each_other_of_which_two_are_one_process() {
    explore(2, || {
        let scene = Scene::new(0);
        let others = [ONE, TWO].map(|me| spawn(&scene, move |scene| scene.work(me)));
        scene.work(ONE);
        for other in others {
            assert_eq!(other.join().unwrap(), Acquired::Clean);
        }
        assert_eq!(scene.numbers(), [3, 3]);
    });
}

#[test]
fn of_two_that_find_a_dead_owner_one_is_told() {
    explore(2, || {
        let scene = Scene::new(DEAD);
        let other = spawn(&scene, |scene| scene.work(TWO));
        let told = [scene.work(ONE), other.join().unwrap()];
        assert_eq!(told.iter().filter(|&&acquired| acquired == Acquired::OwnerDied).count(), 1);
        assert_eq!(scene.numbers(), [2, 2]);
    });
}

#[test]
fn of_three_that_find_a_dead_owner_one_is_told() {
    explore(1, || {
        let scene = Scene::new(DEAD);
        let others = [THREE, TWO].map(|me| spawn(&scene, move |scene| scene.work(me)));
        let told = others.map(|other| other.join().unwrap()).into_iter().chain([scene.work(ONE)]);
        assert_eq!(told.filter(|&acquired| acquired == Acquired::OwnerDied).count(), 1);
        assert_eq!(scene.numbers(), [3, 3]);
    });
}

#[test]
fn one_that_tries_takes_over_as_well() {
    explore(3, || {
        let scene = Scene::new(DEAD);
        let other = spawn(&scene, |scene| {
            let acquired = scene.lock.try_lock(&scene.world, TWO)?;
            scene.write(acquired);
            scene.lock.unlock();
            Some(acquired)
        });
        let told = [Some(scene.work(ONE)), other.join().unwrap()];
        assert_eq!(told.iter().filter(|&&acquired| acquired == Some(Acquired::OwnerDied)).count(), 1);
    });
}

#[test]
fn the_owner_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(0);
        let victim = spawn(&scene, move |scene| scene.work_killed(TWO, step).is_none());
        let told = scene.work(ONE) == Acquired::OwnerDied;
        let killed = victim.join().unwrap();
        assert!(killed || !told, "told of a death that was none");
        assert_ne!(scene.work(ONE) == Acquired::OwnerDied && told, true, "told twice");
        let [one, other] = scene.numbers();
        assert_eq!(one, other);
    });
}

#[test]
fn the_owner_is_killed_at_every_step_with_two_waiters() {
    explore_kills(1, |step| {
        let scene = Scene::new(0);
        let victim = spawn(&scene, move |scene| scene.work_killed(TWO, step));
        let other = spawn(&scene, |scene| scene.work(THREE));
        let told = [scene.work(ONE), other.join().unwrap()];
        victim.join().unwrap();
        assert_ne!(told, [Acquired::OwnerDied; 2], "told twice");
    });
}

#[test]
fn the_recoverer_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(DEAD);
        scene.data[0].set(7);
        let victim = spawn(&scene, move |scene| scene.work_killed(TWO, step));
        // That it is told while the numbers differ is checked in `write`.
        scene.work(ONE);
        victim.join().unwrap();
        scene.work(ONE);
        let [one, other] = scene.numbers();
        assert_eq!(one, other);
    });
}

#[test]
fn who_gives_up_leaves_the_lock_to_others() {
    explore(2, || {
        let scene = Scene::new(0);
        let other = spawn(&scene, |scene| {
            let got = scene.lock.lock_until(&scene.world, TWO, Some(Instant::now()));
            got.map(|acquired| scene.write(acquired)).map(|()| scene.lock.unlock()).is_ok()
        });
        scene.work(ONE);
        let count = 1 + u32::from(other.join().unwrap());
        assert_eq!(scene.lock.try_lock(&scene.world, ONE), Some(Acquired::Clean));
        assert_eq!(scene.numbers(), [count, count]);
    });
}
