use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ipc_lock::{LockTimeoutError, Mutex, OwnerDied, TryLockError};
use rustix::process::Signal;

use crate::help::{Gate, LONG, SHORT, alone, fork, fork_and_stay, join, past, spawn, unique, until};

fn told<G>(result: Result<G, LockTimeoutError<G>>) -> bool {
    match result {
        Ok(_) => false,
        Err(LockTimeoutError::OwnerDied(_)) => true,
        Err(LockTimeoutError::Timeout) => panic!("nobody has it, and it cannot be had"),
    }
}

#[test]
fn processes_and_threads_exclude_each_other() {
    fn count(mutex: Mutex<[u64; 2]>, rounds: u64) {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..rounds {
                        let mut guard = mutex.lock().unwrap();
                        let next = guard[0] + 1;
                        guard[0] = next;
                        // Another would see the two differ.
                        std::hint::black_box(&mut *guard);
                        assert_eq!(guard[1] + 1, next);
                        guard[1] = next;
                    }
                });
            }
        });
    }
    let mutex = Mutex::new([0, 0]).unwrap();
    let mut children = [(); 3].map(|()| spawn(count, (mutex.clone(), 10_000_u64)));
    count(mutex.clone(), 10_000);
    children.iter_mut().for_each(join);
    assert_eq!(*mutex.lock().unwrap(), [80_000; 2]);
}

#[test]
fn a_held_lock_is_refused_until_it_is_released() {
    let mutex = Mutex::new(7).unwrap();
    let same = mutex.clone();
    let guard = mutex.lock().unwrap();
    assert!(matches!(same.try_lock(), Err(TryLockError::WouldBlock)));
    assert!(matches!(same.lock_timeout(SHORT), Err(LockTimeoutError::Timeout)));
    assert!(matches!(same.lock_timeout(Duration::ZERO), Err(LockTimeoutError::Timeout)));
    assert!(matches!(same.lock_deadline(past()), Err(LockTimeoutError::Timeout)));
    drop(guard);
    assert_eq!(*same.try_lock().unwrap(), 7);
    assert_eq!(*same.lock_deadline(past()).unwrap(), 7, "what is free is had also when it is too late");
    assert_eq!(*same.lock_timeout(Duration::MAX).unwrap(), 7);
}

#[test]
fn a_wait_without_end_ends_with_the_release() {
    let mutex = Mutex::new(()).unwrap();
    std::thread::scope(|scope| {
        let guard = mutex.lock().unwrap();
        let waiters = [(); 3].map(|()| scope.spawn(|| drop(mutex.lock_timeout(Duration::MAX).unwrap())));
        until("all wait", || mutex.waiters().len() == 3);
        drop(guard);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert!(mutex.waiters().is_empty());
    });
}

/// Somebody who always gets the lock in between does not keep others from seeing their deadline.
#[test]
fn a_deadline_is_seen_under_contention() {
    let mutex = Mutex::new(()).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(mutex.lock().unwrap());
                }
            });
        }
        for _ in 0..2000 {
            let _ = mutex.lock_timeout(Duration::from_micros(50));
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn however_its_owner_ends_the_next_is_told_once() {
    alone(|| {
        let mutex = Mutex::new(1_u32).unwrap();
        let hold = || *mutex.lock().unwrap_or_else(OwnerDied::into_inner);
        let ends: [(&str, &dyn Fn()); 3] = [
            ("killed", &|| {
                fork_and_stay(|| std::mem::forget(mutex.lock()));
            }),
            ("exit", &|| {
                fork(|| std::mem::forget(mutex.lock())).join();
            }),
            ("abort", &|| {
                let mut child = fork(|| {
                    let _guard = mutex.lock();
                    std::process::abort();
                });
                assert!(child.wait().signaled());
            }),
        ];
        for (how, end) in ends {
            end();
            assert_eq!(mutex.holder().unwrap().process.map(|process| process.alive), Some(false), "{how}");
            assert!(told(mutex.lock_timeout(LONG)), "{how}");
            assert!(mutex.holder().is_none());
            assert_eq!(hold(), 1);
            assert!(mutex.lock().is_ok(), "{how}: told twice");
        }
        // Not reaped, it is dead all the same.
        let zombie = fork_and_stay(|| std::mem::forget(mutex.lock()));
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        zombie.kill();
        assert!(matches!(mutex.try_lock(), Err(TryLockError::OwnerDied(_))));
        assert!(mutex.try_lock().is_ok());
    });
}

#[test]
fn whoever_waits_when_the_owner_is_killed_has_the_lock() {
    alone(|| {
        let mutex = Mutex::new(()).unwrap();
        // Also long after the first looks.
        for wait in [Duration::ZERO, SHORT, Duration::from_millis(300)] {
            let owner = fork_and_stay(|| std::mem::forget(mutex.lock()));
            let waiter = fork(|| assert!(told(mutex.lock_timeout(LONG))));
            until("it waits", || !mutex.waiters().is_empty());
            std::thread::sleep(wait); // Nothing is waited for: it only makes the wait longer.
            owner.kill();
            waiter.join();
        }
    });
}

#[test]
fn of_many_that_recover_at_once_one_is_told_and_one_holds() {
    alone(|| {
        let mutex = Mutex::new([0_u64; 2]).unwrap();
        for _ in 0..40 {
            let owner = fork_and_stay(|| std::mem::forget(mutex.lock()));
            let told_count = Mutex::new(0_u32).unwrap();
            let waiters = [(); 4].map(|()| {
                fork(|| {
                    let result = mutex.lock_timeout(LONG);
                    let is_told = matches!(result, Err(LockTimeoutError::OwnerDied(_)));
                    let mut guard = match result {
                        Ok(guard) => guard,
                        Err(LockTimeoutError::OwnerDied(died)) => died.into_inner(),
                        Err(LockTimeoutError::Timeout) => panic!("it cannot be had"),
                    };
                    assert_eq!(guard[0], guard[1], "two hold it");
                    guard[0] += 1;
                    std::thread::yield_now();
                    guard[1] += 1;
                    *told_count.lock().unwrap() += u32::from(is_told);
                })
            });
            until("all wait", || mutex.waiters().len() == 4);
            owner.kill();
            waiters.into_iter().for_each(|waiter| waiter.join());
            assert_eq!(*told_count.lock().unwrap(), 1);
        }
        assert_eq!(*mutex.lock().unwrap(), [160; 2]);
    });
}

#[test]
fn a_killed_recoverer_is_a_dead_owner_like_any_other() {
    alone(|| {
        let mutex = Mutex::new(()).unwrap();
        for _ in 0..20 {
            fork(|| std::mem::forget(mutex.lock())).join();
            for _ in 0..3 {
                fork_and_stay(|| std::mem::forget(mutex.lock().unwrap_err()));
            }
            assert!(told(mutex.lock_timeout(LONG)));
            assert!(mutex.lock().is_ok());
        }
    });
}

#[test]
fn a_stopped_owner_is_waited_for_and_named() {
    alone(|| {
        let mutex = Mutex::new(()).unwrap();
        let owner = fork_and_stay(|| std::mem::forget(mutex.lock()));
        owner.stop();
        assert!(matches!(mutex.lock_timeout(Duration::from_millis(50)), Err(LockTimeoutError::Timeout)));
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        let holder = mutex.holder().unwrap();
        let process = holder.process.unwrap();
        assert_eq!((process.pid, process.alive), (owner.pid(), true));
        assert!(process.name.is_some_and(|name| !name.is_empty()));
        assert!(holder.seen_for.unwrap() >= Duration::from_millis(20), "{:?}", holder.seen_for);
        assert!(format!("{mutex:?}").contains(&owner.pid().to_string()));
        owner.signal(Signal::CONT);
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    });
}

/// It says since when this owner was seen this time, not once.
#[test]
fn the_time_of_a_holder_begins_anew() {
    let mutex = Mutex::new(()).unwrap();
    std::thread::scope(|scope| {
        let guard = mutex.lock().unwrap();
        assert!(mutex.holder().unwrap().seen_for.is_none(), "nobody had to wait");
        let waiter = scope.spawn(|| drop(mutex.lock()));
        until("it is seen", || mutex.holder().unwrap().seen_for.is_some());
        drop(guard);
        waiter.join().unwrap();
        let _guard = mutex.lock().unwrap();
        assert!(mutex.holder().unwrap().seen_for.is_none());
    });
}

#[test]
fn a_forked_child_has_the_guard_but_not_the_lock() {
    alone(|| {
        let mutex = Mutex::new(0_u32).unwrap();
        let guard = mutex.lock().unwrap();
        let guard = std::cell::Cell::new(Some(guard));
        fork(|| {
            drop(guard.take());
            assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)), "the copy released it");
        })
        .join();
        let waiter = fork(|| *mutex.lock().unwrap() = 1);
        until("it waits", || !mutex.waiters().is_empty());
        assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
        drop(guard.take());
        waiter.join();
        assert_eq!(*mutex.lock().unwrap(), 1);
    });
}

#[test]
fn a_leaked_guard_holds_until_its_process_gives_the_mutex_up() {
    let mutex = Mutex::new(()).unwrap();
    join(&mut spawn(|mutex: Mutex<()>| std::mem::forget(mutex.lock()), (mutex.clone(),)));
    // The process has ended by now, or has at least dropped its handle.
    assert!(told(mutex.lock_timeout(LONG)));
    std::mem::forget(mutex.lock());
    assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
}

#[test]
fn a_child_that_panics_with_the_lock_has_released_it() {
    let mutex = Mutex::new(()).unwrap();
    let panics = |mutex: Mutex<()>| {
        let _guard = mutex.lock();
        panic!("on purpose");
    };
    let mut child: ipc_process::Child<()> = spawn(panics, (mutex.clone(),));
    assert!(child.join().unwrap_err().panic().is_some());
    assert!(mutex.lock_timeout(LONG).is_ok());
}

#[test]
fn handles_stand_anywhere_in_what_is_handed_over() {
    fn add(mutexes: Vec<(String, Mutex<u32>)>, last: Option<Mutex<u32>>) {
        for (text, mutex) in &mutexes {
            *mutex.lock().unwrap() += text.len() as u32;
        }
        *last.unwrap().lock().unwrap() += 1;
    }
    let (one, two) = (Mutex::new(0).unwrap(), Mutex::new(0).unwrap());
    let list = vec![
        ("four".to_owned(), one.clone()),
        ("seven!!".to_owned(), two.clone()),
        (String::new(), one.clone()),
    ];
    join(&mut spawn(add, (list, Some(one.clone()))));
    assert_eq!((*one.lock().unwrap(), *two.lock().unwrap()), (5, 7));
    assert!(postcard::to_allocvec(&one).is_err(), "outside of a transfer it means nothing");
}

#[test]
fn what_was_changed_is_seen_by_the_next_also_by_one_that_came_later() {
    let mutex = Mutex::new(0_u64).unwrap();
    for round in 1..=3_u64 {
        join(&mut spawn(|mutex: Mutex<u64>| *mutex.lock().unwrap() += 1, (mutex.clone(),)));
        assert_eq!(*mutex.lock().unwrap(), round);
    }
}

#[test]
fn ten_thousand_locks_fit_in_one_process() {
    alone(|| {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let enough = limit.maximum.is_none_or(|maximum| maximum >= 10_100);
        let count = if enough { 10_000 } else { limit.maximum.unwrap_or(0) as usize - 100 };
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
        let mutexes: Vec<Mutex<u64>> = (0..count as u64).map(|number| Mutex::new(number).unwrap()).collect();
        let guards: Vec<_> = mutexes.iter().map(|mutex| mutex.lock().unwrap()).collect();
        assert!(guards.iter().enumerate().all(|(number, guard)| **guard == number as u64));
        drop(guards);
        fork(|| assert!(mutexes.iter().all(|mutex| mutex.try_lock().is_ok()))).join();
        // Without a descriptor left, there is an error, and it says so.
        let now = crate::help::descriptors() as u64 - 1;
        setrlimit(Resource::Nofile, Rlimit { current: Some(now), maximum: limit.maximum }).unwrap();
        let error = Mutex::new(0_u8).unwrap_err().to_string();
        assert!(error.contains("mutex") && error.contains("open files"), "{error}");
        drop(mutexes);
        setrlimit(Resource::Nofile, limit).unwrap();
    });
}

#[test]
fn without_a_descriptor_left_an_owner_is_found_dead_all_the_same() {
    alone(|| {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let mutex = Mutex::new(()).unwrap();
        let owner = fork_and_stay(|| std::mem::forget(mutex.lock()));
        let ready = Gate::new();
        let waiter = fork(|| {
            let limit = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: limit.maximum }).unwrap();
            ready.open();
            assert!(told(mutex.lock_timeout(LONG)));
        });
        ready.pass();
        until("it waits", || !mutex.waiters().is_empty());
        // Reaped as well: without a descriptor, a zombie cannot be told from the living.
        drop(owner);
        waiter.join();
    });
}

#[test]
fn an_operation_of_many_processes_leaves_nothing() {
    alone(|| {
        let name = unique("nothing");
        let mutex = Mutex::create(&name, AtomicU64::new(0)).unwrap();
        let children = [(); 4].map(|()| {
            fork(|| {
                let mutex = Mutex::<AtomicU64>::open(&name).unwrap();
                mutex.lock().unwrap().fetch_add(1, Ordering::Relaxed);
            })
        });
        children.into_iter().for_each(|child| child.join());
        assert_eq!(mutex.lock().unwrap().load(Ordering::Relaxed), 4);
    });
}
