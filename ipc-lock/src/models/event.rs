//! Models of the event.

use std::time::Duration;

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use crate::layout;
use crate::models::{ONE, Plain, TWO, World, explore, explore_kills};
use crate::sync::{self, AtomicU32, Ordering, killed_at};

struct Scene {
    world: World,
    event: layout::Event,
    data: Plain,
    items: [AtomicU32; 2],
}

impl Scene {
    /// Sleeps end by a wake-up only, if `strict`.
    fn new(strict: bool) -> Arc<Scene> {
        let mut event = layout::Event::new();
        if strict {
            event.state.wait_for_wakes();
        }
        let items = [AtomicU32::new(0), AtomicU32::new(0)];
        Arc::new(Scene { world: World::new(), event, data: Plain::new(), items })
    }

    /// As `Event::set`.
    fn set(&self) {
        if self.event.set() {
            sync::wake_all(&self.event.state);
        }
    }

    fn wait(&self, me: u32) {
        self.event.wait(&self.world, me, None).unwrap();
    }
}

fn spawn(scene: &Arc<Scene>, f: impl FnOnce(&Scene) + 'static) -> JoinHandle<()> {
    let scene = scene.clone();
    thread::spawn(move || f(&scene))
}

fn what_was_before_a_set_is_seen_after_the_wait(strict: bool) {
    explore(3, move || {
        let scene = Scene::new(strict);
        let setter = spawn(&scene, |scene| {
            scene.data.set(1);
            scene.set();
        });
        scene.wait(ONE);
        assert_eq!(scene.data.get(), 1);
        setter.join().unwrap();
    });
}

#[test]
fn a_set_is_seen() {
    what_was_before_a_set_is_seen_after_the_wait(false);
}

#[test]
fn a_set_wakes() {
    what_was_before_a_set_is_seen_after_the_wait(true);
}

#[test]
fn a_set_wakes_all() {
    explore(2, || {
        let scene = Scene::new(true);
        let waiter = spawn(&scene, |scene| scene.wait(TWO));
        let setter = spawn(&scene, Scene::set);
        scene.wait(ONE);
        setter.join().unwrap();
        waiter.join().unwrap();
    });
}

#[test]
fn a_set_that_comes_during_a_wait_is_seen_also_if_it_is_cleared() {
    explore(3, || {
        let scene = Scene::new(true);
        let begun = Arc::new(loom::sync::Notify::new());
        let setter = {
            let begun = begun.clone();
            spawn(&scene, move |scene| {
                begun.wait();
                scene.set();
                scene.event.clear();
            })
        };
        let before = scene.event.state.load(Ordering::Acquire);
        begun.notify();
        // What `wait` does after its first load.
        while scene.event.state.load(Ordering::Acquire) == before {
            let _ = sync::wait_timeout(&scene.event.state, before, Duration::MAX);
        }
        setter.join().unwrap();
    });
}

/// Two put something down and set the event; the third takes what is there and clears it.
fn no_item_stays_behind(strict: bool) {
    explore(3, move || {
        let scene = Scene::new(strict);
        let setters = [0, 1].map(|item| {
            spawn(&scene, move |scene| {
                scene.items[item].store(1, Ordering::Relaxed);
                scene.set();
            })
        });
        let mut left = 2;
        while left > 0 {
            scene.wait(ONE);
            scene.event.clear();
            for item in &scene.items {
                if item.load(Ordering::Relaxed) != 0 {
                    item.store(0, Ordering::Relaxed);
                    left -= 1;
                }
            }
        }
        for setter in setters {
            setter.join().unwrap();
        }
    });
}

#[test]
fn what_was_before_a_set_is_seen_after_the_clear() {
    no_item_stays_behind(true);
}

#[test]
fn a_setter_is_killed_at_every_step() {
    explore_kills(3, |step| {
        let scene = Scene::new(false);
        let victim = spawn(&scene, move |scene| {
            killed_at(step, || scene.set());
            scene.set();
        });
        scene.wait(ONE);
        victim.join().unwrap();
    });
}

#[test]
fn a_waiter_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(false);
        let victim = spawn(&scene, move |scene| {
            killed_at(step, || scene.wait(TWO));
            scene.world.bury(TWO);
        });
        let waiter = spawn(&scene, |scene| scene.wait(ONE));
        scene.set();
        victim.join().unwrap();
        waiter.join().unwrap();
    });
}
