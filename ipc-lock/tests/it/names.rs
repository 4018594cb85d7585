use ipc_lock::{Barrier, Condvar, Event, Mutex, OwnerDied, ReentrantMutex, RwLock, Semaphore};

use crate::help::{alone, fork, fork_and_stay, own_files, unique};

#[test]
fn every_primitive_can_be_made_and_opened_by_name() {
    alone(|| {
        let name = |kind: &str| unique(kind);
        let mutex = Mutex::create(&name("mutex"), 7_u32).unwrap();
        let reentrant = ReentrantMutex::create(&name("reentrant"), 7_u32).unwrap();
        let rwlock = RwLock::create(&name("rwlock"), 7_u32).unwrap();
        let semaphore = Semaphore::create(&name("semaphore"), 2).unwrap();
        let bounded = Semaphore::create_bounded(&name("bounded"), 2).unwrap();
        let condvar = Condvar::create(&name("condvar")).unwrap();
        let event = Event::create(&name("event")).unwrap();
        let barrier = Barrier::create(&name("barrier"), 2).unwrap();
        fork(|| {
            assert_eq!(*Mutex::<u32>::open(&name("mutex")).unwrap().lock().unwrap(), 7);
            assert_eq!(ReentrantMutex::<u32>::open(&name("reentrant")).unwrap().lock().unwrap().get(), 7);
            *RwLock::<u32>::open(&name("rwlock")).unwrap().write().unwrap() = 8;
            Semaphore::open(&name("semaphore")).unwrap().release().unwrap();
            assert!(Semaphore::open(&name("bounded")).unwrap().release().is_err());
            Condvar::open(&name("condvar")).unwrap().notify_all();
            Event::open(&name("event")).unwrap().set();
            assert_eq!(Barrier::open(&name("barrier")).unwrap().parties(), 2);
        })
        .join();
        assert!(mutex.try_lock().is_ok() && reentrant.try_lock().is_ok() && event.is_set());
        assert_eq!((*rwlock.read().unwrap(), semaphore.available(), bounded.available()), (8, 3, 2));
        drop((condvar, barrier));
    });
}

#[test]
fn a_taken_name_is_refused_and_a_missing_one_not_found() {
    alone(|| {
        let name = unique("taken");
        assert!(Event::open(&name).unwrap_err().is_not_found());
        let event = Event::create(&name).unwrap();
        let error = Event::create(&name).unwrap_err().to_string();
        assert!(error.contains(&name) && error.contains("event"), "{error}");
        drop(event);
        assert!(Event::open(&name).unwrap_err().is_not_found(), "it went with its owner");
        assert!(Event::create("no/name").is_err());
    });
}

#[test]
fn what_differs_is_named() {
    alone(|| {
        let name = unique("differs");
        let mutex = Mutex::create(&name, 7_u32).unwrap();
        let kind = Event::open(&name).unwrap_err().to_string();
        assert!(kind.contains("kind") && kind.contains("mutex") && kind.contains("event"), "{kind}");
        let types = Mutex::<i64>::open(&name).unwrap_err().to_string();
        assert!(types.contains("type") && types.contains("u32") && types.contains("i64"), "{types}");
        assert!(ReentrantMutex::<u32>::open(&name).is_err() && RwLock::<u32>::open(&name).is_err());
        drop(mutex);
    });
}

#[test]
fn the_name_of_a_killed_owner_is_there_for_its_users_and_then_free() {
    alone(|| {
        let name = unique("killed");
        let owner = fork_and_stay(|| {
            let mutex = Mutex::create(&name, 7_u32).unwrap();
            std::mem::forget(mutex.lock());
            std::mem::forget(mutex);
        });
        let mutex = Mutex::<u32>::open(&name).unwrap();
        drop(owner);
        assert_eq!(*mutex.lock().unwrap_or_else(OwnerDied::into_inner), 7);
        fork(|| assert!(Mutex::<u32>::open(&name).unwrap().lock().is_ok())).join();
        drop(mutex);
        assert!(own_files().is_empty(), "its last user removed it");
        drop(Mutex::create(&name, 8_u32).unwrap());
    });
}

#[test]
fn locks_lie_side_by_side_in_anothers_segment() {
    use ipc_core::{Segment, Spec};
    alone(|| {
        let segment = Segment::anonymous(&Spec::new("home", 1).len(1 << 16)).unwrap();
        let mutex = Mutex::new_in(&segment, 64, 7_u32).unwrap();
        let next = (64 + Mutex::<u32>::len_in() as u64).next_multiple_of(64);
        let semaphore = Semaphore::bounded_in(&segment, next, 1).unwrap();
        assert_eq!((mutex.offset(), semaphore.offset()), (64, next));
        fork(|| {
            *Mutex::<u32>::open_in(&segment, 64).unwrap().lock().unwrap() += 1;
            assert!(Semaphore::open_in(&segment, next).unwrap().release().is_err());
        })
        .join();
        assert_eq!(*mutex.lock().unwrap(), 8);
        drop(fork_and_stay(|| std::mem::forget(mutex.lock())));
        assert!(mutex.lock().is_err(), "its owner died");
        let error = Mutex::<u64>::open_in(&segment, 64).unwrap_err().to_string();
        assert!(error.contains("mutex u64"), "{error}");
        assert!(Event::open_in(&segment, next).is_err() && Event::open_in(&segment, 1 << 20).is_err());
        assert!(Event::new_in(&segment, 8).is_err() && Event::new_in(&segment, 0).is_err());
    });
}
