//! Models of the cells.

use loom::sync::Arc;
use loom::thread;

use crate::layout::Cells;
use crate::models::{DEAD, ONE, THREE, TWO, explore};
use crate::sync::{AtomicU32, Ordering};

#[test]
fn threads_of_one_process_lose_no_count() {
    explore(3, || {
        let cells = Arc::new(Cells::new());
        let both = |cells: &Cells| {
            cells.raise(TWO);
            cells.raise(TWO);
            assert_ne!(cells.lower(TWO), 0);
        };
        let other = {
            let cells = cells.clone();
            thread::spawn(move || both(&cells))
        };
        both(&cells);
        other.join().unwrap();
        assert_eq!(cells.get(TWO), 2);
        assert_eq!(cells.all().collect::<Vec<_>>(), [(TWO, 2)]);
    });
}

#[test]
fn a_raise_that_is_known_of_is_found() {
    explore(3, || {
        let cells = Arc::new((Cells::new(), AtomicU32::new(0)));
        let raisers = [TWO, THREE].map(|me| {
            let cells = cells.clone();
            thread::spawn(move || {
                cells.0.raise(me);
                cells.1.fetch_or(1 << me, Ordering::Release);
            })
        });
        let known = cells.1.load(Ordering::Acquire);
        let found = cells.0.all().map(|(id, _)| id).collect::<Vec<_>>();
        assert!(
            [TWO, THREE].iter().all(|id| known & 1 << id == 0 || found.contains(id)),
            "{known:#b} {found:?}"
        );
        for raiser in raisers {
            raiser.join().unwrap();
        }
        assert_eq!(cells.0.all().count(), 2);
    });
}

#[test]
fn the_dead_are_cleared_and_not_who_comes_after_them() {
    explore(3, || {
        let cells = Arc::new(Cells::new());
        cells.raise(DEAD);
        let clear = {
            let cells = cells.clone();
            thread::spawn(move || cells.clear(DEAD))
        };
        let was_there = cells.raise(THREE);
        cells.raise(ONE);
        // Who takes the place of the dead one, and sees that it was not cleared, is the last to see that.
        assert!(!was_there || cells.all().all(|(id, _)| id != DEAD));
        clear.join().unwrap();
        assert_eq!(cells.all().collect::<Vec<_>>(), [(ONE, 1), (THREE, 1)]);
    });
}
