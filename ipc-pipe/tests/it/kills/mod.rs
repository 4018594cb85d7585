//! Every operation of a pipe as a kill test: each with a survivor that checks the contract.

mod between;
mod bytes;
mod connect;
mod ends;
mod handles;
mod recovery;
mod values;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipc_core::{Blob, Segment};
use ipc_crash_test::Outcome;
use ipc_crash_test::case::{Case, Entry, RECOVERY, Walk};
use ipc_crash_test::scene::Scene;
use ipc_pipe::{Receiver, RecvTimeoutError, Sender, TryRecvError, one_way};

/// Within this time a survivor must receive and send what there is. The contract says 100 ms; a busy machine takes longer,
/// and the report counts those that did.
const SOON: Duration = Duration::from_secs(1);

/// Memory up to this size is kept when nothing is left.
const KEPT: u64 = 1 << 20;

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    warm_up();
    [
        values::CASES,
        bytes::CASES,
        handles::CASES,
        ends::CASES,
        connect::CASES,
        between::CASES,
        recovery::CASES,
    ]
    .into_iter()
    .flatten()
    .map(Case::new)
    .collect()
}

/// Does once, in the process that forks all others, what every process does once.
fn warm_up() {
    let (sender, receiver) = one_way::<Item>().unwrap();
    sender.send(item(1)).unwrap();
    receiver.recv().unwrap();
    assert!(receiver.recv_timeout(Duration::from_millis(1)).is_err());
    drop(receiver);
    assert!(sender.send((1, None)).is_err());
    connect::warm_up();
}

/// Both ends of a pipe.
struct Ends<T: ?Sized> {
    sender: Sender<T>,
    receiver: Receiver<T>,
}

impl<T: ?Sized> Ends<T> {
    fn new((sender, receiver): (Sender<T>, Receiver<T>)) -> Ends<T> {
        Ends { sender, receiver }
    }
}

/// A number, and maybe a blob with the same number in it.
type Item = (u64, Option<Blob>);

/// One with a blob.
fn item(number: u64) -> Item {
    (number, Some(Blob::new(&number.to_le_bytes()).unwrap()))
}

/// Numbers through a pipe, in one form or another.
trait Numbers {
    /// Sends it, within a moment.
    fn add(&self, number: u64);
    /// Receives one, within a moment.
    fn take(&self) -> Option<u64>;
    /// Finds nothing to receive.
    fn find_nothing(&self);
    fn memory(&self) -> u64;
    fn segment(&self) -> &Segment;
    /// Whether something shows at the descriptor.
    fn shows(&self) -> bool;
}

/// What is so for pipes of all kinds.
macro_rules! of_all {
    () => {
        fn memory(&self) -> u64 {
            self.receiver.incoming_stats().memory
        }

        fn segment(&self) -> &Segment {
            self.receiver.segment().unwrap()
        }

        fn shows(&self) -> bool {
            use rustix::event::{PollFd, PollFlags, Timespec, poll};
            let mut fds = [PollFd::new(&self.receiver, PollFlags::IN)];
            poll(&mut fds, Some(&Timespec::default())).unwrap() > 0
        }
    };
}

impl Numbers for Ends<Item> {
    fn add(&self, number: u64) {
        let sent = self.sender.send_timeout(item(number), SOON);
        sent.unwrap_or_else(|error| panic!("hang in send: {error}"));
    }

    fn take(&self) -> Option<u64> {
        match self.receiver.recv_timeout(SOON) {
            Ok((number, blob)) => {
                let same = blob.is_none_or(|blob| blob[..] == number.to_le_bytes());
                assert!(same, "torn message: {number} with the descriptor of another");
                Some(number)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn find_nothing(&self) {
        assert!(matches!(self.receiver.try_recv(), Err(TryRecvError::Empty)));
    }

    of_all!();
}

impl Numbers for Ends<[u8]> {
    fn add(&self, number: u64) {
        let sent = self.sender.send_bytes_timeout(&number.to_le_bytes(), SOON);
        sent.unwrap_or_else(|error| panic!("hang in send: {error}"));
    }

    fn take(&self) -> Option<u64> {
        match self.receiver.recv_bytes_timeout(SOON) {
            Ok(bytes) => {
                let number = number_of(&bytes);
                assert!(bytes[8..].iter().all(|&byte| byte == number as u8), "torn message {number}");
                Some(number)
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Closed) => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn find_nothing(&self) {
        assert!(matches!(self.receiver.try_recv_bytes(), Err(TryRecvError::Empty)));
    }

    of_all!();
}

/// The number in the first bytes of a message.
fn number_of(bytes: &[u8]) -> u64 {
    match bytes.first_chunk() {
        Some(number) => u64::from_le_bytes(*number),
        None => panic!("torn message of {} bytes", bytes.len()),
    }
}

/// What may be in a pipe after an operation that was killed, or after several.
struct Expected {
    /// What was there at first.
    before: Vec<u64>,
    /// What was sent, each if its sender came so far.
    sent: Vec<u64>,
    /// So many at most were received.
    received: usize,
}

impl Expected {
    fn new(before: impl IntoIterator<Item = u64>) -> Expected {
        Expected { before: before.into_iter().collect(), sent: Vec::new(), received: 0 }
    }

    fn sent(mut self, number: u64) -> Expected {
        self.sent.push(number);
        self
    }

    fn received(self, received: usize) -> Expected {
        Expected { received, ..self }
    }

    /// Empties the pipe and looks at what was in it; then it works as ever.
    fn check(&self, ends: &impl Numbers, outcome: Outcome) {
        self.check_after(Vec::new(), ends, outcome);
    }

    /// The same, when others have received something before.
    fn check_after(&self, mut found: Vec<u64>, ends: &impl Numbers, outcome: Outcome) {
        // It comes behind everything else.
        ends.add(LAST);
        found.extend(std::iter::from_fn(|| ends.take()).take_while(|&number| number != LAST));
        self.compare(&found, outcome == Outcome::Completed);
        works(ends);
    }

    fn compare(&self, found: &[u64], complete: bool) {
        let distinct: HashSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), found.len(), "duplicated messages: {found:?}");
        let old = found.iter().take_while(|number| self.before.contains(number)).count();
        let received = self.before.len() - old;
        assert!(
            received <= self.received && (received == self.received || !complete),
            "lost messages: {received} of those before: {found:?}"
        );
        assert_eq!(found[..old], self.before[received..], "wrong order");
        let mut rest = &found[old..];
        for number in &self.sent {
            match rest.split_first() {
                Some((first, others)) if first == number => rest = others,
                _ => assert!(!complete, "lost message: {number}: {found:?}"),
            }
        }
        assert!(rest.is_empty(), "wrong messages: {rest:?} of {found:?}");
    }
}

const LAST: u64 = 999;

/// An empty pipe can be used, nothing is left at its socket, and what memory it does not need is given back.
fn works(ends: &impl Numbers) {
    for number in 1000..1003 {
        ends.add(number);
        assert_eq!(ends.take(), Some(number), "lost message, or another in its place");
    }
    assert_eq!(ends.memory().count_ones(), 1, "leaked regions: {:#x}", ends.memory());
    age(ends);
    ends.find_nothing();
    assert!(ends.memory() <= KEPT, "memory kept: {:#x}", ends.memory());
    assert!(!ends.shows(), "leaked packets");
    ends.add(1003);
    assert!(ends.shows(), "a message that does not show");
    assert_eq!(ends.take(), Some(1003), "lost message");
}

/// Where it is written down when the ring has grown last.
const GROWN: u64 = 544;

/// The ring has grown a long time ago, so that its memory is given back when nothing is left in it.
fn age(ends: &impl Numbers) {
    let grown: &AtomicU32 = ends.segment().at(GROWN).unwrap();
    grown.fetch_sub(1000, Ordering::Relaxed);
}

/// This process takes part in the pipe before its steps are counted.
fn ready<T>(scene: &Scene<T>) -> &T
where
    T: Numbers,
{
    scene.lock.segment().me().unwrap();
    &scene.lock
}
