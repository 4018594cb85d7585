use std::time::Duration;

use ipc_lock::{OverRelease, Permit, Semaphore, Timeout, WouldBlock};

use crate::help::{LONG, SHORT, alone, fork, fork_and_stay, join, past, spawn, until};

/// Exactly so many can be had.
fn assert_permits(semaphore: &Semaphore, expected: usize) {
    let permits: Vec<Permit<'_>> =
        (0..expected).map(|_| semaphore.acquire_timeout(LONG).expect("a permit is lost")).collect();
    assert!(matches!(semaphore.try_acquire(), Err(WouldBlock)), "more than {expected}");
    drop(permits);
    assert_eq!(semaphore.available() as usize, expected);
}

#[test]
fn so_many_and_no_more_are_had() {
    let semaphore = Semaphore::new(3).unwrap();
    let same = semaphore.clone();
    let permits = [semaphore.acquire(), same.try_acquire().unwrap(), same.acquire_timeout(SHORT).unwrap()];
    assert_eq!(semaphore.available(), 0);
    assert!(matches!(same.try_acquire(), Err(WouldBlock)));
    assert!(matches!(same.acquire_timeout(SHORT), Err(Timeout)));
    assert!(matches!(same.acquire_timeout(Duration::ZERO), Err(Timeout)));
    assert!(matches!(same.acquire_deadline(past()), Err(Timeout)));
    drop(permits);
    assert!(same.acquire_deadline(past()).is_ok(), "what is free is had also when it is too late");
    assert!(same.acquire_timeout(Duration::MAX).is_ok());
    assert_permits(&semaphore, 3);
    assert_permits(&Semaphore::new(0).unwrap(), 0);
}

#[test]
fn never_more_processes_are_inside_than_there_are_permits() {
    fn use_it(semaphore: Semaphore, inside: ipc_lock::Mutex<[u32; 2]>) {
        for _ in 0..500 {
            let _permit = semaphore.acquire();
            let mut counts = inside.lock().unwrap();
            counts[0] += 1;
            counts[1] = counts[1].max(counts[0]);
            assert!(counts[0] <= 3);
            drop(counts);
            std::thread::yield_now();
            inside.lock().unwrap()[0] -= 1;
        }
    }
    let semaphore = Semaphore::new(3).unwrap();
    let inside = ipc_lock::Mutex::new([0, 0]).unwrap();
    let mut children = [(); 5].map(|()| spawn(use_it, (semaphore.clone(), inside.clone())));
    children.iter_mut().for_each(join);
    assert_eq!(inside.lock().unwrap()[0], 0);
    assert_permits(&semaphore, 3);
}

#[test]
fn more_than_the_bound_cannot_be_released() {
    let semaphore = Semaphore::bounded(2).unwrap();
    assert_eq!(semaphore.release(), Err(OverRelease));
    let permit = semaphore.acquire();
    assert_eq!(semaphore.release(), Err(OverRelease), "the permit comes back by itself");
    permit.forget();
    assert_eq!(semaphore.release(), Ok(()));
    assert_eq!(semaphore.release(), Err(OverRelease));
    assert_permits(&semaphore, 2);
    let empty = Semaphore::bounded(0).unwrap();
    assert_eq!(empty.release(), Err(OverRelease));
}

#[test]
fn without_a_bound_anybody_adds_permits() {
    let semaphore = Semaphore::new(1).unwrap();
    join(&mut spawn(|semaphore: Semaphore| semaphore.release().unwrap(), (semaphore.clone(),)));
    assert_permits(&semaphore, 2);
    join(&mut spawn(|semaphore: Semaphore| semaphore.acquire().forget(), (semaphore.clone(),)));
    assert_permits(&semaphore, 1);
}

#[test]
fn more_permits_than_can_be_counted_are_refused() {
    let error = Semaphore::new(1 << 31).unwrap_err().to_string();
    assert!(error.contains("permits") && error.contains("2147483648"), "{error}");
    let most = Semaphore::new(i32::MAX as u32).unwrap();
    assert_eq!(most.release(), Err(OverRelease));
}

#[test]
fn a_release_wakes_as_many_as_it_frees() {
    let semaphore = Semaphore::new(0).unwrap();
    std::thread::scope(|scope| {
        let waiters = [(); 4].map(|()| scope.spawn(|| semaphore.acquire().forget()));
        until("all wait", || semaphore.waiters().len() == 4);
        (0..4).for_each(|_| semaphore.release().unwrap());
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
    });
    assert_permits(&semaphore, 0);
}

#[test]
fn the_permits_of_a_dead_process_come_back() {
    alone(|| {
        let semaphore = Semaphore::bounded(3).unwrap();
        let hold = |count: u32| (0..count).for_each(|_| std::mem::forget(semaphore.acquire()));
        // All of them, to one who waits, who tries, who has a deadline; some of them, to nobody yet.
        drop(fork_and_stay(|| hold(3)));
        drop(semaphore.acquire());
        fork(|| hold(3)).join();
        assert!(semaphore.try_acquire().is_ok());
        drop(fork_and_stay(|| hold(3)));
        assert!(semaphore.acquire_timeout(LONG).is_ok());
        drop(fork_and_stay(|| hold(2)));
        assert_permits(&semaphore, 3);

        let holder = fork_and_stay(|| hold(3));
        assert_eq!((semaphore.holders()[0].0.pid, semaphore.holders()[0].1), (holder.pid(), 3));
        let waiters = [(); 3].map(|()| fork(|| drop(semaphore.acquire())));
        until("all wait", || semaphore.waiters().len() == 3);
        holder.kill();
        waiters.into_iter().for_each(|waiter| waiter.join());
        assert_permits(&semaphore, 3);
    });
}

#[test]
fn a_forgotten_permit_does_not_come_back_with_the_death_of_who_had_it() {
    alone(|| {
        let semaphore = Semaphore::bounded(2).unwrap();
        drop(fork_and_stay(|| {
            semaphore.acquire().forget();
            std::mem::forget(semaphore.acquire());
        }));
        assert_permits(&semaphore, 1);
        semaphore.release().unwrap();
        assert_permits(&semaphore, 2);
    });
}

/// Who gives its last handle up and opens the semaphore again has the same place in its tables as before, as another.
#[test]
fn a_leaked_permit_comes_back_also_when_its_place_was_given_away() {
    fn leak_then_use(name: String) {
        let semaphore = Semaphore::open(&name).unwrap();
        std::mem::forget(semaphore.acquire());
        drop(semaphore);
        let semaphore = Semaphore::open(&name).unwrap();
        drop(semaphore.acquire());
    }
    let name = crate::help::unique("place");
    let semaphore = Semaphore::create_bounded(&name, 2).unwrap();
    join(&mut spawn(leak_then_use, (name,)));
    assert_permits(&semaphore, 2);
}

#[test]
fn a_killed_waiter_swallows_no_permit() {
    alone(|| {
        let semaphore = Semaphore::new(0).unwrap();
        for _ in 0..20 {
            let killed = fork(|| _ = semaphore.acquire());
            let waiter = fork(|| semaphore.acquire().forget());
            until("both wait", || semaphore.waiters().len() == 2);
            semaphore.release().unwrap();
            killed.kill();
            drop(killed);
            waiter.join();
            // The killed one may have got it, and then it came back to the waiter.
            assert_eq!(semaphore.available(), 0);
        }
    });
}

#[test]
fn a_stopped_holder_is_waited_for_and_named() {
    alone(|| {
        let semaphore = Semaphore::new(1).unwrap();
        let holder = fork_and_stay(|| std::mem::forget(semaphore.acquire()));
        holder.stop();
        assert!(matches!(semaphore.acquire_timeout(SHORT), Err(Timeout)));
        assert_eq!(semaphore.holders()[0].0.pid, holder.pid());
    });
}

#[test]
fn a_forked_child_has_the_permit_but_does_not_give_it_back() {
    alone(|| {
        let semaphore = Semaphore::bounded(1).unwrap();
        let permit = std::cell::Cell::new(Some(semaphore.acquire()));
        fork(|| drop(permit.take())).join();
        fork(|| permit.take().unwrap().forget()).join();
        assert!(matches!(semaphore.try_acquire(), Err(WouldBlock)));
        drop(permit.take());
        assert_permits(&semaphore, 1);
    });
}

#[test]
fn a_permit_goes_to_another_thread() {
    let semaphore = Semaphore::new(1).unwrap();
    let permit = semaphore.acquire();
    std::thread::scope(|scope| scope.spawn(|| drop(permit)).join().unwrap());
    assert_permits(&semaphore, 1);
}
