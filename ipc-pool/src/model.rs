//! Random sequences of what a pool and its workers do: no order makes a worker end, each task is done once, and none waits
//! for a worker that is at something while another has nothing to do.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ipc_core::Blob;
use proptest::prelude::*;

use crate::builder::Settings;
use crate::desk::Desk;
use crate::help::{call, hear, hear_all, seat, tasks};
use crate::member::{Member, Sent};
use crate::task::{CallInfo, Task};
use crate::worker::Worker;

const WORKERS: usize = 3;

thread_local! {
    /// The tasks that were begun.
    static BEGUN: RefCell<BTreeSet<usize>> = const { RefCell::new(BTreeSet::new()) };
}

#[derive(Debug, Clone)]
enum Step {
    /// A task comes, and is given to that worker. One with a handle goes through the worker's socket.
    Take { has_handle: bool, place: usize },
    /// That worker carries out its next order.
    Serve(usize),
    /// The next report is heard, if there is one; late, so that who has reported nothing is at something that takes long.
    Hear { late: bool },
    /// So many tasks of that worker are taken back, and given out anew.
    TakeBack(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (any::<bool>(), 0..WORKERS).prop_map(|(has_handle, place)| Step::Take { has_handle, place }),
        2 => (0..WORKERS).prop_map(Step::Serve),
        2 => any::<bool>().prop_map(|late| Step::Hear { late }),
        2 => (0..WORKERS, 1..4_usize).prop_map(|(place, count)| Step::TakeBack(place, count)),
    ]
}

fn first(index: u32, _: Option<Blob>) -> u32 {
    BEGUN.with_borrow_mut(|begun| begun.insert(index as usize));
    index
}

struct Scene {
    desk: Arc<Desk>,
    workers: Vec<Worker>,
    call: Arc<CallInfo>,
    /// Of each task.
    fates: Vec<Vec<bool>>,
    /// Who has carried out an order, of which nothing was heard.
    unheard: [bool; WORKERS],
}

impl Scene {
    fn new() -> Scene {
        BEGUN.take();
        let desk = Desk::new(Settings { workers: WORKERS, ..Settings::default() }).unwrap();
        let workers = (0..WORKERS).map(|place| seat(&desk, place as u32)).collect();
        // So short that they get all ahead.
        desk.lock().typical = 1;
        let call = call::<_, (u32, Option<Blob>)>(first, 0);
        // The first one makes the function known.
        tasks(&desk, &call, 0, &[(0_u32, None::<Blob>)]).for_each(|task| desk.lock().take(task));
        Scene { desk, workers, call, fates: vec![Vec::new()], unheard: [false; WORKERS] }
    }

    fn walk(&mut self, step: &Step) {
        match *step {
            Step::Take { has_handle, place } => {
                let index = self.fates.len();
                let blob = has_handle.then(|| Blob::new(b"shared").unwrap());
                self.fates.push(Vec::new());
                for task in tasks(&self.desk, &self.call, index, &[(index as u32, blob)]) {
                    let mut state = self.desk.lock();
                    let functions = [task.call.function];
                    match state.seats[place].member.as_mut().unwrap().give(task, &functions) {
                        Sent::Yes => {}
                        Sent::Later(task) => state.take(task),
                        Sent::TooMuch(..) | Sent::Never(..) => panic!("it is small"),
                    }
                }
            }
            Step::Serve(place) => {
                self.serve(place);
            }
            Step::Hear { late } => {
                if let Some(place) = hear(&self.desk, &mut self.fates) {
                    self.unheard[place] = false;
                }
                if late {
                    self.balance();
                } else {
                    self.desk.lock().go_on();
                }
            }
            Step::TakeBack(place, count) => {
                let mut state = self.desk.lock();
                let back = state.seats[place].member.as_mut().unwrap().take_back(count);
                back.into_iter().for_each(|task| state.take(task));
            }
        }
    }

    fn balance(&self) {
        let mut state = self.desk.lock();
        for member in state.seats.iter_mut().filter_map(|seat| seat.member.as_mut()) {
            member.moved = Duration::ZERO;
        }
        state.go_on();
        let members = || state.seats.iter().filter_map(|seat| seat.member.as_ref());
        let has_begun = |task: &Task| BEGUN.with_borrow(|begun| begun.contains(&task.index));
        let has_waiting = |member: &Member| {
            let begun = member.given.iter().filter(|task| has_begun(task)).count();
            begun > 0 && begun < member.given.len()
        };
        let is_idle = members().any(|member| member.has_room(1));
        assert!(!is_idle || !members().any(has_waiting), "a task waits behind another for nothing");
    }

    /// Whether that worker had an order. What it had done before is heard, so that it is at one thing at a time.
    fn serve(&mut self, place: usize) -> bool {
        if self.unheard[place] {
            hear_all(&self.desk, &mut self.fates);
            self.unheard = [false; WORKERS];
        }
        let has_order = !self.desk.lock().seats[place].member.as_ref().unwrap().orders.is_empty();
        if has_order {
            assert!(self.workers[place].serve(), "worker {place} ends");
            self.unheard[place] = true;
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
        loop {
            hear_all(&scene.desk, &mut scene.fates);
            scene.desk.lock().go_on();
            if !(0..WORKERS).any(|place| scene.serve(place)) {
                break;
            }
        }
        assert!(scene.fates.iter().all(|fate| fate == &[true]), "{:?}", scene.fates);
        assert_eq!(scene.desk.lock().unsettled(), 0);
    }
}
