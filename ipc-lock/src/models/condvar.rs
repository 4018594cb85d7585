//! Models of the condition variable, with the lock as its mutex.

use std::time::Instant;

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use super::Again;
use crate::layout;
use crate::models::{ONE, Plain, THREE, TWO, World, explore, explore_kills};
use crate::sync::{self, killed_at};
use crate::wait::{Patience, Slept};

struct Scene {
    world: World,
    mutex: layout::RawLock,
    condvar: layout::Condvar,
    /// How many have been announced and not been taken.
    count: Plain,
}

impl Scene {
    /// Sleeps on the condition variable end by a wake-up only, if `strict`.
    fn new(strict: bool) -> Arc<Scene> {
        let mut condvar = layout::Condvar::new();
        if strict {
            condvar.sequence.wait_for_wakes();
        }
        let (world, mutex) = (World::new(), layout::RawLock::new());
        Arc::new(Scene { world, mutex, condvar, count: Plain::new() })
    }

    fn locked<R>(&self, me: u32, f: impl FnOnce() -> R) -> R {
        self.mutex.lock(&self.world, me);
        let result = f();
        self.mutex.unlock();
        result
    }

    /// As `Condvar::wait_while` nothing is announced; then takes one.
    fn take(&self, me: u32, again: Again) {
        self.locked(me, || {
            let mut patience = Patience::for_signal(None);
            while self.count.get() == 0 {
                let before = self.condvar.prepare();
                self.mutex.unlock();
                self.condvar.sleep(&self.world, me, before, &mut patience, again);
                self.mutex.lock(&self.world, me);
            }
            self.count.set(self.count.get() - 1);
        });
    }

    fn announce(&self, me: u32, count: u32) {
        self.locked(me, || self.count.set(self.count.get() + count));
    }

    /// As `Condvar::notify_one`, with a `count` of 1.
    fn notify(&self, count: u32) {
        if self.condvar.notify() {
            sync::wake(&self.condvar.sequence, count);
        }
    }
}

fn spawn<R: 'static>(scene: &Arc<Scene>, f: impl FnOnce(&Scene) -> R + 'static) -> JoinHandle<R> {
    let scene = scene.clone();
    thread::spawn(move || f(&scene))
}

#[test]
fn a_notification_is_seen() {
    explore(2, || {
        let scene = Scene::new(false);
        let waiter = spawn(&scene, |scene| scene.take(TWO, Again::Sequence));
        scene.announce(ONE, 1);
        scene.notify(1);
        waiter.join().unwrap();
    });
}

#[test]
fn a_notification_wakes() {
    explore(3, || {
        let scene = Scene::new(true);
        let waiter = spawn(&scene, |scene| scene.take(TWO, Again::Sequence));
        scene.announce(ONE, 1);
        scene.notify(1);
        waiter.join().unwrap();
    });
}

#[test]
fn a_notification_within_the_mutex_wakes() {
    explore(3, || {
        let scene = Scene::new(true);
        let waiter = spawn(&scene, |scene| scene.take(TWO, Again::Sequence));
        scene.locked(ONE, || {
            scene.count.set(1);
            scene.notify(1);
        });
        waiter.join().unwrap();
    });
}

#[test]
fn a_notification_of_all_wakes_both() {
    explore(2, || {
        let scene = Scene::new(true);
        let waiters = [TWO, THREE].map(|me| spawn(&scene, move |scene| scene.take(me, Again::Sequence)));
        scene.announce(ONE, 2);
        scene.notify(u32::MAX);
        for waiter in waiters {
            waiter.join().unwrap();
        }
    });
}

#[test]
fn two_notifications_wake_both() {
    explore(1, || {
        let scene = Scene::new(true);
        let waiters = [TWO, THREE].map(|me| spawn(&scene, move |scene| scene.take(me, Again::Sequence)));
        // A thread of its own, so that it costs no preemption that the waiters are first.
        let notifier = spawn(&scene, |scene| {
            for _ in 0..2 {
                scene.announce(ONE, 1);
                scene.notify(1);
            }
        });
        for thread in waiters.into_iter().chain([notifier]) {
            thread.join().unwrap();
        }
    });
}

#[test]
fn a_deadline_that_has_passed_is_seen_also_by_one_who_is_notified() {
    explore(3, || {
        let scene = Scene::new(false);
        let notifier = spawn(&scene, |scene| scene.notify(1));
        let mut patience = Patience::for_signal(Some(Instant::now()));
        let before = scene.condvar.prepare();
        let slept = scene.condvar.sleep(&scene.world, TWO, before, &mut patience, Again::Condition);
        assert!(slept == Slept::TimedOut);
        notifier.join().unwrap();
    });
}

#[test]
fn a_notifier_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(false);
        let waiter = spawn(&scene, |scene| scene.take(TWO, Again::Condition));
        killed_at(step, || {
            scene.announce(ONE, 1);
            scene.notify(1);
        });
        scene.world.bury(ONE);
        // That it died before it notified anybody is not repaired.
        scene.locked(THREE, || {
            if scene.count.get() == 0 {
                scene.count.set(1);
            }
        });
        waiter.join().unwrap();
    });
}

#[test]
fn a_waiter_is_killed_at_every_step() {
    explore_kills(1, |step| {
        let scene = Scene::new(false);
        let victim = spawn(&scene, move |scene| {
            killed_at(step, || scene.take(TWO, Again::Sequence));
            scene.world.bury(TWO);
        });
        let waiter = spawn(&scene, |scene| scene.take(THREE, Again::Sequence));
        scene.announce(ONE, 2);
        scene.notify(1);
        victim.join().unwrap();
        waiter.join().unwrap();
    });
}
