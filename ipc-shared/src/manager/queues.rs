//! Queues, which have segments of their own: one that has a name in the manager has one in the system, too.

use std::any::type_name;

use ipc_core::{Cause, Error, Result};
use ipc_queue::{JoinableQueue, Queue};

use super::Manager;
use super::kinds::sealed;

impl Manager {
    /// A queue without a bound, or with one.
    ///
    /// It can be handed over like any other, and found by name: as long as the process that made it has a handle, or
    /// until it exits. If it is killed, the queue stays as long as others use it.
    ///
    /// # Errors
    /// No memory, or no descriptor left; a capacity of 0.
    #[doc(alias = "Queue")]
    pub fn queue<T>(&self, capacity: Option<usize>) -> Result<Queue<T>> {
        let name = self.next_queue()?;
        match capacity {
            Some(capacity) => Queue::create_bounded(&name, capacity),
            None => Queue::create_unbounded(&name),
        }
    }

    /// A joinable queue without a bound, or with one. As [`queue`](Manager::queue).
    ///
    /// # Errors
    /// As [`queue`](Manager::queue).
    #[doc(alias = "JoinableQueue")]
    pub fn joinable_queue<T>(&self, capacity: Option<usize>) -> Result<JoinableQueue<T>> {
        let name = self.next_queue()?;
        match capacity {
            Some(capacity) => JoinableQueue::create_bounded(&name, capacity),
            None => JoinableQueue::create_unbounded(&name),
        }
    }

    /// A name in the system that no other queue has.
    fn next_queue(&self) -> Result<String> {
        let mut transaction = self.store().begin(1)?;
        let number = transaction.get(crate::layout::NEXT_OBJECT)?;
        transaction.set(crate::layout::NEXT_OBJECT, number.wrapping_add(1));
        transaction.commit()?;
        Ok(queue_name(self, number))
    }
}

fn queue_name(manager: &Manager, number: u64) -> String {
    format!("{}{number}", prefix(manager))
}

fn prefix(manager: &Manager) -> String {
    format!("manager-{:016x}-", manager.store().id())
}

macro_rules! queues {
    ($($name:ident)*) => { $(
        impl<T> sealed::Managed for $name<T> {
            fn managed_type() -> String {
                type_name::<Self>().to_owned()
            }

            fn place_in(&self, manager: &Manager) -> Result<Option<(u64, u64)>> {
                let label = self.segment().label();
                let number = label.split('`').nth(1).and_then(|name| name.strip_prefix(&prefix(manager)));
                Ok(number.and_then(|number| number.parse().ok()).map(|number| (number, 0)))
            }

            fn open_in(manager: &Manager, number: u64, _: u64) -> Result<Self> {
                let gone = |error: Error| {
                    if !error.is_not_found() {
                        return error;
                    }
                    let why = "the process that made it is gone";
                    let cause = std::io::Error::new(std::io::ErrorKind::NotFound, why);
                    Error::new("open", "queue of a manager", Cause::Os(cause))
                };
                $name::open(&queue_name(manager, number)).map_err(gone)
            }
        }
    )* };
}
queues!(Queue JoinableQueue);
