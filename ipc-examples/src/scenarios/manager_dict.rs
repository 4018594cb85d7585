//! A hundred processes count down one entry of a shared dictionary, under a lock.
//!
//! In Python:
//!
//! ```python
//! def count_down(d, lock):
//!     with lock:
//!         d["count"] -= 1
//!
//! with Manager() as manager:
//!     d, lock = manager.dict({"count": 100}), manager.Lock()
//!     children = [Process(target=count_down, args=(d, lock)) for _ in range(100)]
//!     ...
//!     print(d["count"])    # 0
//! ```
//!
//! There, each `d["count"]` is a message to a server process and back. Here the dictionary lies in memory that all
//! processes have mapped, and so does the lock.
//!
//! Prints what the entry says in the end.

use ipc_lock::{Mutex, OwnerDied};
use ipc_process::spawn;
use ipc_shared::{Dict, Manager};

use super::Outcome;

const CHILDREN: i64 = 100;

fn count_down(dict: Dict<String, i64>, lock: Mutex<()>) -> Result<(), String> {
    let _guard = lock.lock().unwrap_or_else(OwnerDied::into_inner);
    let count = dict.get("count").map_err(|error| error.to_string())?.ok_or("there is no count")?;
    dict.insert("count".to_string(), count - 1).map_err(|error| error.to_string())?;
    Ok(())
}

pub(crate) fn run() -> Outcome {
    let manager = Manager::new()?;
    let (dict, lock) = (manager.dict()?, manager.mutex(())?);
    dict.insert("count".to_string(), CHILDREN)?;
    let mut children = Vec::new();
    for _ in 0..CHILDREN {
        children.push(spawn(count_down, (dict.clone(), lock.clone()))?);
    }
    for child in &mut children {
        child.join()??;
    }
    let count = dict.get("count")?;
    println!("{CHILDREN} processes have counted down from {CHILDREN}: {count:?}");
    assert_eq!(count, Some(0));
    manager.check()?;
    Ok(())
}
