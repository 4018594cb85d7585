use std::time::Duration;

use ipc_lock::{LockTimeoutError, ReentrantMutex, TryLockError};

use crate::help::{LONG, SHORT, alone, fork, fork_and_stay, join, past, spawn, until};

fn is_free(mutex: &ReentrantMutex<u64>) -> bool {
    std::thread::scope(|scope| scope.spawn(|| mutex.try_lock().is_ok()).join().unwrap())
}

#[test]
fn the_same_thread_locks_again_in_every_way() {
    let mutex = ReentrantMutex::new(0_u64).unwrap();
    let same = mutex.clone();
    let one = mutex.lock().unwrap();
    let two = same.try_lock().unwrap();
    let three = same.lock_timeout(Duration::ZERO).unwrap();
    let four = mutex.lock_deadline(past()).unwrap();
    four.set(4);
    assert_eq!((one.get(), two.get(), three.get()), (4, 4, 4));
}

#[test]
fn it_is_released_when_the_count_is_back_at_0_in_any_order() {
    let mutex = ReentrantMutex::new(0_u64).unwrap();
    for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
        let mut guards = [(); 3].map(|()| Some(mutex.lock().unwrap()));
        for (dropped, place) in order.into_iter().enumerate() {
            assert!(!is_free(&mutex), "after {dropped}");
            guards[place].take();
        }
        assert!(is_free(&mutex));
    }
}

#[test]
fn another_thread_and_another_process_wait() {
    let mutex = ReentrantMutex::new(0_u64).unwrap();
    let guard = mutex.lock().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
            assert!(matches!(mutex.lock_timeout(SHORT), Err(LockTimeoutError::Timeout)));
        });
        other.join().unwrap();
    });
    let refused = |mutex: ReentrantMutex<u64>| mutex.lock_timeout(SHORT).is_err();
    assert!(join(&mut spawn(refused, (mutex.clone(),))));
    drop(guard);
    assert!(!join(&mut spawn(refused, (mutex.clone(),))));
}

#[test]
fn processes_and_threads_exclude_each_other() {
    fn count(mutex: ReentrantMutex<u64>) {
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..3000 {
                        let outer = mutex.lock().unwrap();
                        let before = outer.get();
                        let inner = mutex.lock().unwrap();
                        inner.set(before + 1);
                        drop(inner);
                        assert_eq!(outer.get(), before + 1);
                    }
                });
            }
        });
    }
    let mutex = ReentrantMutex::new(0).unwrap();
    let mut children = [(); 3].map(|()| spawn(count, (mutex.clone(),)));
    children.iter_mut().for_each(join);
    assert_eq!(mutex.lock().unwrap().get(), 18_000);
}

#[test]
fn a_forked_child_of_the_owner_is_not_the_owner() {
    alone(|| {
        let mutex = ReentrantMutex::new(0_u64).unwrap();
        let guards = std::cell::Cell::new(Some([mutex.lock().unwrap(), mutex.lock().unwrap()]));
        fork(|| {
            assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
            drop(guards.take());
            assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)), "the copies released it");
        })
        .join();
        let _third = mutex.try_lock().unwrap();
    });
}

#[test]
fn a_dead_owner_leaves_nothing_of_its_count() {
    alone(|| {
        let mutex = ReentrantMutex::new(0_u64).unwrap();
        for end in [true, false] {
            let hold = || (0..3).for_each(|_| std::mem::forget(mutex.lock()));
            if end {
                fork(hold).join()
            } else {
                drop(fork_and_stay(hold))
            }
            assert_eq!(mutex.holder().unwrap().process.map(|process| process.alive), Some(false));
            let outer = mutex.lock().unwrap_err().into_inner();
            let inner = mutex.lock().expect("it was told before");
            drop(outer);
            assert!(!is_free(&mutex));
            drop(inner);
            assert!(is_free(&mutex));
        }
    });
}

#[test]
fn a_waiter_has_the_lock_of_a_killed_owner() {
    alone(|| {
        let mutex = ReentrantMutex::new(0_u64).unwrap();
        let owner = fork_and_stay(|| (0..3).for_each(|_| std::mem::forget(mutex.lock())));
        let waiter =
            fork(|| assert!(matches!(mutex.lock_timeout(LONG), Err(LockTimeoutError::OwnerDied(_)))));
        until("it waits", || !mutex.waiters().is_empty());
        owner.kill();
        waiter.join();
        assert!(is_free(&mutex));
    });
}
