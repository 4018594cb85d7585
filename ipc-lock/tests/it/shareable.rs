use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering};

use ipc_lock::{Mutex, RwLock, Shareable, shareable};

use crate::help::{join, spawn};

shareable! {
    /// A point.
    #[derive(Debug, Default, PartialEq)]
    pub struct Point {
        pub x: i32,
        pub y: [f64; 2],
    }

    struct Line {
        ends: [Point; 2],
        width: u8,
    }
}

#[test]
fn a_struct_goes_from_process_to_process() {
    fn shift(line: Mutex<Line>) {
        let mut line = line.lock().unwrap();
        line.ends[1].x += 5;
        line.ends[0].y[1] = -0.5;
        line.width = 3;
    }
    let line = Mutex::new(Line { ends: [Point::default(); 2], width: 1 }).unwrap();
    join(&mut spawn(shift, (line.clone(),)));
    let line = line.lock().unwrap();
    assert_eq!(line.ends, [Point { x: 0, y: [0.0, -0.5] }, Point { x: 5, y: [0.0; 2] }]);
    assert_eq!(line.width, 3);
}

#[test]
fn numbers_arrays_tuples_cells_and_atomics_are_shareable() {
    fn round_trip<T: Shareable + Copy + PartialEq + std::fmt::Debug>(value: T) {
        assert_eq!(*Mutex::new(value).unwrap().lock().unwrap(), value);
        assert_eq!(*RwLock::new(value).unwrap().read().unwrap(), value);
    }
    round_trip(());
    round_trip(u128::MAX);
    round_trip((1_u8, -2_i64, 2.5_f32, [3_u16; 5]));
    round_trip([[7_u8; 3]; 1000]);
    round_trip((1_u8,));
    let atomic = RwLock::new(AtomicI64::new(-1)).unwrap();
    atomic.read().unwrap().fetch_add(3, Ordering::Relaxed);
    assert_eq!(atomic.write().unwrap().load(Ordering::Relaxed), 2);
    let cell = Mutex::new(Cell::new(4_u8)).unwrap();
    cell.lock().unwrap().set(5);
    assert_eq!(cell.lock().unwrap().get(), 5);
}

#[test]
fn what_lies_behind_a_lock_is_aligned() {
    fn is_aligned<T: Shareable>(value: T) {
        let mutex = Mutex::new(value).unwrap();
        assert!(std::ptr::from_ref(&*mutex.lock().unwrap()).is_aligned());
    }
    is_aligned(1_u8);
    is_aligned((1_u8, 2_u128));
    is_aligned([1_u64; 9]);
}

#[test]
fn large_data_is_whole() {
    let mutex = Mutex::new([3_u8; 1 << 16]).unwrap();
    let sum =
        |mutex: Mutex<[u8; 1 << 16]>| mutex.lock().unwrap().iter().map(|&byte| u64::from(byte)).sum::<u64>();
    assert_eq!(join(&mut spawn(sum, (mutex.clone(),))), 3 << 16);
}
