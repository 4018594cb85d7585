//! Put and get in all their forms, on values.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use ipc_queue::{GetError, GetTimeoutError, PutError, PutTimeoutError, Queue, TryGetError, TryPutError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::help::{LONG, SHORT, alone, fork, join, past, spawn, unique, until_asleep};

#[test]
fn items_come_out_in_the_order_in_which_they_went_in() {
    for queue in [Queue::unbounded().unwrap(), Queue::bounded(1000).unwrap()] {
        (0..1000).for_each(|number: u32| queue.put(number).unwrap());
        assert_eq!((queue.len(), queue.is_empty()), (1000, false));
        (0..1000).for_each(|number| assert_eq!(queue.get().unwrap(), number));
        assert_eq!((queue.len(), queue.is_empty(), queue.is_full()), (0, true, false));
    }
}

#[test]
fn a_full_queue_hands_the_value_back() {
    let queue = Queue::bounded(2).unwrap();
    assert_eq!(queue.capacity(), Some(2));
    queue.put("one".to_string()).unwrap();
    assert!(!queue.is_full());
    queue.try_put("two".to_string()).unwrap();
    assert!(queue.is_full());
    let value = || "three".to_string();
    assert!(matches!(queue.try_put(value()), Err(TryPutError::Full(three)) if three == value()));
    assert!(
        matches!(queue.put_timeout(value(), SHORT), Err(PutTimeoutError::Timeout(three)) if three == value())
    );
    let late = queue.put_deadline(value(), Instant::now() + SHORT);
    assert!(matches!(late, Err(PutTimeoutError::Timeout(three)) if three == value()));
    assert_eq!(queue.put_timeout(value(), SHORT).unwrap_err().into_inner(), value());
    assert_eq!(queue.len(), 2);
    queue.get().unwrap();
    queue.put_timeout(value(), LONG).unwrap();
    assert_eq!([queue.get().unwrap(), queue.get().unwrap()], ["two", "three"]);
}

#[test]
fn an_empty_queue_says_so_and_a_deadline_passes() {
    let queue = Queue::<u32>::unbounded().unwrap();
    assert_eq!(queue.capacity(), None);
    assert!(matches!(queue.try_get(), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_timeout(SHORT), Err(GetTimeoutError::Timeout)));
    assert!(matches!(queue.get_deadline(Instant::now() + SHORT), Err(GetTimeoutError::Timeout)));
}

/// What can be done at once is done, however late it is.
#[test]
fn a_deadline_in_the_past_is_a_try_and_one_without_end_waits() {
    let queue = Queue::bounded(1).unwrap();
    assert!(matches!(queue.get_deadline(past()), Err(GetTimeoutError::Timeout)));
    queue.put_deadline(1, past()).unwrap();
    assert!(matches!(queue.put_deadline(2, past()), Err(PutTimeoutError::Timeout(2))));
    assert!(matches!(queue.put_timeout(2, Duration::ZERO), Err(PutTimeoutError::Timeout(2))));
    assert_eq!(queue.get_deadline(past()).unwrap(), 1);
    assert!(matches!(queue.get_timeout(Duration::ZERO), Err(GetTimeoutError::Timeout)));
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(queue.get_timeout(Duration::MAX).unwrap(), 3));
        until_asleep("it waits", || queue.stats().waiting_to_get);
        queue.put_timeout(3, Duration::MAX).unwrap();
    });
}

#[test]
fn a_queue_for_nothing_is_refused() {
    let error = Queue::<u32>::bounded(0).unwrap_err();
    assert!(error.to_string().contains("capacity") && error.to_string().contains("queue"), "{error}");
    let name = unique("nothing");
    let error = Queue::<u32>::create_bounded(&name, 0).unwrap_err();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn a_closed_queue_gives_what_is_left_and_takes_no_more() {
    let queue = Queue::bounded(3).unwrap();
    queue.put_all([1, 2]).unwrap();
    assert!(!queue.is_closed());
    queue.close();
    queue.close();
    assert!(queue.is_closed());
    assert!(matches!(queue.put(3), Err(PutError::Closed(3))));
    assert!(matches!(queue.try_put(3), Err(TryPutError::Closed(3))));
    assert!(matches!(queue.put_timeout(3, SHORT), Err(PutTimeoutError::Closed(3))));
    assert!(matches!(queue.put_all([3, 4]), Err(PutError::Closed(rest)) if rest == [3, 4]));
    assert_eq!(queue.get().unwrap(), 1);
    assert_eq!(queue.try_get().unwrap(), 2);
    assert!(matches!(queue.get(), Err(GetError::Closed)));
    assert!(matches!(queue.try_get(), Err(TryGetError::Closed)));
    assert!(matches!(queue.get_timeout(SHORT), Err(GetTimeoutError::Closed)));
    assert!(matches!(queue.get_many(7), Err(GetError::Closed)));
    assert_eq!(queue.iter().count(), 0);
}

#[test]
fn closing_wakes_all_who_wait_on_both_sides() {
    alone(|| {
        let (full, empty) = (Queue::bounded(1).unwrap(), Queue::<u32>::bounded(1).unwrap());
        full.put(1).unwrap();
        let putters = [(); 2].map(|()| fork(|| assert!(matches!(full.put(2), Err(PutError::Closed(2))))));
        let getters = [(); 2].map(|()| fork(|| assert!(matches!(empty.get(), Err(GetError::Closed)))));
        crate::help::until("all wait", || {
            full.stats().waiting_to_put.len() == 2 && empty.stats().waiting_to_get.len() == 2
        });
        full.close();
        empty.close();
        putters.into_iter().chain(getters).for_each(|child| child.join());
        assert_eq!(full.iter().map(Result::unwrap).collect::<Vec<_>>(), [1]);
    });
}

#[test]
fn batches_keep_the_order_and_wait_for_room() {
    let queue = Queue::bounded(3).unwrap();
    queue.put_all(std::iter::empty::<u32>()).unwrap();
    assert!(queue.is_empty());
    std::thread::scope(|scope| {
        scope.spawn(|| queue.put_all(0..5000).unwrap());
        let mut next = 0;
        while next < 5000 {
            for number in queue.get_many(7).unwrap() {
                assert_eq!(number.unwrap(), next);
                next += 1;
            }
        }
    });
    queue.put_all([1, 2, 3]).unwrap();
    assert_eq!(queue.get_many(2).unwrap().len(), 2);
    assert_eq!(queue.get_many(usize::MAX).unwrap().len(), 1);
}

#[test]
fn a_batch_of_none_is_got_at_once() {
    let queue = Queue::bounded(3).unwrap();
    assert!(queue.get_many(0).unwrap().is_empty());
    queue.put(1_u32).unwrap();
    assert!(queue.get_many(0).unwrap().is_empty());
    assert_eq!(queue.len(), 1);
    let bytes = Queue::<[u8]>::bounded(3).unwrap();
    bytes.put_bytes(b"one").unwrap();
    assert_eq!(bytes.get_many_bytes(0, |_| panic!("there is nothing to look at")).unwrap(), 0);
    assert_eq!(bytes.len(), 1);
}

#[test]
fn a_closed_queue_hands_back_what_of_a_batch_was_not_put() {
    let queue = Queue::bounded(2).unwrap();
    std::thread::scope(|scope| {
        let putter = scope.spawn(|| queue.put_all(0..5).unwrap_err());
        until_asleep("it waits", || queue.stats().waiting_to_put);
        queue.close();
        assert_eq!(putter.join().unwrap().into_inner(), [2, 3, 4]);
    });
    assert_eq!(queue.get_many(9).unwrap().into_iter().map(Result::unwrap).collect::<Vec<_>>(), [0, 1]);
}

/// Refuses to be written at 13, and to be read at 17.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Fussy(u32);

impl Serialize for Fussy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == 13 { Err(serde::ser::Error::custom("not 13")) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for Fussy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fussy, D::Error> {
        match u32::deserialize(deserializer)? {
            17 => Err(serde::de::Error::custom("not 17")),
            number => Ok(Fussy(number)),
        }
    }
}

#[test]
fn a_value_that_cannot_be_encoded_is_handed_back_and_not_put() {
    let queue = Queue::bounded(9).unwrap();
    match queue.put(Fussy(13)) {
        Err(PutError::Fault(Fussy(13), error)) => assert!(error.to_string().contains("not 13"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(queue.try_put(Fussy(13)), Err(TryPutError::Fault(Fussy(13), _))));
    assert!(queue.is_empty());
    // In a batch, what comes before it is put.
    match queue.put_all([11, 12, 13, 14].map(Fussy)) {
        Err(PutError::Fault(rest, _)) => {
            assert_eq!(rest, [Fussy(13)], "14 was not taken out of the iterator")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        queue.get_many(9).unwrap().into_iter().map(Result::unwrap).collect::<Vec<_>>(),
        [Fussy(11), Fussy(12)]
    );
    queue.put(Fussy(1)).unwrap();
    assert_eq!(queue.get().unwrap(), Fussy(1));
}

#[test]
fn an_item_that_cannot_be_decoded_is_one_error_and_the_next_is_fine() {
    let queue = Queue::unbounded().unwrap();
    queue.put_all([16, 17, 18, 17, 19].map(Fussy)).unwrap();
    assert_eq!(queue.get().unwrap(), Fussy(16));
    match queue.get() {
        Err(GetError::Fault(error)) => assert!(error.to_string().contains("decode"), "{error}"),
        other => panic!("{other:?}"),
    }
    let rest: Vec<_> = queue.get_many(9).unwrap().into_iter().map(Result::ok).collect();
    assert_eq!(rest, [Some(Fussy(18)), None, Some(Fussy(19))]);
    queue.put_all([17, 18].map(Fussy)).unwrap();
    queue.close();
    assert_eq!(queue.iter().map(|item| item.is_ok()).collect::<Vec<_>>(), [false, true]);
}

#[test]
fn a_handle_within_an_item_is_a_clear_error() {
    let queue = Queue::unbounded().unwrap();
    let inner = Queue::<u32>::unbounded().unwrap();
    match queue.put(inner) {
        Err(PutError::Fault(_, error)) => {
            assert!(
                error.to_string().contains("item of unnamed queue: cannot serialise a handle"),
                "{error}"
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(queue.is_empty());
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Nothing,
    Circle { centre: (f64, f64), radius: f32 },
    Group(Vec<Shape>, Option<Box<Shape>>),
}

#[test]
fn all_kinds_of_values_arrive_as_they_were() {
    fn travels<T: Serialize + serde::de::DeserializeOwned + Clone + PartialEq + std::fmt::Debug>(
        values: &[T],
    ) {
        let queue = Queue::unbounded().unwrap();
        queue.put_all(values.to_vec()).unwrap();
        for value in values {
            assert_eq!(queue.get().unwrap(), *value);
        }
    }
    travels(&[(), ()]);
    travels(&["", "a", "ä€😀"].map(str::to_owned));
    travels(&["".into(), "boxed".into()] as &[Box<str>]);
    travels(&[f64::MIN_POSITIVE, -0.0, f64::INFINITY, 1e300]);
    travels(&[u128::MAX, 0]);
    travels(&[BTreeMap::from([("one".to_owned(), vec![1_u8]), ("none".to_owned(), vec![])])]);
    travels(&[HashMap::from([(1_i64, Some('x')), (-1, None)])]);
    let circle = Shape::Circle { centre: (0.5, -1.5), radius: 3.25 };
    travels(&[Shape::Nothing, Shape::Group(vec![circle.clone(), Shape::Nothing], Some(Box::new(circle)))]);
    let queue = Queue::unbounded().unwrap();
    queue.put(f32::NAN).unwrap();
    assert!(queue.get().unwrap().is_nan());
}

#[test]
fn a_queue_of_another_type_version_or_kind_is_refused_by_name() {
    let name = unique("typed");
    let queue = Queue::<u32>::create_bounded(&name, 3).unwrap();
    let error = Queue::<String>::open(&name).unwrap_err().to_string();
    assert!(error.contains("u32") && error.contains("String"), "{error}");
    assert!(Queue::<u32>::open(&name).is_ok());
    drop(queue);
    assert!(Queue::<u32>::open(&name).unwrap_err().is_not_found());

    let other =
        |spec: ipc_core::Spec<'_>| ipc_core::Segment::create(&name, &spec.len(8192), |_| Ok(())).unwrap();
    let kind = other(ipc_core::Spec::new("pile", 1).type_name("u32"));
    let error = Queue::<u32>::open(&name).unwrap_err().to_string();
    assert!(error.contains("pile") && error.contains("queue"), "{error}");
    drop(kind);
    let version = other(ipc_core::Spec::new("queue", 4711).type_name("u32"));
    let error = Queue::<u32>::open(&name).unwrap_err().to_string();
    assert!(error.contains("4711"), "{error}");
    drop(version);
}

#[test]
fn a_name_is_shared_and_taken_once() {
    let name = unique("shared");
    let queue = Queue::<u32>::create_unbounded(&name).unwrap();
    assert!(Queue::<u32>::create_bounded(&name, 3).is_err());
    let other = Queue::<u32>::open(&name).unwrap();
    other.put(5).unwrap();
    assert_eq!(queue.get().unwrap(), 5);
}

#[test]
fn thousands_of_queues_live_in_one_process() {
    alone(|| {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        let most = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
        rustix::process::setrlimit(rustix::process::Resource::Nofile, most).unwrap();
        let count = if limit.maximum.is_none_or(|most| most > 4100) { 4000 } else { 400 };
        let queues: Vec<_> = (0..count).map(|_| Queue::bounded(4).unwrap()).collect();
        queues.iter().zip(0_u32..).for_each(|(queue, number)| queue.put(number).unwrap());
        queues.iter().zip(0..).for_each(|(queue, number)| assert_eq!(queue.get().unwrap(), number));
    });
}

fn produce(queue: Queue<(u32, u32)>, me: u32, count: u32) {
    for number in 0..count {
        queue.put((me, number)).unwrap();
    }
}

fn consume(queue: Queue<(u32, u32)>) -> Vec<(u32, u32)> {
    queue.iter().map(Result::unwrap).collect()
}

#[test]
fn of_many_processes_each_item_goes_to_one_and_each_producer_keeps_its_order() {
    const COUNT: u32 = 3000;
    for capacity in [3, 1000] {
        let queue = Queue::bounded(capacity).unwrap();
        let mut consumers: Vec<_> = (0..3).map(|_| spawn(consume, (queue.clone(),))).collect();
        let mut producers: Vec<_> = (0..3).map(|me| spawn(produce, (queue.clone(), me, COUNT))).collect();
        // Threads of this process, too.
        std::thread::scope(|scope| {
            (3..5).for_each(|me| {
                _ = scope.spawn({
                    let queue = queue.clone();
                    move || produce(queue, me, COUNT)
                })
            });
        });
        producers.iter_mut().for_each(join);
        queue.close();
        let got: Vec<_> = consumers.iter_mut().map(join).collect();
        let mut all: Vec<_> = got.concat();
        for of_one in &got {
            for me in 0..5 {
                let numbers: Vec<u32> =
                    of_one.iter().filter(|item| item.0 == me).map(|item| item.1).collect();
                assert!(numbers.is_sorted());
            }
        }
        all.sort_unstable();
        let expected: Vec<_> = (0..5).flat_map(|me| (0..COUNT).map(move |number| (me, number))).collect();
        assert_eq!(all, expected);
    }
}

#[test]
fn a_batch_is_waited_for_as_long_as_one_is_told_to() {
    let queue = Queue::<u32>::bounded(3).unwrap();
    assert!(matches!(queue.try_get_many(5), Err(TryGetError::Empty)));
    assert!(matches!(queue.get_many_timeout(5, SHORT), Err(GetTimeoutError::Timeout)));
    queue.put_all([1, 2, 3]).unwrap();
    let numbers = |batch: Vec<Result<u32, _>>| batch.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(numbers(queue.try_get_many(2).unwrap()), [1, 2]);
    assert_eq!(numbers(queue.get_many_timeout(2, LONG).unwrap()), [3]);
    queue.close();
    assert!(matches!(queue.try_get_many(5), Err(TryGetError::Closed)));
    assert!(matches!(queue.get_many_timeout(5, LONG), Err(GetTimeoutError::Closed)));
}

#[test]
fn a_queue_of_nearly_endless_capacity_is_one() {
    for capacity in [usize::MAX, usize::MAX - 1, usize::MAX - 2] {
        let queue = Queue::<[u8]>::bounded(capacity).unwrap();
        (0..3000).for_each(|_| queue.try_put_bytes(&[0; 100]).unwrap());
    }
}
