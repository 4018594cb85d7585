//! The second way to say what a child does: a type of your own with a `run`.
//!
//! In Python, by a subclass:
//!
//! ```python
//! class Cook(Process):
//!     def __init__(self, dish, portions):
//!         super().__init__()
//!         self.dish, self.portions = dish, portions
//!
//!     def run(self):
//!         print(f"{self.portions} x {self.dish}")
//!
//! p = Cook("soup", 4)
//! p.start()
//! p.join()
//! ```
//!
//! Here nothing is inherited. Any type that serde can write and read implements [`Runnable`], and `run` takes the value
//! apart in the child. Its fields hold plain data and handles: this one brings a gate, as in `process-function`.
//!
//! Prints what the child cooked, and the parent's view of it.

use std::io::{self, PipeReader};

use ipc_core::Fd;
use ipc_process::Runnable;
use serde::{Deserialize, Serialize};

use super::Outcome;

#[derive(Serialize, Deserialize)]
struct Cook {
    dish: String,
    portions: Vec<u32>,
    kitchen: Option<String>,
    gate: Fd<PipeReader>,
}

impl Runnable for Cook {
    type Output = (u32, String);

    fn run(self) -> (u32, String) {
        io::read_to_string(self.gate.0).expect("the gate opens");
        let portions: u32 = self.portions.iter().sum();
        let kitchen = self.kitchen.as_deref().unwrap_or("no kitchen");
        println!("child {}: cooking {portions} x {}", std::process::id(), self.dish);
        (std::process::id(), format!("{portions} x {} from {kitchen}", self.dish))
    }
}

pub(crate) fn run() -> Outcome {
    let (gate, open) = io::pipe()?;
    let cook = Cook {
        dish: "soup".to_owned(),
        portions: vec![1, 2, 1],
        kitchen: Some("the small kitchen".to_owned()),
        gate: Fd(gate),
    };
    let mut child = ipc_process::spawn_runnable(cook)?;
    println!("parent {}: alive before join: {}", std::process::id(), child.is_alive());
    assert!(child.is_alive());

    drop(open);
    let (pid, served) = child.join()?;

    println!("served: {served}; exit code: {:?}", child.exit_code());
    assert_eq!(served, "4 x soup from the small kitchen");
    assert_eq!(pid, child.pid());
    assert_ne!(pid, std::process::id());
    assert!(!child.is_alive());
    assert_eq!(child.exit_code(), Some(0));
    Ok(())
}
