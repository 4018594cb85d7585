//! Any sequence of operations by one process, against a model.

use std::collections::BTreeMap;

use ipc_queue::{Job, JoinableQueue, TryGetError, TryPutError};
use proptest::prelude::*;
use proptest::test_runner::{Config, FileFailurePersistence};

const CAPACITY: usize = 20;
const MOST: u32 = 3;

#[derive(Debug, Clone)]
enum Op {
    /// With so much ballast.
    Put(usize),
    PutAll(usize),
    Get,
    /// The job at that place, of those that are out.
    Done(usize),
    Drop(usize),
    TakeRejected,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (0..6000_usize).prop_map(Op::Put),
        // About half of a region, or just what fits one.
        1 => (12..17_u32, 0..80_usize).prop_map(|(class, less)| Op::Put((1 << class) - less)),
        1 => (1..8_usize).prop_map(Op::PutAll),
        4 => Just(Op::Get),
        3 => any::<prop::sample::Index>().prop_map(|at| Op::Done(at.index(1000))),
        2 => any::<prop::sample::Index>().prop_map(|at| Op::Drop(at.index(1000))),
        1 => Just(Op::TakeRejected),
    ]
}

type Item = (u64, String);

/// What there must be: by number, how often each was handed out.
#[derive(Default)]
struct Model {
    next: u64,
    ready: BTreeMap<u64, u32>,
    out: Vec<(u64, Job<Item>)>,
    rejected: BTreeMap<u64, u32>,
}

impl Model {
    fn put(&mut self, queue: &JoinableQueue<Item>, ballast: usize) {
        let put = queue.try_put((self.next, "x".repeat(ballast)));
        if self.ready.len() < CAPACITY {
            put.unwrap();
            self.ready.insert(self.next, 0);
            self.next += 1;
        } else {
            assert!(matches!(put, Err(TryPutError::Full((number, _))) if number == self.next));
        }
    }

    fn put_all(&mut self, queue: &JoinableQueue<Item>, count: usize) {
        // More than that would wait.
        let count = count.min(CAPACITY.saturating_sub(self.ready.len())) as u64;
        let numbers = self.next..self.next + count;
        queue.put_all(numbers.clone().map(|number| (number, String::new()))).unwrap();
        self.ready.extend(numbers.map(|number| (number, 0)));
        self.next += count;
    }

    /// The first, which is one that came back, if there is any.
    fn get(&mut self, queue: &JoinableQueue<Item>) {
        match (queue.try_get(), self.ready.pop_first()) {
            (Ok(job), Some((number, deliveries))) => {
                assert_eq!((job.0, job.deliveries()), (number, deliveries + 1));
                self.out.push((number, job));
            }
            (Err(TryGetError::Empty), None) => {}
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    fn done(&mut self, at: usize) {
        if !self.out.is_empty() {
            let (_, job) = self.out.swap_remove(at % self.out.len());
            job.done().unwrap();
        }
    }

    fn drop(&mut self, at: usize) {
        if !self.out.is_empty() {
            let (number, job) = self.out.swap_remove(at % self.out.len());
            let list = if job.deliveries() == MOST { &mut self.rejected } else { &mut self.ready };
            list.insert(number, job.deliveries());
        }
    }

    fn take_rejected(&mut self, queue: &JoinableQueue<Item>) {
        let taken = queue.take_rejected().unwrap().into_iter();
        let taken: Vec<_> = taken.map(|one| (one.value.unwrap().0, one.deliveries)).collect();
        assert_eq!(taken, std::mem::take(&mut self.rejected).into_iter().collect::<Vec<_>>());
    }

    fn check(&self, queue: &JoinableQueue<Item>) {
        assert_eq!(queue.len(), self.ready.len());
        assert_eq!(queue.is_full(), self.ready.len() >= CAPACITY);
        assert_eq!(queue.unfinished(), self.ready.len() + self.out.len());
        let stats = queue.stats();
        assert_eq!((stats.jobs, stats.rejected), (self.out.len(), self.rejected.len()));
        assert_eq!(stats.workers.iter().map(|(_, jobs)| *jobs as usize).sum::<usize>(), self.out.len());
    }
}

proptest! {
    #![proptest_config(Config {
        cases: 200,
        failure_persistence: Some(Box::new(FileFailurePersistence::Off)),
        ..Config::default()
    })]

    #[test]
    fn any_sequence_of_operations_does_what_a_model_does(ops in prop::collection::vec(op(), 1..300)) {
        let queue = JoinableQueue::bounded(CAPACITY).unwrap().with_max_deliveries(MOST);
        let mut model = Model::default();
        for op in ops {
            match op {
                Op::Put(ballast) => model.put(&queue, ballast),
                Op::PutAll(count) => model.put_all(&queue, count),
                Op::Get => model.get(&queue),
                Op::Done(at) => model.done(at),
                Op::Drop(at) => model.drop(at),
                Op::TakeRejected => model.take_rejected(&queue),
            }
            model.check(&queue);
        }
        // What is left is there, in order.
        model.out.clear();
        let left: Vec<u64> = std::iter::from_fn(|| queue.try_get().ok().map(|job| (job.0, job.done().unwrap()).0)).collect();
        prop_assert!(left.is_sorted());
        prop_assert!(queue.join_timeout(crate::help::LONG).unwrap());
    }
}
