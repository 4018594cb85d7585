use std::time::Duration;

use ipc_lock::{LockTimeoutError, OwnerDied, RwLock, TryLockError};

use crate::help::{LONG, SHORT, alone, fork, fork_and_stay, join, past, spawn, until};

#[test]
fn many_read_or_one_writes() {
    let lock = RwLock::new(7_u32).unwrap();
    let same = lock.clone();
    let (one, two) = (lock.read().unwrap(), same.read().unwrap());
    assert!(matches!(same.try_write(), Err(TryLockError::WouldBlock)));
    assert!(matches!(same.write_timeout(SHORT), Err(LockTimeoutError::Timeout)));
    assert!(matches!(same.write_deadline(past()), Err(LockTimeoutError::Timeout)));
    assert_eq!(*same.try_read().unwrap(), 7, "a writer that gave up is in nobody's way");
    drop((one, two));
    let mut writer = lock.try_write().unwrap();
    *writer = 8;
    assert!(matches!(same.try_read(), Err(TryLockError::WouldBlock)));
    assert!(matches!(same.read_timeout(SHORT), Err(LockTimeoutError::Timeout)));
    assert!(matches!(same.read_deadline(past()), Err(LockTimeoutError::Timeout)));
    assert!(matches!(same.write_timeout(Duration::ZERO), Err(LockTimeoutError::Timeout)));
    drop(writer);
    assert_eq!(*same.read_timeout(Duration::MAX).unwrap(), 8);
    assert_eq!(*same.read_deadline(past()).unwrap(), 8);
    assert_eq!(*same.write_deadline(past()).unwrap(), 8);
}

#[test]
fn readers_of_all_processes_see_whole_pairs() {
    fn read(lock: RwLock<[u64; 2]>) -> u64 {
        let mut reads = 0;
        loop {
            let pair = *lock.read().unwrap();
            assert_eq!(pair[0], pair[1]);
            reads += 1;
            if pair[0] == 4000 {
                return reads;
            }
        }
    }
    fn write(lock: RwLock<[u64; 2]>) {
        for _ in 0..2000 {
            let mut pair = lock.write().unwrap();
            pair[0] += 1;
            std::hint::black_box(&mut *pair);
            pair[1] += 1;
        }
    }
    let lock = RwLock::new([0_u64; 2]).unwrap();
    let mut readers = [(); 2].map(|()| spawn(read, (lock.clone(),)));
    let mut writers = [(); 2].map(|()| spawn(write, (lock.clone(),)));
    std::thread::scope(|scope| {
        scope.spawn(|| read(lock.clone()));
        scope.spawn(|| read(lock.clone()));
    });
    writers.iter_mut().for_each(join);
    assert!(readers.iter_mut().map(join).all(|reads| reads > 0));
}

#[test]
fn a_waiting_writer_keeps_new_readers_out() {
    let lock = RwLock::new(0_u32).unwrap();
    std::thread::scope(|scope| {
        let reader = lock.read().unwrap();
        let writer = scope.spawn(|| *lock.write().unwrap() = 1);
        until("it waits", || lock.writer().is_some());
        assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
        let late = scope.spawn(|| *lock.read().unwrap());
        until("it waits", || !lock.waiters().is_empty());
        drop(reader);
        writer.join().unwrap();
        assert_eq!(late.join().unwrap(), 1);
    });
}

#[test]
fn it_says_who_reads_and_who_writes() {
    alone(|| {
        let lock = RwLock::new(0_u32).unwrap();
        let reader = fork_and_stay(|| (0..2).for_each(|_| std::mem::forget(lock.read())));
        let readers = lock.readers();
        assert_eq!((readers.len(), readers[0].0.pid, readers[0].1), (1, reader.pid(), 2));
        drop(reader);
        let writer = fork_and_stay(|| std::mem::forget(lock.write()));
        assert_eq!(lock.writer().unwrap().process.unwrap().pid, writer.pid());
    });
}

#[test]
fn a_dead_reader_is_in_nobodys_way() {
    alone(|| {
        let lock = RwLock::new(0_u32).unwrap();
        let leave = || drop(fork_and_stay(|| (0..3).for_each(|_| std::mem::forget(lock.read()))));
        leave();
        *lock.try_write().unwrap() += 1;
        leave();
        *lock.write_timeout(LONG).unwrap() += 1;
        leave();
        assert_eq!(*lock.try_read().unwrap(), 2);
        *lock.write().unwrap() += 1;
        // A living one is.
        leave();
        let reader = fork_and_stay(|| std::mem::forget(lock.read()));
        assert!(lock.try_write().is_err());
        let writer = fork(|| *lock.write_timeout(LONG).unwrap() += 1);
        until("it waits", || lock.writer().is_some());
        reader.kill();
        writer.join();
        assert_eq!(*lock.read().unwrap(), 4);
    });
}

#[test]
fn of_a_dead_writer_everybody_is_told_until_a_writer_has_released() {
    alone(|| {
        let lock = RwLock::new([0_u32; 2]).unwrap();
        fork(|| {
            let mut guard = lock.write().unwrap();
            guard[0] = 1;
            std::mem::forget(guard);
        })
        .join();
        assert!(matches!(lock.try_read(), Err(TryLockError::OwnerDied(_))));
        assert!(lock.read().is_err() && lock.read_timeout(LONG).is_err());
        assert_eq!(*lock.read().unwrap_or_else(OwnerDied::into_inner), [1, 0]);
        // Who is killed in the repair is a dead writer, too.
        drop(fork_and_stay(|| std::mem::forget(lock.write().unwrap_err())));
        assert!(lock.read().is_err());
        match lock.try_write() {
            Err(TryLockError::OwnerDied(died)) => *died.into_inner() = [2, 2],
            _ => panic!("not told"),
        }
        assert_eq!(*lock.read().unwrap(), [2, 2]);
        assert!(lock.write().is_ok());
    });
}

#[test]
fn whoever_waits_for_a_writer_that_is_killed_goes_on() {
    alone(|| {
        let lock = RwLock::new(0_u32).unwrap();
        let writer = fork_and_stay(|| std::mem::forget(lock.write()));
        let readers = [(); 2].map(|()| fork(|| _ = lock.read().unwrap_or_else(OwnerDied::into_inner)));
        let other = fork(|| *lock.write().unwrap_or_else(OwnerDied::into_inner) += 1);
        until("all wait", || lock.waiters().len() == 3);
        writer.kill();
        readers.into_iter().for_each(|reader| reader.join());
        other.join();
        assert_eq!(*lock.read().unwrap(), 1);
    });
}

#[test]
fn a_writer_that_is_killed_while_it_waits_is_in_nobodys_way() {
    alone(|| {
        let lock = RwLock::new(0_u32).unwrap();
        let reader = lock.read().unwrap();
        let writer = fork(|| _ = lock.write());
        until("it waits", || lock.writer().is_some());
        writer.kill();
        assert_eq!(*lock.read_timeout(LONG).unwrap(), 0, "it had not begun to write");
        drop(reader);
        *lock.write().unwrap() += 1;
    });
}

#[test]
fn a_forked_child_has_the_guards_but_not_the_locks() {
    alone(|| {
        let lock = RwLock::new(0_u32).unwrap();
        let reader = std::cell::Cell::new(Some(lock.read().unwrap()));
        fork(|| {
            drop(reader.take());
            assert!(lock.try_write().is_err());
        })
        .join();
        drop(reader.take());
        let writer = std::cell::Cell::new(Some(lock.write().unwrap()));
        fork(|| {
            drop(writer.take());
            assert!(lock.try_read().is_err());
        })
        .join();
        drop(writer.take());
        assert!(lock.try_write().is_ok());
    });
}
