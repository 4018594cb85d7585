//! What the fuzzers do with their input: here, so that the tests can do the same with what was found.
//!
//! An input is a list of words written into the shared memory of an object, or of packets sent through its socket, with
//! operations in between. Whatever is written or sent there, nothing may crash, and whatever has a deadline has to come back.

mod handshake;
mod joinable;
mod pipe;
mod queue;
mod shared;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;
use ipc_core::Segment;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

pub use handshake::handshake;
pub use joinable::joinable;
pub use pipe::pipe;
pub use queue::queue;
pub use shared::shared;

/// What a deadline in the operations leaves them.
const MOMENT: Duration = Duration::from_micros(50);

/// No input takes that long.
const LIMIT: Duration = Duration::from_secs(10);

/// Not even garbage makes an object take more memory than this.
const MEMORY: u64 = 16 << 20;

/// One of the words that an object begins with, and what is written there.
#[derive(Arbitrary, Debug, Clone, Copy)]
struct Write {
    word: u16,
    value: Value,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Value {
    Any(u64),
    Small(u8),
    /// A power of two: where a region begins.
    Power(u8),
    /// What is there, with some bits changed.
    Changed(u16, u8),
    /// What is at another place.
    Copied(u16),
}

impl Write {
    /// Writes the word at that position, among the first `words` of the segment.
    fn write(self, segment: &Segment, words: u64) {
        let at =
            |word: u16| segment.at::<AtomicU64>(u64::from(word) % words * 8).expect("within the segment");
        let word = at(self.word);
        let value = match self.value {
            Value::Any(value) => value,
            Value::Small(value) => value.into(),
            Value::Power(bit) => 1 << (bit % 64),
            Value::Changed(bits, shift) => {
                word.load(Ordering::Relaxed) ^ u64::from(bits).rotate_left(shift.into())
            }
            Value::Copied(from) => at(from).load(Ordering::Relaxed),
        };
        word.store(value, Ordering::Relaxed);
    }
}

/// Runs one input.
fn limited(run: impl FnOnce()) {
    let old = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: Some(MEMORY), ..old }).expect("less is always allowed");
    let begin = Instant::now();
    run();
    assert!(begin.elapsed() < LIMIT, "took {:?}", begin.elapsed());
    setrlimit(Resource::Fsize, old).expect("as it was");
}
