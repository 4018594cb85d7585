//! Producers and consumers that are told to end by a pill: one `None` for each consumer.
//!
//! In Python:
//!
//! ```python
//! def cook(q, name):
//!     for i in range(10): q.put(f"{name} {i}")
//!
//! def eat(q):
//!     while True:
//!         food = q.get()
//!         if food is None: break
//!
//! q = Queue()
//! cooks = [Process(target=cook, args=(q, name)) for name in ("bun", "soup", "rice")]
//! eaters = [Process(target=eat, args=(q,)) for _ in range(2)]
//! for p in cooks + eaters: p.start()
//! for p in cooks: p.join()
//! for _ in eaters: q.put(None)
//! ```
//!
//! The same here, with `Option` as the type of the items. The pills come last since the cooks are joined before. See
//! `queue-closed` for the way without pills, which also works when somebody is killed.
//!
//! Prints how much each of the eaters ate.

use ipc_process::spawn;
use ipc_queue::Queue;

use super::Outcome;

const DISHES: usize = 10;
const EATERS: usize = 2;

fn cook(queue: Queue<Option<String>>, name: String) {
    for number in 0..DISHES {
        queue.put(Some(format!("{name} {number}"))).expect("nobody closes the queue");
    }
}

fn eat(queue: Queue<Option<String>>) -> Vec<String> {
    std::iter::from_fn(|| queue.get().expect("nobody closes the queue")).collect()
}

pub(crate) fn run() -> Outcome {
    let queue = Queue::bounded(5)?;
    let names = ["bun", "soup", "rice"];
    let mut cooks = Vec::new();
    for name in names {
        cooks.push(spawn(cook, (queue.clone(), name.to_owned()))?);
    }
    let mut eaters = Vec::new();
    for _ in 0..EATERS {
        eaters.push(spawn(eat, (queue.clone(),))?);
    }
    for cook in &mut cooks {
        cook.join()?;
    }
    for _ in 0..EATERS {
        queue.put(None)?;
    }
    let mut eaten = Vec::new();
    for (number, eater) in eaters.iter_mut().enumerate() {
        let dishes = eater.join()?;
        println!("eater {number} ate {}", dishes.len());
        eaten.extend(dishes);
    }
    eaten.sort();
    let mut cooked: Vec<_> =
        names.iter().flat_map(|name| (0..DISHES).map(move |number| format!("{name} {number}"))).collect();
    cooked.sort();
    assert_eq!(eaten, cooked, "everything is eaten, and once");
    assert!(queue.is_empty());
    Ok(())
}
