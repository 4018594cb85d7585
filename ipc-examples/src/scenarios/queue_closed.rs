//! Consumers that just iterate: the loop ends by itself when the last producer is gone, also when it is killed.
//!
//! In Python, with a pill or a guess, as in `queue-pill` and `queue-timeout`, since every process has both ends of the queue's
//! pipe, so that nobody ever sees its end:
//!
//! ```python
//! def eat(q):
//!     while True:
//!         food = q.get()
//!         if food is None: break     # from somebody who knows that all cooks are done
//! ```
//!
//! Here a queue has handles that can only put and handles that can only get. When the last `Producer` of all processes
//! is gone, dropped with its process or killed with it, every `Consumer` gets what is left and comes to the end. The
//! handles are moved into the children's arguments, so that the parent keeps none by accident.
//!
//! Prints how much each of the eaters ate, and that they came to the end although a cook was killed.

use ipc_process::{Child, spawn};
use ipc_queue::{Consumer, Producer, Queue};

use super::Outcome;

/// By the number of the cook and that of the dish.
type Dishes = Vec<(u32, u32)>;

type Eater = Child<Result<Dishes, String>>;

const DISHES: u32 = 10;
const EATERS: usize = 2;

fn cook(kitchen: Producer<(u32, u32)>, cook: u32) {
    kitchen.put_all((0..DISHES).map(|dish| (cook, dish))).expect("somebody is there to eat");
}

/// Cooks one dish, and would go on for ever.
fn cook_slowly(kitchen: Producer<(u32, u32)>, cook: u32) {
    kitchen.put((cook, 0)).expect("somebody is there to eat");
    loop {
        std::thread::park();
    }
}

fn eat(table: Consumer<(u32, u32)>) -> Result<Dishes, String> {
    table.into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn eaters(queue: &Queue<(u32, u32)>) -> Result<Vec<Eater>, Box<dyn std::error::Error>> {
    (0..EATERS).map(|_| Ok(spawn(eat, (queue.consumer()?,))?)).collect()
}

/// What they ate all together.
fn bill(mut eaters: Vec<Eater>) -> Result<Dishes, Box<dyn std::error::Error>> {
    let mut eaten = Vec::new();
    for (number, eater) in eaters.iter_mut().enumerate() {
        let dishes = eater.join()??;
        println!("    eater {number} ate {}", dishes.len());
        eaten.extend(dishes);
    }
    eaten.sort_unstable();
    Ok(eaten)
}

pub(crate) fn run() -> Outcome {
    println!("three cooks who go home when they are done:");
    let queue = Queue::bounded(5)?;
    // All before the first cook starts, who might be done and gone, as the last one, before the second has come.
    let producers = (0..3).map(|_| queue.producer()).collect::<Result<Vec<_>, _>>()?;
    let eating = eaters(&queue)?;
    let mut cooks = Vec::new();
    for (number, producer) in producers.into_iter().enumerate() {
        cooks.push(spawn(cook, (producer, number as u32))?);
    }
    let cooked: Vec<_> = (0..3).flat_map(|cook| (0..DISHES).map(move |dish| (cook, dish))).collect();
    assert_eq!(bill(eating)?, cooked, "everything is eaten, and once");
    for cook in &mut cooks {
        cook.join()?;
    }

    println!("and one who is killed at his work:");
    let queue = Queue::bounded(5)?;
    let slow = spawn(cook_slowly, (queue.producer()?, 7))?;
    let dish = queue.get()?;
    let eating = eaters(&queue)?;
    queue.put(dish)?;
    slow.kill()?;
    assert_eq!(bill(eating)?, [(7, 0)]);
    println!("the loops have ended");
    Ok(())
}
