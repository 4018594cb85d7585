//! Many tasks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_pool::{Pool, TaskError};

use crate::help::{end, get};

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

#[test]
fn progress_counts_every_item() {
    let pool = Pool::new(2).unwrap();
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let each = pool.each(square, 0..1000).on_progress(move |items| {
        counter.fetch_add(items, Ordering::SeqCst);
    });
    each.map().unwrap();
    end(&pool);
    assert_eq!(count.load(Ordering::SeqCst), 1000);
}
