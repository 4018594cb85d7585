//! Which texts there are, and who counts which.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

/// The texts that are part of the program.
pub(super) const CORPUS: [(&str, &str); 5] = [
    ("processes.txt", include_str!("../corpus/processes.txt")),
    ("locks.txt", include_str!("../corpus/locks.txt")),
    ("queues.txt", include_str!("../corpus/queues.txt")),
    ("pipes.txt", include_str!("../corpus/pipes.txt")),
    ("memory.txt", include_str!("../corpus/memory.txt")),
];

/// Something to count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Text {
    /// A text that is part of the program.
    BuiltIn(u32),
    /// The path of a file. Paths need not be UTF-8, for which serde's own form of a `PathBuf` has no place.
    File(OsString),
}

/// Something that was not counted, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Where.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
}

/// Why something was not counted, or not wholly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum What {
    /// It could not be opened or read to its end; the text says why. What was read before that is counted.
    Unreadable(String),
    /// It has a NUL among its first 8,192 bytes, and is not counted.
    Binary,
    /// Some of its bytes are not UTF-8. They stand between words; the others are counted.
    InvalidUtf8,
    /// A pipe, a socket or a device.
    NotAFile,
    /// A symbolic link to a directory that it lies in.
    Loop,
}

impl What {
    /// What it is called, without the details.
    pub fn heading(&self) -> &'static str {
        match self {
            What::Unreadable(_) => "unreadable",
            What::Binary => "binary, skipped",
            What::InvalidUtf8 => "not all UTF-8, counted in part",
            What::NotAFile => "not a file, skipped",
            What::Loop => "symbolic link to a directory above, skipped",
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if let What::Unreadable(why) = &self.what { write!(f, ": {why}") } else { Ok(()) }
    }
}

/// What there is to count.
#[derive(Debug, Default)]
pub struct Listing {
    pub(super) texts: Vec<Text>,
    /// In bytes, as far as is known; one for each text.
    sizes: Vec<u64>,
    pub(super) problems: Vec<Problem>,
}

/// Every file under `path`, or the texts that are part of the program. Symbolic links are followed; a file that is
/// reached in two ways is there twice.
///
/// # Errors
/// `path` itself cannot be looked at. What cannot be looked at below is among the problems.
pub fn list(path: Option<&Path>) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let Some(path) = path else {
        for (at, (_, text)) in (0..).zip(CORPUS) {
            listing.add(Text::BuiltIn(at), text.len() as u64);
        }
        return Ok(listing);
    };
    std::fs::metadata(path)?;
    for entry in WalkDir::new(path).follow_links(true) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) if entry.file_type().is_file() => {
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                listing.add(Text::File(entry.into_path().into()), size);
            }
            Ok(entry) => listing.problems.push(Problem { path: entry.into_path(), what: What::NotAFile }),
            Err(error) => {
                let path = error.path().unwrap_or(path).to_owned();
                let what = match error.loop_ancestor() {
                    Some(_) => What::Loop,
                    None => {
                        What::Unreadable(error.io_error().unwrap_or(&io::ErrorKind::Other.into()).to_string())
                    }
                };
                listing.problems.push(Problem { path, what });
            }
        }
    }
    Ok(listing)
}

/// What opening a file costs, in bytes that could be counted in that time.
const OPENING: u64 = 4096;

impl Listing {
    fn add(&mut self, text: Text, size: u64) {
        self.texts.push(text);
        self.sizes.push(size);
    }

    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Deals the texts to at most that many shares, of about the same size: the largest text first, each to the
    /// share that is smallest so far.
    pub(super) fn shares(&self, workers: usize) -> Vec<Vec<usize>> {
        let count = workers.min(self.texts.len()).max(1);
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_by_key(|&at| Reverse(self.sizes[at]));
        let mut smallest: BinaryHeap<_> = (0..count).map(|share| Reverse((0, share))).collect();
        let mut shares = vec![Vec::new(); count];
        for at in order {
            let Some(Reverse((size, share))) = smallest.pop() else { break };
            shares[share].push(at);
            smallest.push(Reverse((size + self.sizes[at] + OPENING, share)));
        }
        shares
    }
}
