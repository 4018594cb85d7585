//! The main job: count the words of every text file under a directory, in several processes.
//!
//! The files are listed, dealt to the workers in shares of about the same size, counted there, and the counts come
//! back as what the workers return. The parent merges them.
//!
//! A worker may be killed at any moment. Its share is counted again then, by a new worker, and in the end by the
//! parent itself: deaths cost time, and never a word.

mod files;
mod share;
mod words;

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ipc_process::{Builder, Child};

pub use files::{Listing, Problem, Text, What, list};
pub use share::Tally;
pub use words::count_words;

use share::count_share;

/// How often a share is given to a worker before the parent counts it itself.
const ATTEMPTS: u32 = 3;

/// What was counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Every word with its number, in the order of the words' bytes.
    pub words: Vec<(String, u64)>,
    /// Files that were counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What could not be counted, or only in part, by path.
    pub problems: Vec<Problem>,
}

/// What befell the workers meanwhile.
#[derive(Debug, Default)]
pub struct Deaths {
    /// How each of them ended, or why it could not be started.
    pub messages: Vec<String>,
}

impl Count {
    /// All words together.
    pub fn total(&self) -> u64 {
        self.words.iter().map(|(_, count)| count).sum()
    }

    /// The most frequent words, the first in the alphabet first among equals.
    pub fn top(&self, n: usize) -> Vec<&(String, u64)> {
        let mut words: Vec<_> = self.words.iter().collect();
        let order = |a: &&(String, u64), b: &&(String, u64)| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0));
        if n < words.len() {
            words.select_nth_unstable_by(n, order);
            words.truncate(n);
        }
        words.sort_unstable_by(order);
        words
    }

    /// Adds what was counted of `share`.
    fn add(&mut self, tally: Tally, listing: &Listing, share: &[usize]) {
        self.words.extend(tally.words);
        self.files += tally.files;
        self.bytes += tally.bytes;
        self.problems.extend(tally.problems.into_iter().filter_map(|(at, what)| {
            let text = listing.texts.get(*share.get(at as usize)?)?;
            Some(Problem { path: text.path(), what })
        }));
    }

    /// Makes one of what was added.
    fn merge(&mut self) {
        // Each tally is sorted already, which this sort makes use of.
        self.words.sort_by(|a, b| a.0.cmp(&b.0));
        self.words.dedup_by(|next, first| {
            let same = next.0 == first.0;
            if same {
                first.1 += next.1;
            }
            same
        });
        self.problems.sort();
    }
}

/// Counts in this process.
pub fn count_serially(listing: &Listing) -> Count {
    let mut count = Count { problems: listing.problems.clone(), ..Count::default() };
    let share: Vec<usize> = (0..listing.texts.len()).collect();
    count.add(count_share(texts(listing, &share)), listing, &share);
    count.merge();
    count
}

/// Counts in that many processes.
pub fn count(listing: &Listing, workers: usize) -> (Count, Deaths) {
    count_named(listing, workers, "counter")
}

/// Counts in that many processes, which are called `NAME-1` and so on.
pub fn count_named(listing: &Listing, workers: usize, name: &str) -> (Count, Deaths) {
    let mut count = Count { problems: listing.problems.clone(), ..Count::default() };
    let mut deaths = Deaths::default();
    let shares = listing.shares(workers);
    let start = |at: usize| start(&format!("{name}-{}", at + 1), texts(listing, &shares[at]));
    let mut running: VecDeque<_> = (0..shares.len()).map(|at| (at, 1, start(at))).collect();
    while let Some((at, attempt, worker)) = running.pop_front() {
        let tally = match worker.and_then(|mut worker| worker.join().map_err(|error| error.to_string())) {
            Ok(tally) => tally,
            Err(message) => {
                deaths.messages.push(message);
                if attempt < ATTEMPTS {
                    running.push_back((at, attempt + 1, start(at)));
                    continue;
                }
                count_share(texts(listing, &shares[at]))
            }
        };
        count.add(tally, listing, &shares[at]);
    }
    count.merge();
    (count, deaths)
}

/// A daemon: when this process is killed, its workers end too.
fn start(name: &str, texts: Vec<Text>) -> Result<Child<Tally>, String> {
    let builder = Builder::new().name(name).daemon(true);
    builder.spawn(count_share, (texts,)).map_err(|error| error.to_string())
}

fn texts(listing: &Listing, share: &[usize]) -> Vec<Text> {
    share.iter().map(|&at| listing.texts[at].clone()).collect()
}

impl Text {
    /// Where it lies; a built-in text has a name in place of a path.
    pub fn path(&self) -> PathBuf {
        match self {
            Text::BuiltIn(at) => {
                Path::new("built-in").join(files::CORPUS[*at as usize % files::CORPUS.len()].0)
            }
            Text::File(path) => PathBuf::from(OsString::clone(path)),
        }
    }
}
