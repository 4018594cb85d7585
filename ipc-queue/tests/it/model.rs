//! Random sequences of operations, beside a `VecDeque` that does the same.

use std::collections::VecDeque;

use ipc_queue::{Queue, TryGetError, TryPutError};
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Put(usize),
    PutAll(Vec<usize>),
    Reserve { len: usize, commit: bool },
    Get,
    GetInPlace,
    GetMany(usize),
    Drain,
    Close,
}

fn len() -> impl Strategy<Value = usize> {
    // Those of the second kind take about half of a region, or just fit one.
    let brink = (11..18_u32, 0..48_usize).prop_map(|(class, less)| (1 << class) - less);
    prop_oneof![4 => 0..64_usize, 2 => brink, 3 => 0..5_000_usize, 1 => 0..200_000_usize]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => len().prop_map(Step::Put),
        3 => prop::collection::vec(len(), 0..20).prop_map(Step::PutAll),
        3 => (len(), any::<bool>()).prop_map(|(len, commit)| Step::Reserve { len, commit }),
        7 => Just(Step::Get),
        2 => Just(Step::GetInPlace),
        2 => (0..20_usize).prop_map(Step::GetMany),
        1 => Just(Step::Drain),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    (prop::collection::vec(step(), 1..120), any::<bool>()).prop_map(|(mut steps, close)| {
        if close {
            steps.insert(steps.len() * 3 / 4, Step::Close);
        }
        steps
    })
}

/// What an item of that number and length is made of.
fn item(number: usize, len: usize) -> Vec<u8> {
    (0..len).map(|index| (number.wrapping_mul(31) ^ index) as u8).collect()
}

/// A queue of bytes, which it has two handles of, and what must be in it.
struct Pair {
    handles: [Queue<[u8]>; 2],
    model: VecDeque<Vec<u8>>,
    capacity: usize,
    closed: bool,
    count: usize,
}

impl Pair {
    fn next(&mut self, len: usize) -> Vec<u8> {
        self.count += 1;
        item(self.count, len)
    }

    fn put(&mut self, len: usize, by: impl FnOnce(&Queue<[u8]>, &[u8]) -> Result<(), TryPutError<()>>) {
        let item = self.next(len);
        let put = by(&self.handles[self.count % 2], &item);
        match put {
            _ if self.closed => assert!(matches!(put, Err(TryPutError::Closed(())))),
            _ if self.model.len() == self.capacity => assert!(matches!(put, Err(TryPutError::Full(())))),
            _ => {
                put.unwrap();
                self.model.push_back(item);
            }
        }
    }

    fn get(&mut self, by: impl FnOnce(&Queue<[u8]>) -> Result<Vec<u8>, TryGetError>) {
        match (by(&self.handles[self.model.len() % 2]), self.model.pop_front()) {
            (Ok(found), Some(expected)) => assert!(found == expected, "another item"),
            (Err(TryGetError::Closed), None) => assert!(self.closed),
            (Err(TryGetError::Empty), None) => assert!(!self.closed),
            (found, expected) => {
                panic!("{:?} for {:?}", found.map(|item| item.len()), expected.map(|item| item.len()))
            }
        }
    }

    fn run(&mut self, step: &Step) {
        match step {
            Step::Put(len) => self.put(*len, |queue, item| queue.try_put_bytes(item)),
            Step::Reserve { len, commit: true } => self.put(*len, |queue, item| {
                let mut room = queue.try_reserve(item.len())?;
                room.write_at(0, item);
                room.commit();
                Ok(())
            }),
            Step::Reserve { len, commit: false } => drop(self.handles[0].try_reserve(*len)),
            Step::PutAll(lens) if !self.closed => {
                let room = self.capacity - self.model.len();
                let items: Vec<_> = lens.iter().take(room).map(|len| self.next(*len)).collect();
                self.handles[0].put_all_bytes(&items).unwrap();
                self.model.extend(items);
            }
            Step::PutAll(_) => {}
            Step::Get => self.get(Queue::try_get_bytes),
            Step::GetInPlace => self.get(|queue| queue.try_get_bytes_with(|bytes| bytes.to_vec())),
            Step::GetMany(max) if !self.model.is_empty() => {
                let mut found = Vec::new();
                let count = self.handles[1].get_many_bytes(*max, |bytes| found.push(bytes.to_vec())).unwrap();
                assert_eq!((count, found.len()), (self.model.len().min(*max), count));
                assert!(found.into_iter().eq(self.model.drain(..count)), "other items");
            }
            Step::GetMany(_) => {}
            Step::Drain => (0..=self.model.len()).for_each(|_| self.get(Queue::try_get_bytes)),
            Step::Close => {
                self.handles[0].close();
                self.closed = true;
            }
        }
        let state = |queue: &Queue<[u8]>| (queue.len(), queue.is_empty(), queue.is_full(), queue.is_closed());
        let len = self.model.len();
        assert_eq!(state(&self.handles[0]), (len, len == 0, len == self.capacity, self.closed));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_queue_does_what_a_deque_does(bound in prop::option::of(1..40_usize), steps in steps()) {
        let queue = bound.map_or_else(Queue::<[u8]>::unbounded, Queue::bounded).unwrap();
        let handles = [queue.clone(), queue];
        let capacity = bound.unwrap_or(usize::MAX);
        let mut pair = Pair { handles, model: VecDeque::new(), capacity, closed: false, count: 0 };
        steps.iter().for_each(|step| pair.run(step));
        (0..=pair.model.len()).for_each(|_| pair.get(Queue::try_get_bytes));
    }
}
