//! Many objects in one store.

use std::time::Duration;

use ipc_lock::{Barrier, Condvar, Event, Mutex, ReentrantMutex, RwLock, Semaphore};
use ipc_shared::{Array, Dict, List, Manager, Namespace, Value};

use crate::help::{alone, fork, join, spawn, unique};

#[test]
fn an_unrelated_program_finds_every_object_by_its_name() {
    alone(|| {
        let name = unique("manager");
        let manager = Manager::create(&name).unwrap();
        manager.bind("dict", &manager.dict::<String, u32>().unwrap()).unwrap();
        manager.bind("list", &manager.list::<String>().unwrap()).unwrap();
        manager.bind("namespace", &manager.namespace().unwrap()).unwrap();
        manager.bind("value", &manager.value(7_u64).unwrap()).unwrap();
        manager.bind("array", &manager.array(&[1_i32, 2]).unwrap()).unwrap();
        manager.bind("mutex", &manager.mutex(5_u8).unwrap()).unwrap();
        manager.bind("reentrant", &manager.reentrant_mutex(()).unwrap()).unwrap();
        manager.bind("rwlock", &manager.rwlock([1_u64; 3]).unwrap()).unwrap();
        manager.bind("semaphore", &manager.semaphore(2).unwrap()).unwrap();
        manager.bind("bounded", &manager.bounded_semaphore(2).unwrap()).unwrap();
        manager.bind("condvar", &manager.condvar().unwrap()).unwrap();
        manager.bind("event", &manager.event().unwrap()).unwrap();
        manager.bind("barrier", &manager.barrier(2).unwrap()).unwrap();
        fork(|| {
            let manager = Manager::open(&name).unwrap();
            manager.find::<Dict<String, u32>>("dict").unwrap().insert("bun".into(), 3).unwrap();
            manager.find::<List<String>>("list").unwrap().push(&"bun".into()).unwrap();
            manager.find::<Namespace>("namespace").unwrap().set("bun", &3).unwrap();
            manager.find::<Value<u64>>("value").unwrap().update(|value| *value += 1);
            manager.find::<Array<i32>>("array").unwrap().set(1, 5).unwrap();
            *manager.find::<Mutex<u8>>("mutex").unwrap().lock().unwrap() += 1;
            drop(manager.find::<ReentrantMutex<()>>("reentrant").unwrap().lock().unwrap());
            manager.find::<RwLock<[u64; 3]>>("rwlock").unwrap().write().unwrap()[1] = 4;
            manager.find::<Semaphore>("semaphore").unwrap().release().unwrap();
            assert!(manager.find::<Semaphore>("bounded").unwrap().release().is_err());
            manager.find::<Condvar>("condvar").unwrap().notify_all();
            manager.find::<Event>("event").unwrap().set();
            assert_eq!(manager.find::<Barrier>("barrier").unwrap().parties(), 2);
        })
        .join();
        assert_eq!(manager.find::<Dict<String, u32>>("dict").unwrap().get("bun").unwrap(), Some(3));
        assert_eq!(manager.find::<List<String>>("list").unwrap().to_vec().unwrap(), ["bun"]);
        assert_eq!(manager.find::<Namespace>("namespace").unwrap().get("bun").unwrap(), Some(3));
        assert_eq!(manager.find::<Value<u64>>("value").unwrap().get(), 8);
        assert_eq!(manager.find::<Array<i32>>("array").unwrap().to_vec(), [1, 5]);
        assert_eq!(*manager.find::<Mutex<u8>>("mutex").unwrap().lock().unwrap(), 6);
        assert_eq!(manager.find::<RwLock<[u64; 3]>>("rwlock").unwrap().read().unwrap()[1], 4);
        assert_eq!(manager.find::<Semaphore>("semaphore").unwrap().available(), 3);
        assert!(manager.find::<Event>("event").unwrap().is_set());
        manager.check().unwrap();
    });
}

#[test]
fn what_is_found_has_the_right_type() {
    let manager = Manager::new().unwrap();
    let dict = manager.dict::<String, u32>().unwrap();
    manager.bind("dict", &dict).unwrap();
    let error = manager.find::<Event>("none").unwrap_err();
    assert!(error.is_not_found());
    assert_eq!(error.to_string(), "cannot find object `none`: there is none of that name");
    let error = manager.find::<List<u8>>("dict").unwrap_err().to_string();
    assert!(
        error.contains("its type is Dict<alloc::string::String, u32>, asked for was List<u8>"),
        "{error}"
    );
    let error = manager.bind("dict", &dict).unwrap_err().to_string();
    assert!(error.ends_with("`dict`: another object of this manager has it"), "{error}");
    assert!(manager.bind("other", &Dict::<u8, u8>::new().unwrap()).is_err());
    assert!(manager.bind("other", &Event::new().unwrap()).is_err());
    assert!(manager.unbind("dict").unwrap() && !manager.unbind("dict").unwrap());
    manager.bind("dict", &dict).unwrap();
    dict.delete().unwrap();
    assert!(manager.find::<Dict<String, u32>>("dict").is_err());
    manager.check().unwrap();
}

#[test]
fn containers_within_others_are_shared() {
    type Baskets = Dict<String, List<Dict<u8, String>>>;
    fn change(manager: Manager) -> String {
        let baskets: Baskets = manager.find("baskets").unwrap();
        let list = baskets.get("ann").unwrap().unwrap();
        let dict = list.get(0).unwrap().unwrap();
        dict.insert(2, "two".into()).unwrap();
        list.push(&manager.dict().unwrap()).unwrap();
        dict.get(&1).unwrap().unwrap()
    }
    let manager = Manager::new().unwrap();
    let baskets: Baskets = manager.dict().unwrap();
    manager.bind("baskets", &baskets).unwrap();
    let (list, dict) = (manager.list().unwrap(), manager.dict().unwrap());
    baskets.insert("ann".into(), list.clone()).unwrap();
    list.push(&dict).unwrap();
    dict.insert(1, "one".into()).unwrap();
    assert_eq!(join(&mut spawn(change, (manager.clone(),))), "one");
    assert_eq!(dict.get(&2).unwrap().as_deref(), Some("two"));
    assert_eq!(list.len().unwrap(), 2);
    let foreign: Result<_, _> = baskets.insert("bob".into(), List::new().unwrap());
    assert!(foreign.unwrap_err().to_string().contains("another store"));
    manager.check().unwrap();
}

#[test]
fn a_lock_is_handed_over_with_its_manager() {
    fn wait(event: Event, semaphore: Semaphore, barrier: Barrier) -> bool {
        let _permit = semaphore.acquire();
        barrier.wait().unwrap();
        event.wait_timeout(Duration::from_secs(10)).is_ok()
    }
    let manager = Manager::new().unwrap();
    let (event, semaphore) = (manager.event().unwrap(), manager.semaphore(1).unwrap());
    let barrier = manager.barrier(2).unwrap();
    let mut child = spawn(wait, (event.clone(), semaphore.clone(), barrier.clone()));
    barrier.wait().unwrap();
    assert_eq!(semaphore.available(), 0);
    event.set();
    assert!(join(&mut child));
}

#[test]
fn attributes_have_types() {
    let namespace = Namespace::new().unwrap();
    namespace.set("x", &5_u8).unwrap();
    assert_eq!(namespace.update("x", |old: Option<u8>| old.map(|old| old + 1)).unwrap(), Some(6));
    assert!(namespace.update("x", |old: Option<u16>| old).is_err());
    assert!(namespace.get::<u16>("x").is_err());
    assert_eq!(namespace.get::<u8>("x").unwrap(), Some(6));
    namespace.set("x", &"text".to_string()).unwrap();
    assert_eq!(namespace.get::<String>("x").unwrap().as_deref(), Some("text"));
    assert_eq!(namespace.names().unwrap(), ["x"]);
    assert!(namespace.remove("x").unwrap() && !namespace.remove("x").unwrap());
    assert_eq!(namespace.get::<u8>("x").unwrap(), None);
}

#[test]
fn what_is_borrowed_is_read_back_as_what_it_is_borrowed_from() {
    let namespace = Namespace::new().unwrap();
    namespace.set("str", "text").unwrap();
    namespace.set("&str", &"text").unwrap();
    namespace.set("&&str", &&"text").unwrap();
    for name in ["str", "&str", "&&str"] {
        assert_eq!(namespace.get::<String>(name).unwrap().as_deref(), Some("text"));
    }
    namespace.set("&u8", &&7_u8).unwrap();
    namespace.set("&mut u8", &&mut &mut 7_u8).unwrap();
    assert_eq!(namespace.get::<u8>("&u8").unwrap(), Some(7));
    assert_eq!(namespace.get::<u8>("&mut u8").unwrap(), Some(7));
}

#[test]
fn nothing_is_left_of_a_manager() {
    alone(|| {
        let manager = Manager::create(&unique("gone")).unwrap();
        let dict: Dict<u8, u8> = manager.dict().unwrap();
        drop(manager);
        dict.insert(1, 1).unwrap();
        assert!(Manager::open(&unique("gone")).is_ok(), "its objects keep it");
    });
}

#[cfg(feature = "queue")]
mod queues {
    use ipc_queue::{JoinableQueue, Queue};

    use super::*;

    #[test]
    fn queues_are_found_by_name() {
        alone(|| {
            let name = unique("queues");
            let manager = Manager::create(&name).unwrap();
            let queue: Queue<u32> = manager.queue(Some(3)).unwrap();
            let jobs: JoinableQueue<u32> = manager.joinable_queue(None).unwrap();
            manager.bind("queue", &queue).unwrap();
            manager.bind("jobs", &jobs).unwrap();
            fork(|| {
                let manager = Manager::open(&name).unwrap();
                manager.find::<Queue<u32>>("queue").unwrap().put(7).unwrap();
                manager.find::<JoinableQueue<u32>>("jobs").unwrap().put(8).unwrap();
                assert!(manager.find::<Queue<u64>>("queue").is_err());
            })
            .join();
            assert_eq!(queue.get().unwrap(), 7);
            assert_eq!(*jobs.get().unwrap(), 8);
            assert!(manager.bind("other", &Queue::<u32>::unbounded().unwrap()).is_err());
        });
    }
}
