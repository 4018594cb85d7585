//! Models of the barrier.

use std::time::Instant;

use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

use super::Arrival;
use crate::error::BarrierError;
use crate::layout;
use crate::models::{DEAD, ONE, Plain, THREE, TWO, World, explore, explore_kills};
use crate::sync::{AtomicU32, Ordering, killed_at};

struct Scene {
    world: World,
    barrier: layout::Barrier,
    /// A number for each party.
    data: [Plain; 3],
    /// Does nothing but to be a step, at which the leader can be killed.
    step: AtomicU32,
}

type Waited = Result<Arrival, BarrierError>;

impl Scene {
    /// Sleeps end by a wake-up only, if `strict`.
    fn new(parties: u32, strict: bool) -> Arc<Scene> {
        let mut barrier = layout::Barrier::new(parties);
        (1..=parties).for_each(|me| barrier.hold(me));
        if strict {
            barrier.round.wait_for_wakes();
        }
        let data = std::array::from_fn(|_| Plain::new());
        Arc::new(Scene { world: World::new(), barrier, data, step: AtomicU32::new(0) })
    }

    fn wait_until(&self, me: u32, deadline: Option<Instant>) -> Waited {
        self.barrier.wait(&self.world, me, deadline, || {
            self.step.load(Ordering::Relaxed);
        })
    }

    fn wait(&self, me: u32) -> Waited {
        self.wait_until(me, None)
    }

    /// Says that one has come, waits, and looks who has come.
    fn meet(&self, me: u32, parties: usize) -> Waited {
        self.data[me as usize - 1].set(1);
        let waited = self.wait(me);
        if waited.is_ok() {
            for data in &self.data[..parties] {
                assert_eq!(data.get(), 1);
            }
        }
        waited
    }
}

fn spawn<R: 'static>(scene: &Arc<Scene>, f: impl FnOnce(&Scene) -> R + 'static) -> JoinHandle<R> {
    let scene = scene.clone();
    thread::spawn(move || f(&scene))
}

/// Everybody came through, each with a place of its own, and the last one led.
fn all_passed(waited: &[Waited]) {
    let mut arrivals: Vec<_> = waited.iter().map(|waited| waited.unwrap()).collect();
    arrivals.sort_by_key(|arrival| arrival.index);
    let last = arrivals.len() as u32 - 1;
    assert!((0..).zip(&arrivals).all(|(at, arrival)| (arrival.index, arrival.is_leader) == (at, at == last)));
}

fn two_meet(strict: bool) {
    explore(3, move || {
        let scene = Scene::new(2, strict);
        let other = spawn(&scene, |scene| scene.meet(TWO, 2));
        let waited = scene.meet(ONE, 2);
        all_passed(&[waited, other.join().unwrap()]);
    });
}

#[test]
fn who_passed_sees_what_was_before() {
    two_meet(false);
}

#[test]
fn the_last_wakes_the_other() {
    two_meet(true);
}

#[test]
fn the_last_wakes_two() {
    explore(1, || {
        let scene = Scene::new(3, true);
        let others = [TWO, THREE].map(|me| spawn(&scene, move |scene| scene.meet(me, 3)));
        let waited = scene.meet(ONE, 3);
        let [two, three] = others.map(|other| other.join().unwrap());
        all_passed(&[waited, two, three]);
    });
}

#[test]
fn it_is_ready_for_the_next_round() {
    explore(2, || {
        let scene = Scene::new(2, true);
        let other = spawn(&scene, |scene| [scene.wait(TWO), scene.wait(TWO)]);
        let waited = [scene.wait(ONE), scene.wait(ONE)];
        for (one, two) in waited.into_iter().zip(other.join().unwrap()) {
            all_passed(&[one, two]);
        }
    });
}

#[test]
fn an_abort_wakes_who_waits() {
    explore(3, || {
        let scene = Scene::new(2, true);
        let other = spawn(&scene, |scene| scene.barrier.break_now());
        assert_eq!(scene.wait(ONE).unwrap_err(), BarrierError::Broken);
        other.join().unwrap();
    });
}

#[test]
fn who_passed_is_not_told_of_a_later_break() {
    explore(2, || {
        let scene = Scene::new(2, true);
        let other = spawn(&scene, |scene| {
            let waited = scene.wait(TWO);
            scene.barrier.break_now();
            waited
        });
        let waited = scene.wait(ONE);
        all_passed(&[waited, other.join().unwrap()]);
    });
}

#[test]
fn a_reset_breaks_the_round_for_who_waits_and_not_the_next() {
    explore(2, || {
        let scene = Scene::new(2, true);
        let other = spawn(&scene, |scene| {
            scene.barrier.reset(&scene.world, TWO);
            scene.wait(TWO)
        });
        let waited = scene.wait(ONE).or_else(|error| {
            assert_eq!(error, BarrierError::Broken);
            scene.wait(ONE)
        });
        all_passed(&[waited, other.join().unwrap()]);
    });
}

#[test]
fn a_timeout_is_told_to_both_or_to_none() {
    explore(2, || {
        let scene = Scene::new(2, true);
        let other = spawn(&scene, |scene| scene.wait(TWO));
        let waited = scene.wait_until(ONE, Some(Instant::now()));
        match (waited, other.join().unwrap()) {
            (Err(BarrierError::Timeout), Err(BarrierError::Broken)) => {}
            (one, two) => all_passed(&[one, two]),
        }
    });
}

#[test]
fn a_party_that_was_dead_before_breaks_it() {
    explore(2, || {
        let scene = Scene::new(2, false);
        scene.barrier.holders.raise(DEAD);
        // It may have been the dead one's place that this takes.
        let other = spawn(&scene, |scene| scene.barrier.hold(THREE));
        assert_eq!(scene.wait(ONE).unwrap_err(), BarrierError::Broken);
        other.join().unwrap();
    });
}

#[test]
fn a_party_is_killed_at_every_step() {
    explore_kills(2, |step| {
        let scene = Scene::new(2, false);
        let victim = spawn(&scene, move |scene| {
            let waited = killed_at(step, || scene.meet(TWO, 2));
            scene.world.bury(TWO);
            waited
        });
        let waited = scene.meet(ONE, 2);
        match (waited, victim.join().unwrap()) {
            (one, Some(Ok(two))) => all_passed(&[one, Ok(two)]),
            (Ok(_), None) | (Err(BarrierError::Broken), None) => {}
            other => panic!("{other:?}"),
        }
        // Who comes later is told, unless the round was over before.
        assert_eq!(scene.wait(ONE).unwrap_err(), BarrierError::Broken);
        scene.barrier.reset(&scene.world, ONE);
        assert_eq!(scene.barrier.round.load(Ordering::Relaxed) & super::BROKEN, 0);
    });
}

#[test]
fn a_party_of_three_is_killed_at_every_step() {
    explore_kills(1, |step| {
        let scene = Scene::new(3, false);
        let victim = spawn(&scene, move |scene| {
            killed_at(step, || scene.meet(TWO, 3));
            scene.world.bury(TWO);
        });
        let other = spawn(&scene, |scene| scene.meet(THREE, 3));
        let told = [scene.meet(ONE, 3).is_ok(), other.join().unwrap().is_ok()];
        assert_eq!(told[0], told[1], "one was let go and the other was not");
        victim.join().unwrap();
    });
}
