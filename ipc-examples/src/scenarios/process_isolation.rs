//! A child has its own memory: a static variable is one variable per process.
//!
//! In Python:
//!
//! ```python
//! orders = []
//!
//! def order(dish):
//!     orders.append(dish)
//!     print(orders)                 # only its own
//!
//! for dish in ("soup", "bun", "tea"):
//!     p = Process(target=order, args=(dish,))
//!     p.start()
//!     p.join()
//! print(orders)                     # still empty
//! ```
//!
//! A child of this crate is a fresh run of the same program, not a fork of the parent: its static variables have their
//! first values, not those that the parent has given them since. What children have to share lies in shared memory,
//! which the later scenarios are about.
//!
//! Prints the list as each child sees it, and as the parent sees it in the end.

use std::sync::Mutex;

use ipc_process::spawn;

use super::Outcome;

static ORDERS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn order(dish: String) -> Vec<String> {
    let mut orders = ORDERS.lock().expect("nobody panicked");
    orders.push(dish);
    orders.clone()
}

pub(crate) fn run() -> Outcome {
    // In the parent the list has an item already.
    assert_eq!(order("water".to_owned()), ["water"]);

    let dishes = ["soup", "bun", "tea"];
    let mut children = Vec::new();
    for dish in dishes {
        children.push(spawn(order, (dish.to_owned(),))?);
    }
    for (child, dish) in children.iter_mut().zip(dishes) {
        let seen = child.join()?;
        println!("child {} sees {seen:?}", child.pid());
        assert_eq!(seen, [dish]);
    }

    let orders = ORDERS.lock().expect("nobody panicked");
    println!("the parent sees {orders:?}");
    assert_eq!(*orders, ["water"]);
    Ok(())
}
