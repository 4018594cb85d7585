//! Processes that are forked where only one can go on.

use std::sync::atomic::{AtomicBool, Ordering};

use ipc_shared::{Dict, List, Manager};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::help::{alone, fork};

/// Runs `change`, which calls what it is given in its closure, so that two processes come out of it: this one and a child,
/// which must be refused.
fn forks_within<R>(change: impl FnOnce(&mut dyn FnMut()) -> ipc_core::Result<R>) -> R {
    let mut child = -1;
    // SAFETY: no other thread runs in a process that runs alone.
    let result = change(&mut || child = unsafe { libc::fork() });
    if child == 0 {
        let is_refused =
            result.is_err_and(|error| error.to_string().contains("was forked within the change"));
        // SAFETY: ends the process, with nothing of its parent's.
        unsafe { libc::_exit(i32::from(!is_refused)) };
    }
    let ended = waitpid(Pid::from_raw(child), WaitOptions::empty());
    assert_eq!(ended.unwrap().unwrap().1.exit_status(), Some(0), "the child was not refused");
    result.unwrap()
}

#[test]
fn a_child_that_is_forked_within_a_change_is_refused() {
    alone(|| {
        let manager = Manager::new().unwrap();
        let dict: Dict<u32, Vec<u64>> = manager.dict().unwrap();
        let list: List<u64> = manager.list().unwrap();
        (0..8).for_each(|key| _ = dict.insert(key, vec![1; 40]).unwrap());
        list.extend([3, 1, 2]).unwrap();
        forks_within(|fork| {
            dict.update(&1, |old| {
                fork();
                old.map(|old| [old, vec![2]].concat())
            })
        });
        forks_within(|fork| {
            dict.update_many(&[&2, &3], |values| {
                fork();
                values.swap(0, 1);
                values[0] = None;
            })
        });
        forks_within(|fork| {
            dict.retain(|key, _| {
                if *key == 5 {
                    fork();
                }
                *key != 5
            })
        });
        forks_within(|fork| {
            dict.get_or_insert_with(9, || {
                fork();
                vec![9]
            })
        });
        forks_within(|fork| {
            list.update(0, |element| {
                fork();
                *element += 1;
            })
        });
        forks_within(|fork| {
            list.retain(|element| {
                if *element == 1 {
                    fork();
                }
                *element != 1
            })
        });
        assert_eq!(dict.get(&1).unwrap().unwrap().len(), 41);
        assert_eq!((dict.len().unwrap(), list.to_vec().unwrap()), (7, vec![4, 2]));
        manager.check().unwrap();
    });
}

#[test]
fn a_child_that_is_forked_while_others_read_handles_gets_on() {
    alone(|| {
        let manager = Manager::new().unwrap();
        let outer: Dict<u32, Dict<u32, u32>> = manager.dict().unwrap();
        let inner: Dict<u32, u32> = manager.dict().unwrap();
        outer.insert(1, inner).unwrap();
        let stop = AtomicBool::new(false);
        let hangs = std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        outer.get(&1).unwrap();
                    }
                });
            }
            let hangs = (0..1_000).any(|_| {
                // If it hangs, its alarm ends it.
                let mut child = fork(|| _ = outer.get(&1).unwrap());
                child.wait().exit_status() != Some(0)
            });
            stop.store(true, Ordering::Relaxed);
            hangs
        });
        assert!(!hangs);
    });
}
