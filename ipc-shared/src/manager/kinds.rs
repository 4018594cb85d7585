//! What a manager can give names to.

use ipc_core::Result;
use ipc_lock::{Barrier, Condvar, Event, Mutex, ReentrantMutex, RwLock, Semaphore, Shareable};

use super::Manager;
use crate::array::Array;
use crate::dict::Dict;
use crate::list::List;
use crate::namespace::Namespace;
use crate::object::Object;
use crate::value::Value;

/// Everything that a [`Manager`] hands out, and can find again by a name.
pub trait Managed: Sized + sealed::Managed {}
impl<T: sealed::Managed> Managed for T {}

pub(super) mod sealed {
    use super::{Manager, Result};

    pub trait Managed: Sized {
        /// The kind and type, as text.
        fn managed_type() -> String;
        /// Where in the manager it is, and its number; `None` if it is elsewhere.
        fn place_in(&self, manager: &Manager) -> Result<Option<(u64, u64)>>;
        fn open_in(manager: &Manager, at: u64, id: u64) -> Result<Self>;
    }
}

macro_rules! containers {
    ($($name:ident $(<$($parameter:ident $(: $bound:ident)?),*>)? in $($object:ident).+;)*) => { $(
        impl$(<$($parameter $(: $bound)?),*>)? sealed::Managed for $name$(<$($parameter),*>)? {
            fn managed_type() -> String {
                Self::type_name()
            }

            fn place_in(&self, manager: &Manager) -> Result<Option<(u64, u64)>> {
                let object: &Object = &self.$($object).+;
                Ok((object.store == *manager.store()).then_some((object.at, object.id)))
            }

            fn open_in(manager: &Manager, at: u64, id: u64) -> Result<Self> {
                Object::open(manager.store(), at, id, &Self::type_name()).and_then(Self::from_object)
            }
        }
    )* };
}
containers! {
    Dict<K, V> in object;
    List<T> in object;
    Namespace in object;
    Value<T: Shareable> in plain.object;
    Array<T: Shareable> in plain.object;
}

macro_rules! locks {
    ($($name:ident $(<$data:ident>)?)*) => { $(
        impl$(<$data: Shareable>)? sealed::Managed for $name$(<$data>)? {
            fn managed_type() -> String {
                std::any::type_name::<Self>().to_owned()
            }

            fn place_in(&self, manager: &Manager) -> Result<Option<(u64, u64)>> {
                Ok((self.segment() == manager.segment()).then(|| (self.offset(), 0)))
            }

            fn open_in(manager: &Manager, at: u64, _: u64) -> Result<Self> {
                $name::open_in(manager.segment(), at)
            }
        }
    )* };
}
locks!(Mutex<T> ReentrantMutex<T> RwLock<T> Semaphore Condvar Event Barrier);
