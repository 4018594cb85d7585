//! Ten customers want the last ticket. Who looks and then buys needs a lock around both.
//!
//! In Python:
//!
//! ```python
//! def buy(lock):
//!     with lock:
//!         data = json.load(open("tickets.json"))
//!         if data["count"] > 0:
//!             time.sleep(0.1)           # the network
//!             data["count"] -= 1
//!             json.dump(data, open("tickets.json", "w"))
//!             print("bought")
//!
//! json.dump({"count": 1}, open("tickets.json", "w"))
//! lock = Lock()
//! for _ in range(10):
//!     Process(target=buy, args=(lock,)).start()
//! ```
//!
//! Here the children report by their return values who has bought. A barrier lets them begin together, since starting
//! a process takes longer than buying a ticket. Without the lock everybody who looks in time finds a ticket, and some
//! may find a file that another is just writing.
//!
//! Prints how many bought the ticket without and with the lock, and what the file says then.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use ipc_lock::{Barrier, Mutex, OwnerDied};
use ipc_process::spawn;
use serde::{Deserialize, Serialize};

use super::Outcome;

const CUSTOMERS: u32 = 10;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Tickets {
    count: u32,
}

fn look(path: &Path) -> Result<Tickets, String> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    serde_json::from_str(&text).map_err(|error| error.to_string())
}

/// Says whether there was a ticket, or why the file cannot be read.
fn buy(path: PathBuf, together: Barrier, lock: Option<Mutex<()>>) -> Result<bool, String> {
    together.wait().expect("all customers come");
    let _guard = lock.as_ref().map(|lock| lock.lock().unwrap_or_else(OwnerDied::into_inner));
    let tickets = look(&path)?;
    if tickets.count == 0 {
        return Ok(false);
    }
    // Stands for the way to the cash desk.
    thread::sleep(Duration::from_millis(10));
    let left = Tickets { count: tickets.count - 1 };
    fs::write(&path, serde_json::to_string(&left).expect("a number")).map_err(|error| error.to_string())?;
    Ok(true)
}

/// What became of each customer.
fn sell(
    path: &Path,
    lock: Option<&Mutex<()>>,
) -> Result<Vec<Result<bool, String>>, Box<dyn std::error::Error>> {
    fs::write(path, serde_json::to_string(&Tickets { count: 1 })?)?;
    let together = Barrier::new(CUSTOMERS)?;
    let mut customers = Vec::new();
    for _ in 0..CUSTOMERS {
        customers.push(spawn(buy, (path.to_owned(), together.clone(), lock.cloned()))?);
    }
    Ok(customers.iter_mut().map(|customer| customer.join()).collect::<Result<_, _>>()?)
}

fn count(results: &[Result<bool, String>], which: &Result<bool, String>) -> usize {
    results.iter().filter(|result| *result == which).count()
}

pub(crate) fn run() -> Outcome {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("tickets.json");

    let results = sell(&path, None)?;
    let broken = results.iter().filter(|result| result.is_err()).count();
    println!("without the lock: {} of {CUSTOMERS} bought the ticket", count(&results, &Ok(true)));
    println!("    {broken} found a half-written file; now it says {:?}", look(&path));

    let lock = Mutex::new(())?;
    let results = sell(&path, Some(&lock))?;
    println!("with the lock: {} of {CUSTOMERS} bought the ticket", count(&results, &Ok(true)));
    println!("    now the file says {:?}", look(&path));
    assert_eq!(count(&results, &Ok(true)), 1);
    assert_eq!(count(&results, &Ok(false)), CUSTOMERS as usize - 1);
    assert_eq!(look(&path)?, Tickets { count: 0 });
    Ok(())
}
