//! Consumers that stop when nothing has come for a while.
//!
//! In Python:
//!
//! ```python
//! def eat(q):
//!     while True:
//!         try:
//!             food = q.get(timeout=1)
//!         except queue.Empty:
//!             break
//! ```
//!
//! with three cooks and two eaters as in `queue-pill`. It is simple, but the timeout is a guess: too short, and an eater
//! leaves while a cook is still busy; too long, and everybody waits for nothing at the end. Here the cooks are known to
//! be done before the guess begins to matter. See `queue-closed` for the way without a guess.
//!
//! Prints how much each of the eaters ate.

use std::time::Duration;

use ipc_process::spawn;
use ipc_queue::{GetTimeoutError, Queue};

use super::Outcome;

const COOKS: u32 = 3;
const DISHES: u32 = 10;
const EATERS: u32 = 2;
/// In Python's material it is a second.
const PATIENCE: Duration = Duration::from_millis(50);

fn cook(queue: Queue<(u32, u32)>, cook: u32) {
    for dish in 0..DISHES {
        queue.put((cook, dish)).expect("nobody closes the queue");
    }
}

fn eat(queue: Queue<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut eaten = Vec::new();
    loop {
        match queue.get_timeout(PATIENCE) {
            Ok(dish) => eaten.push(dish),
            Err(GetTimeoutError::Timeout) => return eaten,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) fn run() -> Outcome {
    let queue = Queue::unbounded()?;
    let mut cooks = Vec::new();
    for number in 0..COOKS {
        cooks.push(spawn(cook, (queue.clone(), number))?);
    }
    for cook in &mut cooks {
        cook.join()?;
    }
    let mut eaters = Vec::new();
    for _ in 0..EATERS {
        eaters.push(spawn(eat, (queue.clone(),))?);
    }
    let mut eaten = Vec::new();
    for (number, eater) in eaters.iter_mut().enumerate() {
        let dishes = eater.join()?;
        println!("eater {number} ate {}", dishes.len());
        eaten.extend(dishes);
    }
    eaten.sort_unstable();
    let cooked: Vec<_> = (0..COOKS).flat_map(|cook| (0..DISHES).map(move |dish| (cook, dish))).collect();
    assert_eq!(eaten, cooked, "everything is eaten, and once");
    Ok(())
}
