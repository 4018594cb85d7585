//! Producers and consumers, and the end of a queue.

use ipc_core::transfer::{self, Parcel};
use ipc_queue::{
    Consumer, GetError, GetTimeoutError, Producer, PutError, PutTimeoutError, Queue, TryGetError, TryPutError,
};
use rustix::process::Signal;

use crate::help::{
    LONG, SHORT, alone, descriptors, forever, fork, fork_and_stay, join, spawn, until, until_asleep,
};

fn queue() -> Queue<u32> {
    Queue::bounded(3).unwrap()
}

#[test]
fn consumers_end_when_the_last_producer_is_dropped_and_not_before() {
    let queue = queue();
    let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let (second, clone) = (queue.producer().unwrap(), producer.clone());
    producer.put(1).unwrap();
    drop(producer);
    assert_eq!(consumer.get().unwrap(), 1);
    assert!(matches!(consumer.try_get(), Err(TryGetError::Empty)));
    drop(clone);
    assert!(matches!(consumer.get_timeout(SHORT), Err(GetTimeoutError::Timeout)));
    second.put_all([2, 3]).unwrap();
    drop(second);
    assert_eq!(consumer.try_get().unwrap(), 2);
    assert_eq!(consumer.get_timeout(SHORT).unwrap(), 3);
    assert!(matches!(consumer.get(), Err(GetError::Closed)));
    assert!(consumer.get().unwrap_err().to_string().contains("nobody is left to put"));
    assert!(matches!(consumer.try_get(), Err(TryGetError::Closed)));
    assert!(matches!(consumer.get_timeout(LONG), Err(GetTimeoutError::Closed)));
    assert!(matches!(consumer.get_many(3), Err(GetError::Closed)));
    assert_eq!(consumer.iter().count(), 0);
}

#[test]
fn before_there_was_a_producer_there_is_no_end() {
    let queue = queue();
    let consumer = queue.consumer().unwrap();
    assert!(matches!(consumer.try_get(), Err(TryGetError::Empty)));
    assert!(matches!(consumer.get_timeout(SHORT), Err(GetTimeoutError::Timeout)));
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(consumer.iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2]));
        until_asleep("it waits", || queue.stats().waiting_to_get);
        let producer = queue.producer().unwrap();
        producer.put_all([1, 2]).unwrap();
    });
}

#[test]
fn after_the_end_another_producer_can_come() {
    let queue = queue();
    let consumer = queue.consumer().unwrap();
    for round in 0..3 {
        let producer = queue.producer().unwrap();
        producer.put(round).unwrap();
        drop(producer);
        let mut items = Vec::new();
        for item in &consumer {
            items.push(item.unwrap());
        }
        assert_eq!(items, [round]);
    }
}

/// The ends of a producer's process: each with a consumer that waits already.
#[test]
fn consumers_end_when_the_last_producer_exits_or_is_killed() {
    alone(|| {
        for how in ["exits", "is killed", "is a zombie", "is stopped first"] {
            let queue = queue();
            let consumer = queue.consumer().unwrap();
            let put = || {
                let producer = queue.producer().unwrap();
                producer.put(1).unwrap();
                std::mem::forget(producer);
            };
            let waiting = fork(|| {
                assert_eq!(consumer.get_timeout(LONG).unwrap(), 1);
                assert!(matches!(consumer.get_timeout(LONG), Err(GetTimeoutError::Closed)), "{how}");
            });
            if how == "exits" {
                fork(put).join();
                waiting.join();
            } else {
                let producer = fork_and_stay(put);
                until("it waits again", || queue.is_empty() && !queue.stats().waiting_to_get.is_empty());
                if how == "is stopped first" {
                    producer.stop();
                    assert!(
                        matches!(consumer.get_timeout(SHORT), Err(GetTimeoutError::Timeout)),
                        "stopped is not dead"
                    );
                }
                // Not reaped before all have seen it.
                producer.kill();
                waiting.join();
                assert!(matches!(consumer.get_timeout(LONG), Err(GetTimeoutError::Closed)), "{how}");
            }
        }
    });
}

#[test]
fn a_producer_on_the_way_counts_until_its_receiver_is_dead() {
    alone(|| {
        let queue = queue();
        let consumer = queue.consumer().unwrap();
        let (here, there) = transfer::channel().unwrap();
        let receiver = fork_and_stay(|| {
            let _ = &there;
        });
        drop(there);
        let producer = queue.producer().unwrap();
        let mut bytes = Vec::new();
        let pack = || {
            ipc_core::codec::encode(&producer, &mut bytes).unwrap();
            Ok::<_, ipc_core::Error>(bytes.clone())
        };
        Parcel::pack(pack).unwrap().send(&here).unwrap();
        drop(producer);
        assert!(matches!(consumer.get_timeout(SHORT), Err(GetTimeoutError::Timeout)), "it is on its way");
        receiver.kill();
        assert!(matches!(consumer.get_timeout(LONG), Err(GetTimeoutError::Closed)));
        drop(receiver);
    });
}

fn produce(producer: Producer<u32>, from: u32) {
    for number in from..from + 500 {
        producer.put(number).unwrap();
    }
}

fn consume(consumer: Consumer<u32>) -> Vec<u32> {
    consumer.into_iter().map(Result::unwrap).collect()
}

#[test]
fn handles_that_are_moved_into_children_end_with_them() {
    let queue = queue();
    let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let mut consumers = [consumer.clone(), consumer].map(|consumer| spawn(consume, (consumer,)));
    let mut producers = [(producer.clone(), 0), (producer, 500)].map(|args| spawn(produce, args));
    producers.iter_mut().for_each(join);
    let mut got = consumers.iter_mut().flat_map(join).collect::<Vec<_>>();
    got.sort_unstable();
    assert_eq!(got, (0..1000).collect::<Vec<_>>());
}

fn keep(producer: Producer<u32>) {
    producer.put(1).unwrap();
    forever();
}

#[test]
fn a_killed_child_with_the_last_producer_is_an_end() {
    let queue = queue();
    let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let child = spawn(keep, (producer,));
    assert_eq!(consumer.get_timeout(LONG).unwrap(), 1);
    assert!(matches!(consumer.get_timeout(SHORT), Err(GetTimeoutError::Timeout)));
    child.kill().unwrap();
    assert!(matches!(consumer.get_timeout(LONG), Err(GetTimeoutError::Closed)));
}

#[test]
fn producers_are_refused_when_the_last_consumer_is_dropped() {
    let queue = queue();
    let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    let clone = consumer.clone();
    producer.put(1).unwrap();
    drop(consumer);
    producer.put(2).unwrap();
    drop(clone);
    assert!(matches!(producer.put(3), Err(PutError::Closed(3))));
    assert!(matches!(producer.try_put(3), Err(TryPutError::Closed(3))));
    assert!(matches!(producer.put_timeout(3, LONG).unwrap_err().into_inner(), 3));
    assert!(matches!(producer.put_all([3, 4]), Err(PutError::Closed(rest)) if rest == [3, 4]));
    assert!(!queue.is_closed());
    // So the words do not say that it is.
    assert!(producer.put(3).unwrap_err().to_string().contains("nobody is left to get"));
    // The queue itself can do everything, as ever.
    queue.put(3).unwrap();
    // And another consumer gets all.
    let consumer = queue.consumer().unwrap();
    assert!(matches!(producer.try_put(4), Err(TryPutError::Full(4))));
    assert_eq!(consumer.get().unwrap(), 1);
    producer.put(4).unwrap();
    drop(producer);
    assert_eq!(consumer.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn before_there_was_a_consumer_producers_put() {
    let queue = queue();
    let producer = queue.producer().unwrap();
    producer.put(1).unwrap();
    assert_eq!(queue.len(), 1);
}

#[test]
fn a_blocked_producer_is_told_when_the_last_consumer_is_dropped() {
    let queue = queue();
    let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    producer.put_all([1, 2, 3]).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(matches!(producer.put(4), Err(PutError::Closed(4)))));
        until_asleep("it waits", || queue.stats().waiting_to_put);
        drop(consumer);
    });
    assert_eq!(queue.len(), 3);
}

#[test]
fn a_blocked_producer_is_told_when_the_last_consumer_is_killed() {
    alone(|| {
        for signal in [Signal::KILL, Signal::TERM] {
            let queue = queue();
            let producer = queue.producer().unwrap();
            queue.put_all([1, 2, 3]).unwrap();
            let holder = fork_and_stay(|| std::mem::forget(queue.consumer().unwrap()));
            let waiting = fork(|| {
                let refused = producer.put_timeout(4, LONG);
                assert!(matches!(refused, Err(PutTimeoutError::Closed(4))), "{refused:?}");
            });
            until_asleep("it waits", || queue.stats().waiting_to_put);
            holder.signal(signal);
            waiting.join();
            assert_eq!(queue.len(), 3);
        }
    });
}

#[test]
fn who_waits_among_many_leaves_the_descriptors_to_the_program() {
    alone(|| {
        let queue = queue();
        let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
        let others: Vec<_> = (0..50).map(|_| fork_and_stay(|| assert!(queue.try_get().is_err()))).collect();
        let before = descriptors();
        std::thread::scope(|scope| {
            let wait = || assert!(matches!(consumer.get_timeout(LONG), Err(GetTimeoutError::Closed)));
            let waiting: Vec<_> = (0..10).map(|_| scope.spawn(wait)).collect();
            // Long enough for all of them to have looked after the others.
            until("the others are not looked after", || descriptors() > before + 30);
            std::thread::sleep(SHORT * 10);
            assert!(descriptors() < before + 100, "{} more", descriptors() - before);
            // The children have copies of it.
            drop((producer, others));
            waiting.into_iter().for_each(|thread| thread.join().unwrap());
        });
    });
}

/// A producer that never waits notices a killed consumer, too.
#[test]
fn a_producer_with_room_is_told_soon() {
    alone(|| {
        let queue = Queue::unbounded().unwrap();
        let producer = queue.producer().unwrap();
        let consumer = fork_and_stay(|| std::mem::forget(queue.consumer().unwrap()));
        producer.put(1).unwrap();
        consumer.kill();
        until("it is told", || matches!(producer.try_put(2), Err(TryPutError::Closed(2))));
        assert!(matches!(producer.put(2), Err(PutError::Closed(2))));
    });
}

#[test]
fn bytes_have_producers_and_consumers_too() {
    let queue = Queue::<[u8]>::bounded(3).unwrap();
    let (producer, consumer) = (queue.producer().unwrap(), queue.consumer().unwrap());
    producer.put_bytes(b"one").unwrap();
    let mut room = producer.reserve(3).unwrap();
    room.write_at(0, b"two");
    room.commit();
    drop(producer);
    assert_eq!(consumer.get_bytes().unwrap(), b"one");
    assert_eq!(consumer.get_bytes().unwrap(), b"two");
    assert!(matches!(consumer.get_bytes(), Err(GetError::Closed)));
    drop(consumer);
    assert!(matches!(queue.producer().unwrap().put_bytes(b"x"), Err(PutError::Closed(()))));
}

/// Handles of another queue, or without their hold, are no handles.
#[test]
fn a_forged_producer_is_refused() {
    let (one, other) = (queue(), queue());
    let hold = other.segment().hold(0).unwrap();
    let mut bytes = Vec::new();
    let parcel = Parcel::pack(|| {
        ipc_core::codec::encode(&(one.segment(), Some(&hold)), &mut bytes).unwrap();
        Ok::<_, ipc_core::Error>(bytes.clone())
    });
    let received = parcel.unwrap().unpack(ipc_core::codec::decode_all::<Producer<u32>>);
    assert!(received.is_err());
    let none: Option<&ipc_core::Hold> = None;
    let mut bytes = Vec::new();
    let parcel = Parcel::pack(|| {
        ipc_core::codec::encode(&(one.segment(), none), &mut bytes).unwrap();
        Ok::<_, ipc_core::Error>(bytes.clone())
    });
    assert!(parcel.unwrap().unpack(ipc_core::codec::decode_all::<Consumer<u32>>).is_err());
}
