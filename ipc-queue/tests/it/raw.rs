//! The ring by itself.

use std::collections::VecDeque;

use ipc_core::{Segment, Spec};
use ipc_queue::raw::{Getting, Patient, Putting, Ring};
use proptest::prelude::*;

fn ring(bytes: u64) -> Ring {
    let spec = Spec::new("example", 1).len(Ring::LEN).max_len(Ring::MAX_LEN).participants(8);
    Ring::create(&Segment::anonymous(&spec).unwrap(), bytes).unwrap()
}

/// Puts a record of so many zeros, if there is room.
fn put(ring: &Ring, len: usize) -> bool {
    put_bytes(ring, &vec![0; len])
}

fn put_bytes(ring: &Ring, bytes: &[u8]) -> bool {
    let mut putting = Putting::new(ring);
    let has_room = putting.begin(bytes.len(), Patient::Not).unwrap();
    if has_room {
        putting.write(0, bytes).unwrap();
        putting.commit();
    }
    has_room
}

fn get(ring: &Ring) -> Option<Vec<u8>> {
    let mut getting = Getting::new(ring);
    let record = getting.begin(Patient::Not).unwrap()?.to_vec();
    getting.take();
    Some(record)
}

/// Otherwise who waits for room would wait for ever: nobody can make any.
#[test]
fn an_empty_ring_has_room_for_any_record_wherever_its_ends_are() {
    for before in (0..4080).step_by(8) {
        for len in [1, 2016, 2024, 2032, 2040, 2048, 4072, 4080, 5000] {
            let ring = ring(4096);
            assert!(put(&ring, before));
            assert_eq!(get(&ring).unwrap().len(), before);
            assert!(put(&ring, len), "{len} bytes after {before}");
            assert_eq!(get(&ring).unwrap().len(), len);
        }
    }
}

#[test]
fn a_record_of_less_than_half_the_ring_takes_no_more_memory() {
    for before in (0..2032).step_by(8) {
        let ring = ring(4096);
        assert!(put(&ring, before));
        assert_eq!(get(&ring).unwrap().len(), before);
        assert!(put(&ring, 2032));
        assert_eq!(ring.memory(), 4096, "after {before}");
    }
}

#[test]
fn what_is_unread_takes_no_more_memory_than_the_ring_and_eight_of_the_largest() {
    let ring = ring(4096);
    for len in [2040, 2040, 4088, 4088, 8184, 8184] {
        assert!(put(&ring, len));
    }
    assert!(ring.memory() <= 4096 + 8 * 8184, "{}", ring.memory());
}

#[test]
fn what_is_available_is_counted_up_to_so_much() {
    let ring = ring(4096);
    for _ in 0..40 {
        assert!((0..5).all(|len| put(&ring, 100 * len)));
        assert_eq!([0, 3, 5, 6, u64::MAX].map(|most| ring.available(most)), [0, 3, 5, 5, 5]);
        (0..5).for_each(|_| drop(get(&ring).unwrap()));
        assert_eq!(ring.available(9), 0);
    }
}

#[test]
fn a_large_ring_keeps_its_room() {
    for class in 20..25 {
        let ring = ring(1 << class);
        let fill = || (0..).take_while(|_| put(&ring, 65_528)).count();
        let before = fill();
        (1..before).for_each(|_| drop(get(&ring).unwrap()));
        // Round and round, with one or two in it.
        for _ in 0..2 << (class - 16) {
            assert!(put(&ring, 65_528));
            assert!(get(&ring).is_some());
        }
        let after = fill() + 1;
        assert!(after + 1 >= before, "of {} bytes: {before} records at first, {after} later", 1 << class);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Put(usize),
    /// Begun, and given up.
    Begin(usize),
    Get,
    Look,
}

/// In parts of a ring of that many bytes.
fn steps(ring: usize) -> impl Strategy<Value = Vec<Step>> {
    let brink =
        (1..9_usize, 0..64_usize).prop_map(move |(part, more)| (ring / part + more).saturating_sub(40));
    let len = prop_oneof![3 => 0..64_usize, 3 => 0..ring / 4, 2 => 0..ring / 2, 3 => brink, 1 => 0..5 * ring];
    let step = prop_oneof![
        6 => len.clone().prop_map(Step::Put),
        1 => len.prop_map(Step::Begin),
        5 => Just(Step::Get),
        1 => Just(Step::Look),
    ];
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_ring_does_what_a_deque_does_and_refuses_nothing_when_it_is_empty(steps in steps(4096)) {
        let (ring, mut model) = (ring(4096), VecDeque::new());
        for (number, step) in steps.iter().enumerate() {
            match *step {
                Step::Put(len) => {
                    let bytes: Vec<u8> = (0..len).map(|at| (at ^ number) as u8).collect();
                    if put_bytes(&ring, &bytes) {
                        model.push_back(bytes);
                    } else {
                        prop_assert!(!model.is_empty(), "{len} bytes are refused by an empty ring");
                    }
                }
                Step::Begin(len) => prop_assert!(Putting::new(&ring).begin(len, Patient::Not).unwrap() || !model.is_empty()),
                Step::Get => prop_assert_eq!(get(&ring), model.pop_front()),
                Step::Look => {
                    let mut getting = Getting::new(&ring);
                    let found = getting.begin(Patient::Not).unwrap().map(|bytes| bytes.to_vec());
                    prop_assert_eq!(found.as_ref(), model.front());
                }
            }
            prop_assert_eq!(ring.records(), model.len() as u64);
            prop_assert_eq!(ring.has_records(), !model.is_empty());
            let available = ring.available(u64::MAX);
            prop_assert!(available <= model.len() as u64);
            prop_assert!((0..=available).all(|most| ring.available(most) == most));
        }
    }
}
