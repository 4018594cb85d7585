//! Children write into a shared array, and into a dictionary.
//!
//! In Python:
//!
//! ```python
//! def write(array, d, i):
//!     array[i] = 100 + i
//!     d[i] = 100 + i
//!
//! array = Array("i", [11, 22, 33, 44])
//! d = Manager().dict()
//! for i in range(4):
//!     Process(target=write, args=(array, d, i)).start()
//! ```
//!
//! Prints both.

use ipc_process::spawn;
use ipc_shared::{Array, Dict, Manager};

use super::Outcome;

fn write(array: Array<i32>, dict: Dict<usize, i32>, index: usize) -> Result<(), String> {
    let value = 100 + index as i32;
    array.set(index, value).map_err(|error| error.to_string())?;
    dict.insert(index, value).map_err(|error| error.to_string())?;
    Ok(())
}

pub(crate) fn run() -> Outcome {
    let manager = Manager::new()?;
    let (array, dict) = (manager.array(&[11, 22, 33, 44])?, manager.dict()?);
    println!("before: {:?}", array.to_vec());
    let mut children = Vec::new();
    for index in 0..array.len() {
        children.push(spawn(write, (array.clone(), dict.clone(), index))?);
    }
    for child in &mut children {
        child.join()??;
    }
    let mut items = dict.items()?;
    items.sort_unstable();
    println!("after: {:?}, {items:?}", array.to_vec());
    assert_eq!(array.to_vec(), [100, 101, 102, 103]);
    assert_eq!(items, [(0, 100), (1, 101), (2, 102), (3, 103)]);
    Ok(())
}
