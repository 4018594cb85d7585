use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ipc_lock::{Condvar, Mutex, OwnerDied};

use crate::help::{Child, LONG, SHORT, alone, fork, fork_and_stay, join, past, spawn, until};

fn pair(value: u32) -> (Mutex<u32>, Condvar) {
    (Mutex::new(value).unwrap(), Condvar::new().unwrap())
}

#[test]
fn two_processes_take_turns() {
    fn turns(number: Mutex<u32>, changed: Condvar, parity: u32) {
        let mut guard = number.lock().unwrap();
        for _ in 0..500 {
            changed.wait_while(&mut guard, |number| *number % 2 != parity).unwrap();
            *guard += 1;
            changed.notify_one();
        }
    }
    let (number, changed) = pair(0);
    let mut child = spawn(turns, (number.clone(), changed.clone(), 1_u32));
    turns(number.clone(), changed.clone(), 0);
    join(&mut child);
    assert_eq!(*number.lock().unwrap(), 1000);
}

#[test]
fn a_notification_that_nobody_waits_for_is_forgotten() {
    let (number, changed) = pair(0);
    changed.notify_one();
    changed.notify_all();
    let mut guard = number.lock().unwrap();
    assert!(!changed.wait_timeout(&mut guard, SHORT).unwrap());
    assert!(!changed.wait_timeout(&mut guard, Duration::ZERO).unwrap());
    assert!(!changed.wait_deadline(&mut guard, past()).unwrap());
}

#[test]
fn a_notification_ends_every_kind_of_wait() {
    let (number, changed) = pair(0);
    let waits: [&(dyn Fn() + Sync); 4] = [
        &|| changed.wait(&mut number.lock().unwrap()).unwrap(),
        &|| assert!(changed.wait_timeout(&mut number.lock().unwrap(), Duration::MAX).unwrap()),
        &|| changed.wait_while(&mut number.lock().unwrap(), |number| *number == 0).unwrap(),
        &|| {
            let mut guard = number.lock().unwrap();
            assert!(changed.wait_while_timeout(&mut guard, LONG, |number| *number == 0).unwrap());
        },
    ];
    std::thread::scope(|scope| {
        let waiters = waits.map(|wait| scope.spawn(wait));
        until("all wait", || changed.waiters().len() == 4);
        *number.lock().unwrap() = 1;
        changed.notify_all();
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
}

#[test]
fn a_condition_that_does_not_hold_is_not_waited_for() {
    let (number, changed) = pair(1);
    let mut guard = number.lock().unwrap();
    changed.wait_while(&mut guard, |number| *number == 0).unwrap();
    assert!(changed.wait_while_deadline(&mut guard, past(), |number| *number == 0).unwrap());
    assert!(!changed.wait_while_timeout(&mut guard, SHORT, |number| *number == 1).unwrap());
    assert!(!changed.wait_while_deadline(&mut guard, past(), |number| *number == 1).unwrap());
    assert_eq!(*guard, 1, "the guard is held");
}

/// Notifications that do not help do not keep others from seeing their deadline.
#[test]
fn a_deadline_is_seen_among_many_notifications() {
    let (number, changed) = pair(0);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                changed.notify_all();
            }
        });
        let mut guard = number.lock().unwrap();
        for _ in 0..5 {
            assert!(!changed.wait_while_timeout(&mut guard, SHORT, |number| *number == 0).unwrap());
        }
        drop(guard);
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn the_mutex_is_free_while_waiting_and_held_afterwards() {
    let (number, changed) = pair(0);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut guard = number.lock().unwrap();
            changed.wait_while(&mut guard, |number| *number == 0).unwrap();
            assert!(number.try_lock().is_err());
        });
        until("it waits", || !changed.waiters().is_empty());
        *number.lock_timeout(LONG).unwrap() = 1;
        changed.notify_one();
        waiter.join().unwrap();
    });
}

#[test]
fn notifying_waits_for_nobody_who_is_dead_or_stopped() {
    alone(|| {
        let (number, changed) = pair(0);
        let wait = || _ = changed.wait_while(&mut number.lock().unwrap(), |number| *number == 0);
        let (killed, stopped) = (fork(wait), fork(wait));
        until("both wait", || changed.waiters().len() == 2);
        killed.kill();
        stopped.stop();
        *number.lock().unwrap() = 1;
        for _ in 0..100 {
            changed.notify_one();
            changed.notify_all();
        }
    });
}

#[test]
fn a_killed_waiter_swallows_no_notification() {
    alone(|| {
        let (number, changed) = pair(0);
        let wait = || {
            let mut guard = number.lock().unwrap();
            changed.wait(&mut guard).unwrap();
            *guard = 1;
        };
        let waits = |child: &Child, place| changed.waiters().len() == place && child.is_asleep();
        let killed = fork(wait);
        until("the first sleeps", || waits(&killed, 1));
        let waiter = fork(wait);
        until("the second sleeps", || waits(&waiter, 2));

        // The first to sleep is the first to be woken. It comes as far as the mutex, and has not returned.
        let guard = number.lock().unwrap();
        changed.notify_one();
        until("it is woken", || number.waiters().iter().any(|process| process.pid == killed.pid()));
        killed.kill();
        drop(guard);
        until("another is woken", || *number.lock().unwrap() == 1);
        waiter.join();
    });
}

#[test]
fn what_a_process_changed_that_died_before_it_notified_is_seen() {
    alone(|| {
        let (number, changed) = pair(0);
        let waiter = fork(|| {
            // Without a deadline, at which it would look as well.
            changed.wait_while(&mut number.lock().unwrap(), |number| *number == 0).unwrap();
        });
        until("it waits", || !changed.waiters().is_empty());
        fork(|| *number.lock().unwrap() = 1).join();
        waiter.join();
    });
}

#[test]
fn who_waits_is_told_of_a_death_with_the_mutex() {
    alone(|| {
        let (number, changed) = pair(0);
        let waiters = [(); 2].map(|()| {
            fork(|| {
                let mut guard = number.lock().unwrap_or_else(OwnerDied::into_inner);
                let mut told = 0;
                while changed.wait_while(&mut guard, |number| *number < 2).is_err() {
                    *guard = 2;
                    told += 1;
                }
                assert!(told <= 1);
            })
        });
        until("both wait", || changed.waiters().len() == 2);
        drop(fork_and_stay(|| {
            let mut guard = number.lock().unwrap();
            *guard = 1;
            std::mem::forget(guard);
        }));
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert_eq!(*number.lock().unwrap(), 2);
    });
}

#[test]
fn a_condvar_serves_several_mutexes_of_any_type() {
    let changed = Condvar::new().unwrap();
    let (one, two) = (Mutex::new(0_u8).unwrap(), Mutex::new([0_u64; 4]).unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| changed.wait_while(&mut one.lock().unwrap(), |one| *one == 0).unwrap());
        scope.spawn(|| changed.wait_while(&mut two.lock().unwrap(), |two| two[3] == 0).unwrap());
        until("both wait", || changed.waiters().len() == 2);
        *one.lock().unwrap() = 1;
        two.lock().unwrap()[3] = 1;
        changed.notify_all();
    });
}
