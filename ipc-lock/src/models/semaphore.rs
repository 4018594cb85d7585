//! Models of the semaphore.

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use super::MAX;
use crate::layout;
use crate::models::{DEAD, ONE, Plain, THREE, TWO, World, explore, explore_kills};
use crate::sync::{Ordering, killed_at};

struct Scene {
    world: World,
    semaphore: layout::Semaphore,
    /// Touched by who has the only permit.
    data: Plain,
}

impl Scene {
    /// Sleeps end by a wake-up only, if `strict`.
    fn new(permits: u32, strict: bool) -> Arc<Scene> {
        let mut semaphore = layout::Semaphore::new();
        semaphore.init(permits, MAX);
        if strict {
            semaphore.signal.wait_for_wakes();
        }
        Arc::new(Scene { world: World::new(), semaphore, data: Plain::new() })
    }

    fn acquire(&self, me: u32) {
        self.semaphore.acquire(&self.world, me, None).unwrap();
    }

    fn give(&self, me: u32) {
        self.semaphore.give(&self.world, me);
    }

    fn pass(&self, me: u32) {
        self.acquire(me);
        self.give(me);
    }

    /// As `pass`, with the only permit.
    fn pass_alone(&self, me: u32) {
        self.acquire(me);
        self.data.set(self.data.get() + 1);
        self.give(me);
    }

    /// In a process that dies after so many steps; what it did if it did not.
    fn killed<R>(&self, me: u32, step: u32, f: impl FnOnce() -> R) -> Option<R> {
        let result = killed_at(step, f);
        self.world.bury(me);
        result
    }

    /// All permits can be had, and no more.
    fn check(&self, permits: u32) {
        let acquired = (0..4).take_while(|_| self.semaphore.try_acquire(&self.world, ONE)).count();
        assert_eq!(acquired as u32, permits);
        assert_eq!(self.semaphore.available.load(Ordering::Relaxed), 0);
    }
}

fn spawn<R: 'static>(scene: &Arc<Scene>, f: impl FnOnce(&Scene) -> R + 'static) -> JoinHandle<R> {
    let scene = scene.clone();
    thread::spawn(move || f(&scene))
}

#[test]
fn one_permit_is_for_one_and_its_return_wakes_the_other() {
    explore(3, || {
        let scene = Scene::new(1, true);
        let other = spawn(&scene, |scene| scene.pass_alone(TWO));
        scene.pass_alone(ONE);
        other.join().unwrap();
        scene.check(1);
    });
}

#[test]
fn one_permit_is_for_one_of_three() {
    explore(1, || {
        let scene = Scene::new(1, true);
        let others = [TWO, THREE].map(|me| spawn(&scene, move |scene| scene.pass_alone(me)));
        scene.pass_alone(ONE);
        for other in others {
            other.join().unwrap();
        }
        scene.check(1);
    });
}

#[test]
fn two_permits_that_are_released_wake_two() {
    explore(1, || {
        let scene = Scene::new(0, true);
        let others = [TWO, THREE].map(|me| spawn(&scene, move |scene| scene.acquire(me)));
        for _ in 0..2 {
            scene.semaphore.release(&scene.world, ONE).unwrap();
        }
        for other in others {
            other.join().unwrap();
        }
        scene.check(0);
    });
}

#[test]
fn what_was_before_a_release_is_seen_after_the_acquire() {
    explore(3, || {
        let scene = Scene::new(0, false);
        let other = spawn(&scene, |scene| {
            scene.data.set(1);
            scene.semaphore.release(&scene.world, TWO).unwrap();
        });
        scene.acquire(ONE);
        assert_eq!(scene.data.get(), 1);
        other.join().unwrap();
    });
}

#[test]
fn permits_of_the_dead_come_back() {
    explore(2, || {
        let scene = Scene::new(2, false);
        scene.acquire(DEAD);
        scene.acquire(DEAD);
        let other = spawn(&scene, |scene| scene.acquire(TWO));
        scene.acquire(ONE);
        other.join().unwrap();
        scene.check(0);
    });
}

#[test]
fn permits_of_the_dead_come_back_also_if_another_has_its_cell() {
    explore(2, || {
        let scene = Scene::new(2, false);
        scene.acquire(DEAD);
        let other = spawn(&scene, |scene| scene.acquire(THREE));
        scene.acquire(THREE);
        other.join().unwrap();
        scene.check(0);
    });
}

#[test]
fn a_holder_is_killed_at_every_step() {
    explore_kills(1, |step| {
        let scene = Scene::new(1, false);
        let victim = spawn(&scene, move |scene| {
            scene.killed(TWO, step, || scene.pass_alone(TWO));
        });
        scene.pass_alone(ONE);
        victim.join().unwrap();
        scene.check(1);
    });
}

#[test]
fn one_that_forgets_is_killed_at_every_step() {
    explore_kills(1, |step| {
        let scene = Scene::new(2, false);
        let victim = spawn(&scene, move |scene| {
            let forget = || {
                scene.acquire(TWO);
                scene.semaphore.forget(&scene.world, TWO);
            };
            scene.killed(TWO, step, forget).is_some()
        });
        scene.pass(ONE);
        let forgot = victim.join().unwrap();
        let total = scene.semaphore.total.load(Ordering::Relaxed);
        assert!(total == 1 || total == 2 && !forgot);
        scene.check(total);
    });
}

#[test]
fn one_that_releases_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(1, false);
        let victim = spawn(&scene, move |scene| {
            scene.killed(TWO, step, || scene.semaphore.release(&scene.world, TWO)).is_some()
        });
        scene.pass(ONE);
        let released = victim.join().unwrap();
        let total = scene.semaphore.total.load(Ordering::Relaxed);
        assert!(total == 2 || total == 1 && !released);
        scene.check(total);
    });
}

#[test]
fn one_that_takes_back_is_killed_at_every_step() {
    explore_kills(1, |step| {
        let scene = Scene::new(1, false);
        scene.acquire(DEAD);
        let victim = spawn(&scene, move |scene| {
            scene.killed(TWO, step, || scene.pass_alone(TWO));
        });
        scene.pass_alone(ONE);
        victim.join().unwrap();
        scene.check(1);
    });
}
