//! The ring by itself.

use ipc_core::{Segment, Spec};
use ipc_queue::raw::{Getting, Patient, Putting, Ring};

fn ring() -> Ring {
    let spec = Spec::new("example", 1).len(Ring::LEN).max_len(Ring::MAX_LEN).participants(8);
    Ring::create(&Segment::anonymous(&spec).unwrap(), 4096).unwrap()
}

/// Puts a record of that length, if there is room.
fn put(ring: &Ring, len: usize) -> bool {
    let mut putting = Putting::new(ring);
    let has_room = putting.begin(len, Patient::Not).unwrap();
    if has_room {
        putting.commit();
    }
    has_room
}

fn get(ring: &Ring) -> usize {
    let mut getting = Getting::new(ring);
    let len = getting.begin(Patient::Not).unwrap().expect("one was put").len();
    getting.take();
    len
}

/// Otherwise who waits for room would wait for ever: nobody can make any.
#[test]
fn an_empty_ring_has_room_for_any_record_wherever_its_ends_are() {
    for before in (0..4080).step_by(8) {
        for len in [1, 2016, 2024, 2032, 2040, 2048, 4072, 4080, 5000] {
            let ring = ring();
            assert!(put(&ring, before));
            assert_eq!(get(&ring), before);
            assert!(put(&ring, len), "{len} bytes after {before}");
            assert_eq!(get(&ring), len);
        }
    }
}

#[test]
fn a_record_of_less_than_half_the_ring_takes_no_more_memory() {
    for before in (0..2032).step_by(8) {
        let ring = ring();
        assert!(put(&ring, before));
        assert_eq!(get(&ring), before);
        assert!(put(&ring, 2032));
        assert_eq!(ring.memory(), 4096, "after {before}");
    }
}
