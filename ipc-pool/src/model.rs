//! Random sequences of what a pool and its workers do: no order makes a worker end, and each task is done once.

use std::sync::Arc;

use ipc_core::Blob;
use proptest::prelude::*;

use crate::builder::Settings;
use crate::desk::Desk;
use crate::help::{call, hear_all, seat, take};
use crate::task::CallInfo;
use crate::worker::Worker;

const WORKERS: usize = 2;

#[derive(Debug, Clone)]
enum Step {
    /// A task comes. One with a handle goes through a worker's socket.
    Take { has_handle: bool },
    /// That worker carries out its next order.
    Serve(usize),
    /// What workers have reported is heard.
    Hear,
    /// So many tasks of that worker are taken back, and given out anew.
    TakeBack(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<bool>().prop_map(|has_handle| Step::Take { has_handle }),
        2 => (0..WORKERS).prop_map(Step::Serve),
        1 => Just(Step::Hear),
        2 => (0..WORKERS, 1..4_usize).prop_map(|(place, count)| Step::TakeBack(place, count)),
    ]
}

fn first(index: u32, _: Option<Blob>) -> u32 {
    index
}

struct Scene {
    desk: Arc<Desk>,
    workers: Vec<Worker>,
    call: Arc<CallInfo>,
    /// Of each task.
    fates: Vec<Vec<bool>>,
}

impl Scene {
    fn new() -> Scene {
        let desk = Desk::new(Settings { workers: WORKERS, ..Settings::default() }).unwrap();
        let workers = (0..WORKERS).map(|place| seat(&desk, place as u32)).collect();
        // So short that they get all ahead.
        desk.lock().typical = 1;
        Scene { desk, workers, call: call::<_, (u32, Option<Blob>)>(first, 0), fates: Vec::new() }
    }

    fn walk(&mut self, step: &Step) {
        match *step {
            Step::Take { has_handle } => {
                let index = self.fates.len();
                let blob = has_handle.then(|| Blob::new(b"shared").unwrap());
                self.fates.push(Vec::new());
                take(&self.desk, &self.call, index, &[(index as u32, blob)]);
            }
            Step::Serve(place) => {
                self.serve(place);
            }
            Step::Hear => {
                hear_all(&self.desk, &mut self.fates);
                self.desk.lock().go_on();
            }
            Step::TakeBack(place, count) => {
                let mut state = self.desk.lock();
                let back = state.seats[place].member.as_mut().unwrap().take_back(count);
                back.into_iter().for_each(|task| state.take(task));
            }
        }
    }

    /// Whether that worker had an order.
    fn serve(&mut self, place: usize) -> bool {
        let has_order = !self.desk.lock().seats[place].member.as_ref().unwrap().orders.is_empty();
        if has_order {
            assert!(self.workers[place].serve(), "worker {place} ends");
        }
        has_order
    }
}

proptest! {
    #[test]
    fn no_task_that_is_taken_back_spoils_another(steps in prop::collection::vec(step(), 1..60)) {
        let mut scene = Scene::new();
        steps.iter().for_each(|step| scene.walk(step));
        // Orders that cannot be sent for want of room are when it has been heard that there is some.
        scene.walk(&Step::Hear);
        while (0..WORKERS).any(|place| scene.serve(place)) {
            scene.walk(&Step::Hear);
        }
        assert!(scene.fates.iter().all(|fate| fate == &[true]), "{:?}", scene.fates);
        assert_eq!(scene.desk.lock().unsettled(), 0);
    }
}
