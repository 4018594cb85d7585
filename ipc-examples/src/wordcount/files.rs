//! Which texts there are.

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

/// What a walk comes across.
#[derive(Debug)]
pub(super) enum Found {
    /// A text, and how many bytes it has, as far as is known.
    Text(Text, u64),
    Problem(Problem),
}

/// Goes through every file under `path`, or the texts that are part of the program, until `see` has seen enough. Symbolic
/// links are followed; a file that is reached in two ways is there twice. What cannot be looked at is a problem.
pub(super) fn walk(path: Option<&Path>, mut see: impl FnMut(Found) -> bool) {
    let Some(path) = path else {
        let _ =
            (0..).zip(CORPUS).all(|(at, (_, text))| see(Found::Text(Text::BuiltIn(at), text.len() as u64)));
        return;
    };
    for entry in WalkDir::new(path).follow_links(true) {
        let problem = match entry {
            Ok(entry) if entry.file_type().is_dir() => continue,
            Ok(entry) if entry.file_type().is_file() => {
                let size = entry.metadata().map_or(0, |metadata| metadata.len());
                if !see(Found::Text(Text::File(entry.into_path().into()), size)) {
                    return;
                }
                continue;
            }
            Ok(entry) => Problem { path: entry.into_path(), what: What::NotAFile },
            Err(error) => {
                let path = error.path().unwrap_or(path).to_owned();
                let what = match error.loop_ancestor() {
                    Some(_) => What::Loop,
                    None => {
                        What::Unreadable(error.io_error().unwrap_or(&io::ErrorKind::Other.into()).to_string())
                    }
                };
                Problem { path, what }
            }
        };
        if !see(Found::Problem(problem)) {
            return;
        }
    }
}

/// What there is to count.
#[derive(Debug, Default)]
pub struct Listing {
    pub(super) texts: Vec<Text>,
    pub(super) problems: Vec<Problem>,
}

/// Every file under `path`, or the texts that are part of the program.
///
/// # Errors
/// `path` itself cannot be looked at. What cannot be looked at below is among the problems.
pub fn list(path: Option<&Path>) -> io::Result<Listing> {
    path.map_or(Ok(()), |path| std::fs::metadata(path).map(drop))?;
    let mut listing = Listing::default();
    walk(path, |found| {
        match found {
            Found::Text(text, _) => listing.texts.push(text),
            Found::Problem(problem) => listing.problems.push(problem),
        }
        true
    });
    Ok(listing)
}

impl Listing {
    /// How many texts there are.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }
}

impl Text {
    /// Where it lies; a built-in text has a name in place of a path.
    pub fn path(&self) -> PathBuf {
        match self {
            Text::BuiltIn(at) => Path::new("built-in").join(CORPUS[*at as usize % CORPUS.len()].0),
            Text::File(path) => PathBuf::from(OsString::clone(path)),
        }
    }
}
