use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipc_lock::{Arrival, Barrier, BarrierError, Mutex};

use crate::help::{LONG, SHORT, alone, fork, fork_and_stay, join, past, spawn, until};

/// Parties that all pass.
fn meet(barrier: &Barrier, parties: usize) -> Vec<Arrival> {
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..parties).map(|_| scope.spawn(|| barrier.wait_timeout(LONG))).collect();
        all.into_iter().map(|party| party.join().unwrap().unwrap()).collect()
    })
}

#[test]
fn each_round_has_every_index_and_one_leader() {
    fn rounds(barrier: Barrier) -> Vec<Arrival> {
        (0..50).map(|_| barrier.wait_timeout(LONG).unwrap()).collect()
    }
    let barrier = Barrier::new(4).unwrap();
    let mut children = [(); 3].map(|()| spawn(rounds, (barrier.clone(),)));
    let mine = rounds(barrier.clone());
    let mut all: Vec<_> = children.iter_mut().map(join).collect();
    all.push(mine);
    for round in 0..50 {
        let mut arrivals: Vec<_> =
            all.iter().map(|party| (party[round].index, party[round].is_leader)).collect();
        arrivals.sort();
        assert_eq!(arrivals, [(0, false), (1, false), (2, false), (3, true)], "round {round}");
    }
}

#[test]
fn nobody_passes_before_all_have_come() {
    let (barrier, come) = (Barrier::new(5).unwrap(), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                for round in 1..=100 {
                    come.fetch_add(1, Ordering::SeqCst);
                    barrier.wait().unwrap();
                    assert!(come.load(Ordering::SeqCst) >= 5 * round);
                    barrier.wait().unwrap();
                }
            });
        }
    });
}

#[test]
fn a_barrier_for_nobody_is_refused_and_one_for_one_never_waits() {
    let error = Barrier::new(0).unwrap_err().to_string();
    assert_eq!(error, "cannot create barrier: it needs a party at least");
    let error = Barrier::create("named", 0).unwrap_err().to_string();
    assert_eq!(error, "cannot create barrier `named`: it needs a party at least");
    let barrier = Barrier::new(1).unwrap();
    for _ in 0..20 {
        assert_eq!(barrier.wait_deadline(past()), Ok(Arrival { index: 0, is_leader: true }));
    }
}

#[test]
fn the_action_runs_once_before_anybody_passes() {
    let (barrier, runs) = (Barrier::new(3).unwrap(), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for round in 1..=50 {
                    barrier.wait_with(|| _ = runs.fetch_add(1, Ordering::SeqCst)).unwrap();
                    assert!(runs.load(Ordering::SeqCst) >= round);
                    barrier.wait().unwrap();
                }
            });
        }
    });
    assert_eq!(runs.load(Ordering::SeqCst), 50);
}

#[test]
fn a_panic_of_the_action_is_its_partys_and_breaks_for_the_others() {
    let barrier = Barrier::new(2).unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| barrier.wait());
        until("it waits", || barrier.arrived() == 1);
        let mine = scope.spawn(|| barrier.wait_with(|| panic!("on purpose")));
        assert!(mine.join().is_err());
        assert_eq!(other.join().unwrap(), Err(BarrierError::Broken));
    });
    assert!(barrier.is_broken());
    barrier.reset();
    meet(&barrier, 2);
}

#[test]
fn the_timeout_of_one_breaks_it_for_all() {
    let barrier = Barrier::new(4).unwrap();
    std::thread::scope(|scope| {
        let others = [(); 2].map(|()| scope.spawn(|| barrier.wait()));
        until("both wait", || barrier.arrived() == 2);
        assert_eq!(barrier.wait_timeout(SHORT), Err(BarrierError::Timeout));
        others.into_iter().for_each(|other| assert_eq!(other.join().unwrap(), Err(BarrierError::Broken)));
    });
    assert_eq!(barrier.wait(), Err(BarrierError::Broken), "until it is reset");
    barrier.reset();
    assert_eq!(barrier.wait_deadline(past()), Err(BarrierError::Timeout));
    barrier.reset();
    meet(&barrier, 4);
}

#[test]
fn a_reset_tells_those_who_wait_and_nobody_else() {
    let barrier = Barrier::new(2).unwrap();
    barrier.reset();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until("it waits", || barrier.arrived() == 1);
        barrier.reset();
        assert_eq!(waiter.join().unwrap(), Err(BarrierError::Broken));
    });
    assert!(!barrier.is_broken());
    assert_eq!((barrier.parties(), barrier.arrived()), (2, 0));
    meet(&barrier, 2);
}

#[test]
fn an_abort_breaks_it_until_it_is_reset() {
    let barrier = Barrier::new(2).unwrap();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| barrier.wait());
        until("it waits", || barrier.arrived() == 1);
        barrier.abort();
        assert_eq!(waiter.join().unwrap(), Err(BarrierError::Broken));
    });
    assert!(barrier.is_broken());
    assert_eq!(barrier.arrived(), 0);
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
    barrier.reset();
    meet(&barrier, 2);
}

#[test]
fn a_party_that_dies_breaks_it() {
    alone(|| {
        let barrier = Barrier::new(3).unwrap();
        // In every place: waiting, with no more than a handle, in the action.
        let deaths: [&dyn Fn(&Barrier); 2] = [&|barrier| _ = barrier.wait(), &|_| crate::help::forever()];
        for death in deaths {
            let killed = fork_and_stay(|| std::mem::forget(barrier.clone()));
            drop(killed);
            assert_eq!(barrier.wait_timeout(LONG), Err(BarrierError::Broken));
            barrier.reset();
            let party = fork(|| death(&barrier.clone()));
            until("it has a handle", || barrier.holders().len() == 2);
            let waiter = fork(|| assert_eq!(barrier.wait_timeout(LONG), Err(BarrierError::Broken)));
            until("it waits", || barrier.waiters().iter().any(|process| process.pid == waiter.pid()));
            party.kill();
            until("who waits finds out", || barrier.is_broken());
            assert_eq!(barrier.wait_timeout(LONG), Err(BarrierError::Broken));
            waiter.join();
            drop(party);
            barrier.reset();
        }
        let leader = Barrier::new(2).unwrap();
        let waiter = fork(|| assert_eq!(leader.wait_timeout(LONG), Err(BarrierError::Broken)));
        until("it waits", || leader.arrived() == 1);
        let acting = Mutex::new(false as u8).unwrap();
        let party = fork(|| {
            let _ = leader.wait_with(|| {
                *acting.lock().unwrap() = 1;
                crate::help::forever();
            });
        });
        until("it acts", || *acting.lock().unwrap() == 1);
        party.kill();
        waiter.join();
        assert_eq!(leader.wait_timeout(LONG), Err(BarrierError::Broken));
        // The dead are forgotten with a reset.
        leader.reset();
        meet(&leader, 2);
    });
}

#[test]
fn a_party_that_dropped_its_handle_may_die() {
    let barrier = Barrier::new(2).unwrap();
    join(&mut spawn(|barrier: Barrier| drop(barrier.clone()), (barrier.clone(),)));
    assert_eq!(barrier.holders().len(), 1);
    meet(&barrier, 2);
    meet(&barrier, 2);
}

#[test]
fn a_stopped_party_is_waited_for_and_named() {
    alone(|| {
        let barrier = Barrier::new(2).unwrap();
        let party = fork_and_stay(|| std::mem::forget(barrier.clone()));
        party.stop();
        assert_eq!(barrier.wait_timeout(SHORT), Err(BarrierError::Timeout));
        assert!(barrier.holders().iter().any(|(process, count)| process.pid == party.pid() && *count == 1));
    });
}

/// Who comes while another acts for longer than it wants to wait gives up, and says so.
#[test]
fn a_long_action_does_not_outlast_a_deadline() {
    let barrier = Barrier::new(1).unwrap();
    let (acting, go) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            barrier.wait_with(|| {
                acting.wait();
                go.wait();
            })
        });
        acting.wait();
        assert_eq!(barrier.wait_timeout(Duration::from_millis(1)), Err(BarrierError::Timeout));
        go.wait();
        assert_eq!(leader.join().unwrap(), Err(BarrierError::Broken));
    });
}

#[test]
fn a_panic_with_a_handle_breaks_it() {
    let barrier = Barrier::new(2).unwrap();
    let other = barrier.clone();
    std::thread::spawn(move || {
        let _other = other;
        panic!("on purpose");
    })
    .join()
    .unwrap_err();
    assert_eq!(barrier.wait(), Err(BarrierError::Broken));
}
