//! Producers wait until everything they cooked was eaten; the consumers are daemons and end with the program.
//!
//! In Python:
//!
//! ```python
//! def cook(dish, table):
//!     for i in range(4):
//!         table.put(f"{dish} {i}")
//!     table.join()                      # until task_done was called for each
//!
//! def eat(table):
//!     while True:
//!         dish = table.get()
//!         time.sleep(0.001)
//!         table.task_done()
//!
//! table = JoinableQueue()
//! cooks = [Process(target=cook, args=(dish, table)) for dish in ("bun", "soup", "rice")]
//! guests = [Process(target=eat, args=(table,), daemon=True) for _ in range(2)]
//! ...
//! for c in cooks: c.join()
//! ```
//!
//! `get` hands out a job, and `done` consumes it: what is done cannot be done again, for which Python raises ValueError. A job
//! that is dropped undone, on an early return for one, is handed out again; in Python it is lost and `join` hangs.
//!
//! Prints what was cooked, and that the program ends after exactly all of it was eaten.

use std::thread;
use std::time::Duration;

use ipc_core::{Place, Segment, Spec};
use ipc_process::{Builder, spawn};
use ipc_queue::JoinableQueue;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::Outcome;

const DISHES: [&str; 3] = ["bun", "soup", "rice"];
const EACH: usize = 4;
const GUESTS: usize = 2;

/// Returns how many dishes of all cooks were left when its `join` returned.
fn cook(dish: String, table: JoinableQueue<String>) -> usize {
    for number in 0..EACH {
        table.put(format!("{dish} {number}")).expect("the table is open");
    }
    table.join().expect("the table is whole");
    table.unfinished()
}

fn eat(table: JoinableQueue<String>, eaten: Segment) {
    let eaten: Place<AtomicU64> = Place::new(&eaten, 0).expect("there is one number");
    loop {
        let dish = table.get().expect("the table is open");
        thread::sleep(Duration::from_millis(1));
        eaten.fetch_add(1, SeqCst);
        println!("    eaten: {}", *dish);
        dish.done().expect("the table is whole");
    }
}

pub(crate) fn run() -> Outcome {
    let table = JoinableQueue::unbounded()?;
    let segment = Segment::anonymous(&Spec::new("eaten", 1).len(8))?;
    let eaten: Place<AtomicU64> = Place::new(&segment, 0)?;

    let mut guests = Vec::new();
    for _ in 0..GUESTS {
        guests.push(Builder::new().daemon(true).spawn(eat, (table.clone(), segment.clone()))?);
    }
    let mut cooks = Vec::new();
    for dish in DISHES {
        cooks.push(spawn(cook, (dish.to_string(), table.clone()))?);
    }
    for cook in &mut cooks {
        // When a join returns everything was done at that moment; another cook may have put more by now.
        assert!(cook.join()? <= (DISHES.len() - 1) * EACH);
    }
    let eaten = eaten.load(SeqCst);
    println!(
        "{} dishes were cooked, {eaten} were eaten, {} are left",
        DISHES.len() * EACH,
        table.unfinished()
    );
    assert_eq!(eaten as usize, DISHES.len() * EACH);
    assert_eq!((table.unfinished(), table.len()), (0, 0));

    // A dish that is not eaten up stays on the table.
    table.put("leftovers".to_string())?;
    table.join()?;
    assert!(guests.iter().all(|guest| guest.is_alive()));
    println!("the guests wait for more, and end with the program");
    Ok(())
}
