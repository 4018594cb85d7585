//! A queue of three places: put, get, and what happens when it is full or empty.
//!
//! In Python:
//!
//! ```python
//! q = Queue(3)
//! q.put([1, 2, 3])
//! q.put({"name": "bun"})
//! q.put("a string")
//! print(q.full())                       # True
//! try:
//!     q.put_nowait("one more")          # queue.Full, and the value is gone
//! except queue.Full:
//!     q.put("one more", timeout=0.1)    # queue.Full again, a tenth of a second later
//! print(q.qsize(), q.get(), q.get(), q.get(), q.empty())
//! q.get_nowait()                        # queue.Empty
//! ```
//!
//! A queue has one type of items. Where they come in different shapes, an enum says which there are. A value that is
//! refused comes back in the error. The sizes are exact, where Python says of `qsize`, `empty` and `full` that they are
//! not reliable.
//!
//! Prints what the queue says to each call.

use std::collections::BTreeMap;
use std::time::Duration;

use ipc_queue::{PutTimeoutError, Queue, TryGetError, TryPutError};
use serde::{Deserialize, Serialize};

use super::Outcome;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Item {
    List(Vec<i32>),
    Map(BTreeMap<String, String>),
    Text(String),
}

pub(crate) fn run() -> Outcome {
    let map = BTreeMap::from([("name".to_owned(), "bun".to_owned())]);
    let items = [Item::List(vec![1, 2, 3]), Item::Map(map), Item::Text("a string".to_owned())];

    let queue = Queue::bounded(3)?;
    for (number, item) in items.iter().enumerate() {
        queue.put(item.clone())?;
        assert_eq!(queue.len(), number + 1);
    }
    println!("{} items in it, full: {}", queue.len(), queue.is_full());
    assert!(queue.is_full() && !queue.is_empty());

    let one_more = Item::Text("one more".to_owned());
    let Err(TryPutError::Full(rejected)) = queue.try_put(one_more.clone()) else {
        return Err("a full queue took a value".into());
    };
    println!("without waiting: full, and {rejected:?} is handed back");
    assert_eq!(rejected, one_more);

    let Err(PutTimeoutError::Timeout(rejected)) = queue.put_timeout(rejected, Duration::from_millis(20))
    else {
        return Err("a full queue took a value".into());
    };
    println!("after 20 ms: still full, and {rejected:?} is handed back");
    assert_eq!(rejected, one_more);

    for item in items {
        let got = queue.get()?;
        println!("got {got:?}");
        assert_eq!(got, item, "first in, first out");
    }
    assert_eq!((queue.len(), queue.is_empty()), (0, true));
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    println!("{} items in it, empty: {}", queue.len(), queue.is_empty());
    Ok(())
}
