//! Many tasks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use ipc_pool::{Pool, TaskError};

use crate::help::{LONG, end, get};

fn square(x: u64) -> u64 {
    x * x
}

#[test]
fn every_kind_of_map_gives_what_a_loop_gives() {
    let pool = Pool::new(2).unwrap();
    for count in [0, 1, 7, 1000, 20_000] {
        let expected: Vec<u64> = (0..count).map(square).collect();
        assert_eq!(pool.map(square, 0..count).unwrap(), expected);
        assert_eq!(get(&pool.map_async(square, 0..count).unwrap()).unwrap(), expected);
        assert_eq!(pool.map(square, (0..2 * count).filter(|x| *x < count)).unwrap(), expected);
        for chunk in [1, 3, 100_000] {
            if count <= 1000 || chunk > 1 {
                assert_eq!(pool.each(square, 0..count).chunk_size(chunk).map().unwrap(), expected);
            }
        }
        let ordered: Result<Vec<u64>, _> = pool.imap(square, 0..count).unwrap().collect();
        assert_eq!(ordered.unwrap(), expected);
        let unordered: Result<Vec<u64>, _> = pool.imap_unordered(square, 0..count).unwrap().collect();
        let mut unordered = unordered.unwrap();
        unordered.sort_unstable();
        assert_eq!(unordered, expected);
        let pairs = (0..count).map(|x| (x, x));
        assert_eq!(pool.starmap(|a: u64, b: u64| a * b, pairs.clone()).unwrap(), expected);
        let lazy: Result<Vec<u64>, _> =
            pool.star_each(|a: u64, b: u64| a * b, pairs).imap().unwrap().collect();
        assert_eq!(lazy.unwrap(), expected);
    }
    end(&pool);
}

#[test]
fn a_lazy_map_pulls_no_more_than_its_window() {
    let pool = Pool::new(2).unwrap();
    let pulled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&pulled);
    let endless = (0..).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let mut squares = pool.each(square, endless).chunk_size(3).window(2).imap().unwrap();
    assert_eq!(pulled.load(Ordering::SeqCst), 0, "nothing was asked for");
    for x in 0..1000 {
        assert_eq!(squares.next().unwrap().unwrap(), x * x);
        let ahead = pulled.load(Ordering::SeqCst) - x;
        assert!(ahead <= 2 * 2 * 3, "{ahead} items are under way");
    }
    drop(squares);
    let all = pool.each(square, 0..100).window(usize::MAX).imap().unwrap();
    assert_eq!(all.map(Result::unwrap).sum::<u64>(), (0..100).map(square).sum());
    end(&pool);
}

#[test]
fn an_item_that_fails_is_an_error_in_its_place() {
    let pool = Pool::new(2).unwrap();
    let odd = |x: u64| {
        assert!(x % 10 != 3, "three");
        x
    };
    for chunk in [1, 4, 100] {
        let results: Vec<_> = pool.each(odd, 0..50).chunk_size(chunk).imap().unwrap().collect();
        assert_eq!(results.len(), 50);
        for (x, result) in (0..).zip(results) {
            match result {
                Ok(value) => assert_eq!(value, x),
                Err(TaskError::Panicked(panic)) => {
                    assert!(x % 10 == 3 && panic.message == "three");
                    assert!(panic.location.unwrap().contains("maps.rs"));
                }
                Err(error) => panic!("{error}"),
            }
        }
        match pool.each(odd, 0..50).chunk_size(chunk).map() {
            Err(TaskError::Item { index: 3, error }) => assert!(matches!(*error, TaskError::Panicked(_))),
            other => panic!("{other:?}"),
        }
    }
    end(&pool);
}

/// Counts what it is told.
fn counter() -> (Arc<AtomicU64>, impl Fn(u64) + Send + Sync + 'static) {
    let count = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&count);
    let add = move |items| {
        counted.fetch_add(items, Ordering::SeqCst);
    };
    (count, add)
}

#[test]
fn progress_counts_every_item() {
    let pool = Pool::new(2).unwrap();
    for items in [0, 1, 1000] {
        let (count, add) = counter();
        pool.each(square, 0..items).on_progress(add).map().unwrap();
        assert_eq!(count.load(Ordering::SeqCst), items);
    }
    let (count, add) = counter();
    assert_eq!(pool.each(square, 0..1000).on_progress(add).imap().unwrap().count(), 1000);
    end(&pool);
    assert_eq!(count.load(Ordering::SeqCst), 1000);
}

#[test]
fn a_map_is_ready_when_all_progress_was_told() {
    let pool = Pool::new(2).unwrap();
    let (go, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let wait = move |_| {
        let _ = gate.lock().unwrap().recv();
    };
    let map = pool.each(square, 0..3).on_progress(wait).map_async().unwrap();
    assert!(!map.wait_timeout(Duration::from_millis(50)), "nothing was told yet");
    // Nobody else waits for that.
    assert_eq!(get(&pool.apply_async(square, (3,)).unwrap()).unwrap(), 9);
    drop(go);
    assert_eq!(get(&map).unwrap(), [0, 1, 4]);
    end(&pool);
}

#[test]
fn who_is_told_of_progress_can_use_the_pool() {
    let pool = Arc::new(Pool::new(1).unwrap());
    let (done, is_done) = channel();
    let mine = Arc::clone(&pool);
    thread::spawn(move || {
        let other = Arc::clone(&mine);
        let uses = move |_| {
            assert_eq!(other.apply(square, (3,)).unwrap(), 9);
            let (count, add) = counter();
            assert_eq!(other.each(square, 0..3).on_progress(add).map().unwrap(), [0, 1, 4]);
            assert_eq!(count.load(Ordering::SeqCst), 0, "it is told of after this one");
        };
        let squares = mine.each(square, 0..3).chunk_size(1).on_progress(uses).map();
        done.send(squares.unwrap()).unwrap();
    });
    let is_ok = is_done.recv_timeout(LONG).is_ok();
    if !is_ok {
        std::mem::forget(pool);
    }
    assert!(is_ok, "it waits for itself");
}

#[test]
fn a_panic_of_who_is_told_of_progress_harms_nothing() {
    let pool = Pool::new(1).unwrap();
    let panics = |_| panic!("no progress");
    assert_eq!(pool.each(square, 0..3).chunk_size(1).on_progress(panics).map().unwrap(), [0, 1, 4]);
    assert_eq!(pool.call(square, (3,)).callback(|_| {}).apply().unwrap(), 9);
    end(&pool);
}

#[test]
fn lazy_maps_of_any_sizes_end() {
    let pool = Pool::new(2).unwrap();
    for count in [0, 1, 2, 3, 4, 5, 7, 8, 9, 100] {
        let expected: Vec<u64> = (0..count).map(square).collect();
        for window in [0, 1, 2, usize::MAX] {
            for chunk in [0, 1, 2, 3, 8, 1000, usize::MAX] {
                let each = || pool.each(square, 0..count).window(window).chunk_size(chunk);
                let ordered: Vec<u64> = each().imap().unwrap().map(Result::unwrap).collect();
                assert_eq!(ordered, expected, "window {window}, chunks of {chunk}");
                let mut unordered: Vec<u64> = each().imap_unordered().unwrap().map(Result::unwrap).collect();
                unordered.sort_unstable();
                assert_eq!(unordered, expected, "window {window}, chunks of {chunk}");
            }
        }
    }
    end(&pool);
}
