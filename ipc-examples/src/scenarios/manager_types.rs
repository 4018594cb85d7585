//! One of each: a child changes every kind of object that a manager has, and the parent sees it.
//!
//! In Python:
//!
//! ```python
//! with Manager() as manager:
//!     l, d, n = manager.list(), manager.dict(), manager.Namespace()
//!     lock, rlock, s, b = manager.Lock(), manager.RLock(), manager.Semaphore(2), manager.BoundedSemaphore(2)
//!     c, e, barrier = manager.Condition(), manager.Event(), manager.Barrier(2)
//!     q, v, a = manager.Queue(), manager.Value("i", 0), manager.Array("i", [1, 2, 3])
//! ```
//!
//! The child gets the manager alone, and finds the objects by their names.
//!
//! Prints each kind with what the child did to it.

use std::time::Duration;

use ipc_lock::{Barrier, Condvar, Event, Mutex, OwnerDied, ReentrantMutex, RwLock, Semaphore};
use ipc_process::spawn;
use ipc_queue::{JoinableQueue, Queue};
use ipc_shared::{Array, Dict, List, Manager, Namespace, Value};

use super::Outcome;

const LONG: Duration = Duration::from_secs(10);

fn change_all(manager: Manager) -> Result<(), String> {
    change(&manager).map_err(|error| error.to_string())
}

fn change(manager: &Manager) -> Outcome {
    manager.find::<List<String>>("list")?.push(&"bun".to_string())?;
    manager.find::<Dict<String, u32>>("dict")?.insert("bun".to_string(), 3)?;
    manager.find::<Namespace>("namespace")?.set("price", &3_u32)?;
    *manager.find::<Mutex<u64>>("mutex")?.lock().unwrap_or_else(OwnerDied::into_inner) += 1;
    let reentrant = manager.find::<ReentrantMutex<u64>>("reentrant mutex")?;
    let once = reentrant.lock().unwrap_or_else(OwnerDied::into_inner);
    reentrant.lock().unwrap_or_else(OwnerDied::into_inner).set(once.get() + 1);
    drop(once);
    *manager.find::<RwLock<u64>>("rwlock")?.write().unwrap_or_else(OwnerDied::into_inner) += 1;
    manager.find::<Semaphore>("semaphore")?.release()?;
    assert!(manager.find::<Semaphore>("bounded semaphore")?.release().is_err());
    manager.find::<Queue<String>>("queue")?.put("bun".to_string())?;
    manager.find::<JoinableQueue<String>>("joinable queue")?.put("bun".to_string())?;
    manager.find::<Value<i32>>("value")?.update(|value| *value += 1);
    manager.find::<Array<i32>>("array")?.set(1, 22)?;
    manager.find::<Event>("event")?.set();
    manager.find::<Barrier>("barrier")?.wait()?;
    // The parent waits until this is so.
    let ready = manager.find::<Mutex<u32>>("ready")?;
    *ready.lock().unwrap_or_else(OwnerDied::into_inner) = 1;
    manager.find::<Condvar>("condvar")?.notify_all();
    Ok(())
}

pub(crate) fn run() -> Outcome {
    let manager = Manager::new()?;
    let list: List<String> = manager.list()?;
    let dict: Dict<String, u32> = manager.dict()?;
    let namespace = manager.namespace()?;
    let mutex = manager.mutex(0_u64)?;
    let reentrant = manager.reentrant_mutex(0_u64)?;
    let rwlock = manager.rwlock(0_u64)?;
    let (semaphore, bounded) = (manager.semaphore(2)?, manager.bounded_semaphore(2)?);
    let (condvar, ready) = (manager.condvar()?, manager.mutex(0_u32)?);
    let (event, barrier) = (manager.event()?, manager.barrier(2)?);
    let (queue, jobs) = (manager.queue::<String>(Some(3))?, manager.joinable_queue::<String>(None)?);
    let (value, array) = (manager.value(0_i32)?, manager.array(&[1, 2, 3])?);
    manager.bind("list", &list)?;
    manager.bind("dict", &dict)?;
    manager.bind("namespace", &namespace)?;
    manager.bind("mutex", &mutex)?;
    manager.bind("reentrant mutex", &reentrant)?;
    manager.bind("rwlock", &rwlock)?;
    manager.bind("semaphore", &semaphore)?;
    manager.bind("bounded semaphore", &bounded)?;
    manager.bind("condvar", &condvar)?;
    manager.bind("ready", &ready)?;
    manager.bind("event", &event)?;
    manager.bind("barrier", &barrier)?;
    manager.bind("queue", &queue)?;
    manager.bind("joinable queue", &jobs)?;
    manager.bind("value", &value)?;
    manager.bind("array", &array)?;

    let mut child = spawn(change_all, (manager.clone(),))?;
    barrier.wait()?;
    let mut is_ready = ready.lock().unwrap_or_else(OwnerDied::into_inner);
    while *is_ready == 0 {
        condvar.wait_timeout(&mut is_ready, LONG).map_err(|_| "the child died with the lock")?;
    }
    drop(is_ready);
    child.join()??;

    println!("list {:?}, dict {:?}", list.to_vec()?, dict.items()?);
    println!("namespace {:?} = {:?}", namespace.names()?, namespace.get::<u32>("price")?);
    assert_eq!((list.to_vec()?, dict.get("bun")?), (vec!["bun".to_string()], Some(3)));
    assert_eq!(namespace.get::<u32>("price")?, Some(3));
    let locked = *mutex.lock().unwrap_or_else(OwnerDied::into_inner);
    let twice = reentrant.lock().unwrap_or_else(OwnerDied::into_inner).get();
    let written = *rwlock.read().unwrap_or_else(OwnerDied::into_inner);
    println!("mutex {locked}, reentrant mutex {twice}, rwlock {written}");
    assert_eq!((locked, twice, written), (1, 1, 1));
    println!("semaphore {}, bounded semaphore {}", semaphore.available(), bounded.available());
    assert_eq!((semaphore.available(), bounded.available()), (3, 2));
    println!("event set: {}, barrier for {}", event.is_set(), barrier.parties());
    assert!(event.is_set());
    let (item, job) = (queue.get_timeout(LONG)?, jobs.get_timeout(LONG)?);
    println!("queue {item:?}, joinable queue {:?}", *job);
    assert_eq!((item.as_str(), job.as_str()), ("bun", "bun"));
    job.done().map_err(|rejected| rejected.to_string())?;
    println!("value {}, array {:?}", value.get(), array.to_vec());
    assert_eq!((value.get(), array.to_vec()), (1, vec![1, 22, 3]));
    manager.check()?;
    Ok(())
}
