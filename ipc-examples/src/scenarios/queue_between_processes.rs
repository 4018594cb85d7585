//! One child puts a value into a queue, another gets it.
//!
//! In Python:
//!
//! ```python
//! def put(q): q.put({"name": "bun", "prices": [1.5, 2.0]})
//! def get(q): print(q.get())
//!
//! q = Queue()
//! Process(target=put, args=(q,)).start()
//! Process(target=get, args=(q,)).start()
//! ```
//!
//! A put is complete when it returns: the child that put may be gone before the other starts, which is what happens
//! here. In Python a thread of the child still has to send the value, so that the child cannot end before somebody makes
//! room, and the value is lost if the child is killed.
//!
//! Prints what arrived.

use ipc_process::spawn;
use ipc_queue::Queue;
use serde::{Deserialize, Serialize};

use super::Outcome;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Dish {
    name: String,
    prices: Vec<f64>,
}

fn dish() -> Dish {
    Dish { name: "bun".to_owned(), prices: vec![1.5, 2.0] }
}

fn put(queue: Queue<Dish>) -> Result<(), String> {
    queue.put(dish()).map_err(|error| error.to_string())
}

fn get(queue: Queue<Dish>) -> Result<Dish, String> {
    queue.get().map_err(|error| error.to_string())
}

pub(crate) fn run() -> Outcome {
    let queue = Queue::unbounded()?;
    spawn(put, (queue.clone(),))?.join()??;
    println!("the first child has put a dish and is gone; {} in the queue", queue.len());
    let got = spawn(get, (queue,))?.join()??;
    println!("the second child got {got:?}");
    assert_eq!(got, dish());
    Ok(())
}
