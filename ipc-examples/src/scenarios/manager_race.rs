//! The same without the lock: who gets a value and then inserts another loses what others did in between. `update` does
//! both in one step.
//!
//! In Python:
//!
//! ```python
//! def count_down(d):
//!     d["count"] -= 1      # two messages to the server: a race
//!
//! with Manager() as manager:
//!     d = manager.dict({"count": 70})
//!     children = [Process(target=count_down, args=(d,)) for _ in range(70)]
//!     ...
//!     print(d["count"])    # 0, mostly, and now and then 1 or 2
//! ```
//!
//! Each child counts down by 100, one at a time, so that there is something to lose.
//!
//! Prints what is left in the end with `get` and `insert`, and with `update`.

use ipc_lock::Barrier;
use ipc_process::spawn;
use ipc_shared::{Dict, Manager};

use super::Outcome;

const CHILDREN: i64 = 70;
const EACH: i64 = 100;

fn count_down(dict: Dict<String, i64>, together: Barrier, in_one_step: bool) -> Result<(), String> {
    together.wait().map_err(|error| error.to_string())?;
    for _ in 0..EACH {
        let done = if in_one_step {
            dict.update("count", |old| old.map(|count| count - 1)).map(drop)
        } else {
            let count = dict.get("count").map_err(|error| error.to_string())?.ok_or("there is no count")?;
            std::thread::yield_now();
            dict.insert("count".to_string(), count - 1).map(drop)
        };
        done.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// What is left when all have counted down.
fn left(in_one_step: bool) -> Result<i64, Box<dyn std::error::Error>> {
    let manager = Manager::new()?;
    let (dict, together) = (manager.dict()?, manager.barrier(CHILDREN as u32)?);
    dict.insert("count".to_string(), CHILDREN * EACH)?;
    let mut children = Vec::new();
    for _ in 0..CHILDREN {
        children.push(spawn(count_down, (dict.clone(), together.clone(), in_one_step))?);
    }
    for child in &mut children {
        child.join()??;
    }
    Ok(dict.get("count")?.ok_or("there is no count")?)
}

pub(crate) fn run() -> Outcome {
    println!("{CHILDREN} processes count down from {}, {EACH} each", CHILDREN * EACH);
    let lost = left(false)?;
    println!("with get and insert: {lost} is left, so many steps were lost");
    let left = left(true)?;
    println!("with update: {left} is left");
    // A race need not go wrong, but it does here.
    assert!(lost > 0 && left == 0);
    Ok(())
}
