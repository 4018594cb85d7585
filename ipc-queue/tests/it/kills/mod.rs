//! Every operation of a queue as a kill test: each with a survivor that checks the contract.

mod bytes;
mod ends;
mod memory;
mod recovery;
mod values;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipc_core::Segment;
use ipc_crash_test::Outcome;
use ipc_crash_test::case::{Case, Entry, RECOVERY, Walk};
use ipc_crash_test::scene::Scene;
use ipc_queue::{GetTimeoutError, Queue, TryGetError};

/// Within this time a survivor must get and put what there is. The contract says 100 ms; a busy machine takes longer,
/// and the report counts those that did.
const SOON: Duration = Duration::from_secs(1);

/// Regions up to this size are kept when they are empty.
const KEPT: u64 = 1 << 20;

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    warm_up();
    [values::CASES, bytes::CASES, memory::CASES, ends::CASES, recovery::CASES]
        .into_iter()
        .flatten()
        .map(Case::new)
        .collect()
}

/// Does once, in the process that forks all others, what every process does once.
fn warm_up() {
    let name = format!("warm-up-{}", std::process::id());
    let queue = Queue::create_bounded(&name, 1).unwrap();
    queue.put(1_u64).unwrap();
    assert!(queue.put_timeout(2, Duration::from_millis(1)).is_err());
    queue.get().unwrap();
    assert!(queue.get_timeout(Duration::from_millis(1)).is_err());
}

/// A queue of numbers, in one form or another.
trait Numbers {
    /// Puts it, within a moment.
    fn add(&self, number: u64);
    /// Gets one, within a moment.
    fn take(&self) -> Option<u64>;
    /// Finds nothing to get.
    fn find_nothing(&self);
    fn len(&self) -> usize;
    fn memory(&self) -> u64;
    fn segment(&self) -> &Segment;
}

impl Numbers for Queue<u64> {
    fn add(&self, number: u64) {
        self.put_timeout(number, SOON).unwrap_or_else(|error| panic!("hang in put: {error}"));
    }

    fn take(&self) -> Option<u64> {
        match self.get_timeout(SOON) {
            Ok(number) => Some(number),
            Err(GetTimeoutError::Timeout | GetTimeoutError::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn find_nothing(&self) {
        assert!(matches!(self.try_get(), Err(TryGetError::Empty)));
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn memory(&self) -> u64 {
        self.stats().memory
    }

    fn segment(&self) -> &Segment {
        self.segment()
    }
}

impl Numbers for Queue<[u8]> {
    fn add(&self, number: u64) {
        let put = self.put_bytes_timeout(&number.to_le_bytes(), SOON);
        put.unwrap_or_else(|error| panic!("hang in put: {error}"));
    }

    fn take(&self) -> Option<u64> {
        match self.get_bytes_timeout(SOON) {
            Ok(bytes) => Some(number_of(&bytes)),
            Err(GetTimeoutError::Timeout | GetTimeoutError::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn find_nothing(&self) {
        assert!(matches!(self.try_get_bytes(), Err(TryGetError::Empty)));
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn memory(&self) -> u64 {
        self.stats().memory
    }

    fn segment(&self) -> &Segment {
        self.segment()
    }
}

/// The number in the first bytes of an item.
fn number_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(number) => u64::from_le_bytes(*number),
        None => panic!("lost item: {} bytes in its place", bytes.len()),
    }
}

/// What may be in a queue after an operation that was killed, or after several.
struct Expected {
    /// What was there at first.
    before: Vec<u64>,
    /// What was put: of each of these some first ones, or all.
    put: Vec<Vec<u64>>,
    /// So many at most were got.
    got: usize,
}

impl Expected {
    fn new(before: impl IntoIterator<Item = u64>) -> Expected {
        Expected { before: before.into_iter().collect(), put: Vec::new(), got: 0 }
    }

    fn put(mut self, numbers: impl IntoIterator<Item = u64>) -> Expected {
        self.put.push(numbers.into_iter().collect());
        self
    }

    fn got(self, got: usize) -> Expected {
        Expected { got, ..self }
    }

    /// Empties the queue and looks at what was in it; then it works as ever.
    fn check(&self, queue: &impl Numbers, outcome: Outcome) {
        self.check_after(Vec::new(), queue, outcome);
    }

    /// The same, when others have got something before.
    fn check_after(&self, mut found: Vec<u64>, queue: &impl Numbers, outcome: Outcome) {
        let len = queue.len();
        let there: Vec<u64> = (0..len).map_while(|_| queue.take()).collect();
        assert_eq!((there.len(), queue.len()), (len, 0), "wrong length: {there:?}");
        found.extend(there);
        self.compare(&found, outcome == Outcome::Completed);
        works(queue);
    }

    fn compare(&self, found: &[u64], complete: bool) {
        let distinct: HashSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), found.len(), "duplicated items: {found:?}");
        let old = found.iter().take_while(|number| self.before.contains(number)).count();
        let got = self.before.len() - old;
        assert!(
            got <= self.got && (got == self.got || !complete),
            "lost items: {got} of those before: {found:?}"
        );
        assert_eq!(found[..old], self.before[got..], "wrong order");
        let mut rest = &found[old..];
        for group in &self.put {
            let same = group.iter().zip(rest).take_while(|(one, other)| one == other).count();
            assert!(same == group.len() || !complete, "lost items: {same} of {group:?}: {found:?}");
            rest = &rest[same..];
        }
        assert!(rest.is_empty(), "wrong items: {rest:?} of {found:?}");
    }
}

/// An empty queue can be used, and what it does not need is given back.
fn works(queue: &impl Numbers) {
    for number in 1000..1003 {
        queue.add(number);
        assert_eq!(queue.len(), 1, "wrong length");
        assert_eq!(queue.take(), Some(number), "lost item, or another in its place");
    }
    assert_eq!(queue.memory().count_ones(), 1, "leaked regions: {:#x}", queue.memory());
    trim(queue);
    assert!(queue.memory() <= KEPT, "memory kept: {:#x}", queue.memory());
}

/// Has the memory of an empty queue given back.
fn trim(queue: &impl Numbers) {
    age(queue);
    queue.find_nothing();
}

/// Where it is written down when the queue has grown last.
const GROWN: u64 = 544;

/// The queue has grown a long time ago, so that its memory is given back when nothing is left in it.
fn age(queue: &impl Numbers) {
    let grown: &AtomicU32 = queue.segment().at(GROWN).unwrap();
    grown.fetch_sub(1000, Ordering::Relaxed);
}

/// This process takes part in the queue before its steps are counted.
fn ready<Q: Numbers>(scene: &Scene<Q>) -> &Q {
    scene.lock.segment().me().unwrap();
    &scene.lock
}
