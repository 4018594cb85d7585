//! The main job: count the words of every text file under a directory, in several processes.
//!
//! A *walker*, a process, goes through the directory and puts parts of the work into a queue, which ends by itself when
//! the walker does. The workers of a pool count one part at a time and write what came of it into a shared dictionary,
//! under the part's number. The parent takes it from there and merges.
//!
//! A worker may be killed at any moment. Its part is counted again then. If it had written already, the same is written
//! again in the same place: a part counts once, however often it was begun.

mod chaos;
mod files;
mod part;
mod walker;
mod words;

use std::cell::RefCell;
use std::collections::HashMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use indicatif::{ProgressBar, ProgressStyle};
use ipc_pool::{Insights, TaskError};
use ipc_queue::{Consumer, GetError, Queue};
use ipc_shared::Dict;

pub use files::{Listing, Problem, Text, What, list};
pub use words::count_words;

use chaos::kill_workers;
use part::{Part, Piece, Tally, count_pieces};
use walker::Message;
use words::Words;

/// How often a part is begun before the parent counts it itself.
const ATTEMPTS: u32 = 1000;

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

/// How it was counted.
#[derive(Debug)]
pub struct Report {
    /// How many parts the work had.
    pub parts: u64,
    /// Workers that were killed on purpose.
    pub killed: usize,
    /// What the pool says of its workers, at the end.
    pub insights: Insights,
    /// Parts that the workers did not get done, and why. The parent has counted them.
    pub failures: Vec<TaskError>,
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
}

/// A count to be.
#[derive(Default)]
struct Sum {
    words: Words,
    count: Count,
}

impl Sum {
    fn add(&mut self, tally: Tally) {
        for (word, count) in tally.words() {
            words::add(&mut self.words, word, count);
        }
        self.count.files += tally.files;
        self.count.bytes += tally.bytes;
        let problems = tally.problems.into_iter();
        self.count.problems.extend(problems.map(|(path, what)| Problem { path: path.into(), what }));
    }

    fn finish(mut self) -> Count {
        self.count.words = words::sorted(self.words);
        self.count.problems.sort();
        // Each piece of a large text may have the same.
        self.count.problems.dedup();
        self.count
    }
}

/// Some of the texts.
#[derive(Debug)]
pub struct Chunk(Vec<Piece>);

/// What was counted in a chunk.
#[derive(Debug)]
pub struct Counted(Tally);

impl Chunk {
    /// Counts its words.
    pub fn count(&self) -> Counted {
        Counted(count_pieces(&self.0))
    }
}

/// Counts in this process, in chunks of so many texts, which `count` sees to: in threads, for one.
pub fn count_chunks(
    listing: &Listing,
    texts: usize,
    count: impl FnOnce(Vec<Chunk>) -> Vec<Counted>,
) -> Count {
    let chunk = |texts: &[Text]| Chunk(texts.iter().cloned().map(Piece::whole).collect());
    let mut sum = Sum::default();
    sum.count.problems.clone_from(&listing.problems);
    let counted = count(listing.texts.chunks(texts).map(chunk).collect());
    counted.into_iter().for_each(|Counted(tally)| sum.add(tally));
    sum.finish()
}

/// Counts in this process, in this thread.
pub fn count_serially(listing: &Listing) -> Count {
    count_chunks(listing, listing.len().max(1), |chunks| chunks.iter().map(Chunk::count).collect())
}

/// What came of each part, by its number. In a worker.
static RESULTS: OnceLock<Dict<u64, Tally>> = OnceLock::new();

fn open_results(results: Dict<u64, Tally>) {
    let _ = RESULTS.set(results);
}

/// Counts a part, in a worker; its number.
fn count_part(part: Part) -> Result<u64, String> {
    let results = RESULTS.get().ok_or("the worker has no results")?;
    results.insert(part.number, count_pieces(&part.pieces)).map_err(|error| error.to_string())?;
    Ok(part.number)
}

/// What is counted, and how.
#[derive(Debug, Clone)]
pub struct Job {
    /// A directory or a file; without it, the texts that are part of the program.
    pub path: Option<PathBuf>,
    /// How many processes count.
    pub workers: usize,
    /// How many workers are killed meanwhile.
    pub chaos: usize,
    /// What the workers are called, with a number behind it.
    pub name: String,
    /// Whether to show on the terminal how far it is.
    pub progress: bool,
}

impl Job {
    /// Counts what is under that path.
    pub fn new(path: Option<&Path>, workers: usize) -> Job {
        Job { path: path.map(Path::to_owned), workers, chaos: 0, name: "counter".to_owned(), progress: false }
    }

    /// Does it.
    ///
    /// # Errors
    /// There is nothing at the path; the walker was killed; no process can be started, or there is no memory left.
    pub fn run(&self) -> Result<(Count, Report), Box<dyn Error>> {
        let results = Dict::new()?;
        let pool = ipc_pool::Builder::new()
            .workers(self.workers)
            .name(&self.name)
            .initializer(open_results, (results.clone(),))
            .retries(ATTEMPTS)
            .build()?;
        let queue = Queue::bounded(16)?;
        let (producer, parts) = (queue.producer()?, queue.consumer()?);
        let mut walker = walker::start(self.path.as_deref(), producer)?;
        let bar = self.bar();
        let (over, chaos) = mpsc::channel();

        let (mut sum, mut failures) = (Sum::default(), Vec::new());
        let progress = RefCell::new(Progress::default());
        let mut feed = Feed {
            messages: parts,
            progress: &progress,
            bar: &bar,
            is_chaos: self.chaos > 0,
            held: None,
            chaos,
        };
        let (killed, insights) = thread::scope(|scope| -> Result<_, Box<dyn Error>> {
            let killer = scope.spawn(|| kill_workers(&pool, self.chaos, over));
            let parts = pool.each(count_part, &mut feed).chunk_size(1).imap_unordered();
            let parts = parts.map_err(|refused| refused.refusal().to_string())?;
            for done in parts {
                match done {
                    Ok(Ok(number)) => {
                        let tally = results.remove(&number)?.ok_or("a part that was done has no result")?;
                        let part = progress.borrow_mut().pending.remove(&number);
                        bar.inc(part.map_or(0, |part| part.bytes));
                        sum.add(tally);
                    }
                    Ok(Err(message)) => return Err(message.into()),
                    Err(error) => failures.push(error),
                }
            }
            let killed = killer.join().map_err(|_| "the killer panicked")?;
            Ok((killed, pool.insights()))
        })?;
        walker.join()??;
        let Progress { parts, pending, problems, fault } = progress.into_inner();
        fault.map_or(Ok(()), Err)?;
        for part in pending.into_values() {
            sum.add(count_pieces(&part.pieces));
        }
        bar.finish_and_clear();
        pool.close();
        pool.join()?;
        sum.count.problems.extend(problems);
        Ok((sum.finish(), Report { parts, killed, insights, failures }))
    }

    fn bar(&self) -> ProgressBar {
        if !self.progress {
            return ProgressBar::hidden();
        }
        let style =
            ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {elapsed}");
        ProgressBar::new(0).with_style(style.expect("a template that is right"))
    }
}

/// How far it is.
#[derive(Default)]
struct Progress {
    /// Parts that were given to the workers.
    parts: u64,
    /// Those of them that are not done.
    pending: HashMap<u64, Part>,
    problems: Vec<Problem>,
    /// Why there are no more.
    fault: Option<GetError>,
}

/// What the walker has found, as work for the pool.
struct Feed<'a> {
    messages: Consumer<Message>,
    progress: &'a RefCell<Progress>,
    bar: &'a ProgressBar,
    is_chaos: bool,
    /// The first part, which comes last, so that the work is not done before all are killed who shall be.
    held: Option<Part>,
    /// Ends then.
    chaos: Receiver<()>,
}

impl Iterator for Feed<'_> {
    type Item = Part;

    fn next(&mut self) -> Option<Part> {
        let mut progress = self.progress.borrow_mut();
        let part = loop {
            match self.messages.get() {
                Ok(Message::Problem(path, what)) => {
                    progress.problems.push(Problem { path: path.into(), what });
                }
                Ok(Message::Part(part)) if self.is_chaos => {
                    self.is_chaos = false;
                    self.held = Some(part);
                }
                Ok(Message::Part(part)) => break part,
                Err(error) => {
                    progress.fault = Some(error).filter(|error| !matches!(error, GetError::Closed));
                    let part = self.held.take()?;
                    let _ = self.chaos.recv();
                    break part;
                }
            }
        };
        progress.parts += 1;
        progress.pending.insert(part.number, part.clone());
        self.bar.inc_length(part.bytes);
        Some(part)
    }
}
