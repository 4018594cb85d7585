//! Every verb, what it refuses, and what it hands back.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use ipc_core::Cause;
use ipc_queue::{
    GetError, GetTimeoutError, JoinableQueue, PutError, PutTimeoutError, Queue, TryGetError, TryPutError,
};
use serde::{Deserialize, Serialize, Serializer};

use crate::help::{LONG, SHORT, past, unique};

#[test]
fn items_come_out_in_the_order_in_which_they_were_put() {
    let queue = JoinableQueue::unbounded().unwrap();
    (0..1000).for_each(|number| queue.put(number).unwrap());
    for number in 0..1000 {
        let job = queue.get().unwrap();
        assert_eq!((*job, job.deliveries()), (number, 1));
        job.done().unwrap();
    }
    assert_eq!(queue.unfinished(), 0);
}

#[test]
fn every_verb_puts_and_gets() {
    let queue = JoinableQueue::bounded(8).unwrap();
    queue.put(1).unwrap();
    queue.try_put(2).unwrap();
    queue.put_timeout(3, LONG).unwrap();
    queue.put_deadline(4, Instant::now() + LONG).unwrap();
    queue.put_all([5, 6]).unwrap();
    let jobs = [
        queue.get().unwrap(),
        queue.try_get().unwrap(),
        queue.get_timeout(LONG).unwrap(),
        queue.get_deadline(Instant::now() + LONG).unwrap(),
        queue.get().unwrap(),
        queue.get().unwrap(),
    ];
    assert_eq!(jobs.each_ref().map(|job| **job), [1, 2, 3, 4, 5, 6]);
    jobs.into_iter().for_each(|job| job.done().unwrap());
    assert!(queue.join_timeout(LONG).unwrap());
}

#[test]
fn a_full_queue_hands_the_value_back() {
    let queue = JoinableQueue::bounded(2).unwrap();
    queue.put_all(["a".to_owned(), "b".to_owned()]).unwrap();
    assert!(queue.is_full());
    let value = "c".to_owned();
    let refused = queue.try_put(value).unwrap_err();
    assert!(matches!(refused, TryPutError::Full(_)));
    let refused = queue.put_timeout(refused.into_inner(), SHORT).unwrap_err();
    assert!(matches!(refused, PutTimeoutError::Timeout(_)));
    let refused = queue.put_deadline(refused.into_inner(), past()).unwrap_err();
    assert!(matches!(refused, PutTimeoutError::Timeout(_)));
    assert_eq!(refused.into_inner(), "c");
    // The room of what was got is free, done or not.
    let job = queue.get().unwrap();
    assert!(!queue.is_full());
    queue.try_put("c".to_owned()).unwrap();
    // What comes back has its place.
    drop(job);
    assert_eq!(queue.len(), 3);
    assert!(queue.is_full());
    assert_eq!(*queue.get().unwrap(), "a");
}

#[test]
fn an_empty_queue_says_so() {
    let queue = JoinableQueue::<u64>::bounded(2).unwrap();
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_timeout(SHORT), Err(GetTimeoutError::Timeout)));
    assert!(matches!(queue.get_deadline(past()), Err(GetTimeoutError::Timeout)));
    assert!(queue.is_empty());
}

#[test]
fn sizes_are_exact() {
    let queue = JoinableQueue::bounded(3).unwrap();
    assert_eq!((queue.capacity(), queue.len(), queue.unfinished()), (Some(3), 0, 0));
    queue.put_all([1, 2, 3]).unwrap();
    assert_eq!((queue.len(), queue.unfinished(), queue.is_full()), (3, 3, true));
    let job = queue.get().unwrap();
    assert_eq!((queue.len(), queue.unfinished(), queue.is_full()), (2, 3, false));
    let stats = queue.stats();
    assert_eq!((stats.items, stats.jobs, stats.rejected), (2, 1, 0));
    assert_eq!((stats.workers[0].0.pid, stats.workers[0].1), (std::process::id(), 1));
    job.done().unwrap();
    assert_eq!((queue.len(), queue.unfinished()), (2, 2));
    assert!(queue.stats().workers.is_empty());
    assert_eq!(JoinableQueue::<u64>::unbounded().unwrap().capacity(), None);
    assert!(format!("{queue:?}").contains("unfinished: 2"), "{queue:?}");
}

#[test]
fn a_capacity_of_0_is_an_error() {
    for error in [
        JoinableQueue::<u64>::bounded(0).unwrap_err(),
        JoinableQueue::<u64>::create_bounded(&unique("zero"), 0).unwrap_err(),
    ] {
        assert_eq!(error.os().map(io::Error::kind), Some(io::ErrorKind::InvalidInput), "{error}");
        assert!(error.to_string().ends_with("a capacity is 1 or more"), "{error}");
    }
}

#[test]
fn after_close_puts_are_refused_and_gets_come_to_the_end() {
    let queue = JoinableQueue::bounded(2).unwrap();
    queue.put_all([1, 2]).unwrap();
    queue.close().unwrap();
    assert!(queue.is_closed());
    assert!(matches!(queue.put(3), Err(PutError::Closed(3))));
    assert!(matches!(queue.try_put(3), Err(TryPutError::Closed(3))));
    assert!(matches!(queue.put_timeout(3, LONG), Err(PutTimeoutError::Closed(3))));
    assert!(matches!(queue.put_all([3, 4]), Err(PutError::Closed(rest)) if rest == [3, 4]));
    let mut jobs = Vec::new();
    for job in queue.iter() {
        let job = job.unwrap();
        jobs.push(*job);
        job.done().unwrap();
    }
    assert_eq!(jobs, [1, 2]);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
    assert!(matches!(queue.get_timeout(LONG), Err(GetTimeoutError::Closed)));
    queue.close().unwrap();
}

#[test]
fn the_end_does_not_come_while_a_job_may_come_back() {
    let queue = JoinableQueue::unbounded().unwrap();
    queue.put(1).unwrap();
    queue.close().unwrap();
    let job = queue.get().unwrap();
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_timeout(SHORT), Err(GetTimeoutError::Timeout)));
    drop(job);
    queue.get().unwrap().done().unwrap();
    assert!(matches!(queue.get(), Err(GetError::Closed)));
}

/// Refuses to be encoded, or to be decoded.
#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "u64")]
struct Picky(u64);

const UNWRITABLE: u64 = 1;
const UNREADABLE: u64 = 2;

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            UNWRITABLE => Err(serde::ser::Error::custom("not this one")),
            number => serializer.serialize_u64(number),
        }
    }
}

impl TryFrom<u64> for Picky {
    type Error = &'static str;

    fn try_from(number: u64) -> Result<Picky, &'static str> {
        if number == UNREADABLE { Err("not that one") } else { Ok(Picky(number)) }
    }
}

#[test]
fn a_value_that_cannot_be_encoded_is_handed_back_and_nothing_is_put() {
    let queue = JoinableQueue::unbounded().unwrap();
    let Err(PutError::Fault(value, error)) = queue.put(Picky(UNWRITABLE)) else { panic!("it was put") };
    assert_eq!(value, Picky(UNWRITABLE));
    assert!(error.to_string().contains("not this one"), "{error}");
    assert_eq!(queue.unfinished(), 0);
    // Of several, those before it are put, and it and the rest of its part are handed back.
    let refused = queue.put_all([Picky(7), Picky(UNWRITABLE), Picky(8)]).unwrap_err();
    assert_eq!(refused.into_inner(), [Picky(UNWRITABLE)]);
    assert_eq!(*queue.get().unwrap(), Picky(7));
}

#[test]
fn an_item_that_cannot_be_decoded_is_one_error_and_is_rejected_at_once() {
    let queue = JoinableQueue::unbounded().unwrap();
    queue.put_all([Picky(UNREADABLE), Picky(8)]).unwrap();
    let error = queue.get().unwrap_err();
    assert!(error.to_string().contains("decode"), "{error}");
    assert_eq!((queue.len(), queue.unfinished(), queue.stats().rejected), (1, 1, 1));
    let job = queue.get().unwrap();
    assert_eq!(*job, Picky(8));
    job.done().unwrap();
    queue.join().unwrap();
    let rejected = queue.rejected().unwrap();
    assert!(rejected.len() == 1 && rejected[0].value.is_err());
    assert_eq!((rejected[0].bytes.as_slice(), rejected[0].deliveries), (&[UNREADABLE as u8][..], 1));
    assert_eq!(queue.take_rejected().unwrap().len(), 1);
    assert!(queue.take_rejected().unwrap().is_empty());
    assert_eq!(queue.stats().rejected, 0);
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
enum Shape {
    Nothing,
    Text(String),
    Numbers { list: Vec<f64>, map: BTreeMap<String, Option<i32>> },
    Nested(Box<Shape>),
}

#[test]
fn values_of_any_shape_and_size_arrive_equal() {
    let queue = JoinableQueue::unbounded().unwrap();
    let map = BTreeMap::from([("a".to_owned(), Some(-1)), ("".to_owned(), None)]);
    let shapes = [
        Shape::Nothing,
        Shape::Text("ü".repeat(3_000_000)),
        Shape::Numbers { list: vec![0.1, f64::MAX, -0.0], map },
        Shape::Nested(Box::new(Shape::Text(String::new()))),
    ];
    queue.put_all(shapes.clone()).unwrap();
    for shape in shapes {
        let (value, receipt) = queue.get().unwrap().into_parts();
        assert_eq!(value, shape);
        receipt.done().unwrap();
    }
    let empty = JoinableQueue::unbounded().unwrap();
    empty.put(()).unwrap();
    empty.get().unwrap().done().unwrap();
}

#[test]
fn a_job_can_be_changed_and_comes_back_as_it_was_put() {
    let queue = JoinableQueue::unbounded().unwrap();
    queue.put(vec![1]).unwrap();
    let mut job = queue.get().unwrap();
    job.push(2);
    assert_eq!(job.value(), &[1, 2]);
    drop(job);
    assert_eq!(*queue.get().unwrap(), [1]);
}

#[test]
fn a_name_leads_to_the_queue_and_its_type_is_checked() {
    let name = unique("named");
    let queue = JoinableQueue::<u64>::create_bounded(&name, 4).unwrap();
    let other = JoinableQueue::<u64>::open(&name).unwrap();
    other.put(7).unwrap();
    assert_eq!(*queue.get().unwrap(), 7);
    assert_eq!(other.capacity(), Some(4));
    let of = |error: ipc_core::Error| match error.cause() {
        Cause::Mismatch { property, .. } => *property,
        _ => panic!("{error}"),
    };
    assert_eq!(of(JoinableQueue::<u32>::open(&name).unwrap_err()), "type");
    assert_eq!(of(Queue::<u64>::open(&name).unwrap_err()), "kind");
    let taken = JoinableQueue::<u64>::create_unbounded(&name).unwrap_err();
    assert!(matches!(taken.cause(), Cause::NameTaken), "{taken}");
    drop((queue, other));
    assert!(JoinableQueue::<u64>::open(&name).unwrap_err().is_not_found());
}

#[test]
fn a_limit_of_deliveries_is_seen_by_all_handles() {
    let queue = JoinableQueue::<u64>::unbounded().unwrap();
    let other = queue.clone();
    assert_eq!(other.max_deliveries(), None);
    let queue = queue.with_max_deliveries(3);
    assert_eq!((queue.max_deliveries(), other.max_deliveries()), (Some(3), Some(3)));
    assert_eq!(queue.with_max_deliveries(0).max_deliveries(), Some(1));
}
