//! Twenty processes take a reentrant lock twice and write a shared array.
//!
//! In Python:
//!
//! ```python
//! def write(lock, array, i):
//!     with lock:
//!         with lock:
//!             for j in range(len(array)):
//!                 array[j] = i
//!             print(array[:])
//!
//! lock, array = RLock(), Array("i", [11, 22, 33, 44])
//! for i in range(20):
//!     Process(target=write, args=(lock, array, i)).start()
//! ```
//!
//! With a plain lock each would wait for itself for ever. As long as one has it, nobody else writes.
//!
//! Prints how many found the array as they had written it.

use ipc_lock::{OwnerDied, ReentrantMutex};
use ipc_process::spawn;
use ipc_shared::{Array, Manager};

use super::Outcome;

const CHILDREN: i32 = 20;

/// Whether the array was consistent when it came, and when it left.
fn write(lock: ReentrantMutex<()>, array: Array<i32>, number: i32) -> Result<bool, String> {
    let _outer = lock.lock().unwrap_or_else(OwnerDied::into_inner);
    let _inner = lock.lock().unwrap_or_else(OwnerDied::into_inner);
    let before = array.to_vec();
    for index in 0..array.len() {
        array.set(index, number).map_err(|error| error.to_string())?;
        std::thread::yield_now();
    }
    let of_one = |values: &[i32]| values.iter().all(|value| *value == values[0]);
    let was_consistent = of_one(&before) || before == [11, 22, 33, 44];
    Ok(was_consistent && array.to_vec() == vec![number; array.len()])
}

pub(crate) fn run() -> Outcome {
    let manager = Manager::new()?;
    let (lock, array) = (manager.reentrant_mutex(())?, manager.array(&[11, 22, 33, 44])?);
    let mut children = Vec::new();
    for number in 0..CHILDREN {
        children.push(spawn(write, (lock.clone(), array.clone(), number))?);
    }
    let mut consistent = 0;
    for child in &mut children {
        consistent += i32::from(child.join()??);
    }
    println!("{consistent} of {CHILDREN} found the array consistent; now it is {:?}", array.to_vec());
    assert_eq!(consistent, CHILDREN);
    Ok(())
}
