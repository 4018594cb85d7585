//! What a worker does: read the files of its share and count.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::files::{CORPUS, Text, What};
use super::words::{self, Words};

/// What a worker returns.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Every word with its number, in the order of the words' bytes, so that tallies are merged quickly.
    pub words: Vec<(String, u64)>,
    /// Files that were counted.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Problems, by the number of the text in the share.
    pub problems: Vec<(u32, What)>,
}

/// Counts the words of these texts.
pub(super) fn count_share(texts: Vec<Text>) -> Tally {
    let mut tally = Tally::default();
    let mut counter = Counter::default();
    for (at, text) in (0..).zip(&texts) {
        let counted = match text {
            Text::BuiltIn(at) => CORPUS
                .get(*at as usize)
                .map_or(Err(What::Unreadable("not built in".to_owned())), |(_, text)| {
                    counter.count(text.as_bytes())
                }),
            Text::File(path) => open(path).and_then(|file| counter.count(file)),
        };
        match counted {
            Ok(counted) => {
                tally.files += 1;
                tally.bytes += counted.bytes;
                tally.problems.extend(counted.what.map(|what| (at, what)));
            }
            Err(what) => tally.problems.push((at, what)),
        }
    }
    tally.words = words::sorted(counter.words);
    tally
}

/// Opens what was a file when it was listed. If it has become a pipe, opening it must not wait for a writer.
fn open(path: &OsStr) -> Result<File, What> {
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_file() { Ok(file) } else { Err(What::NotAFile) }
}

fn unreadable(error: io::Error) -> What {
    What::Unreadable(error.to_string())
}

/// So many bytes at the start of a file tell whether it is text.
const SNIFF: usize = 8 * 1024;
/// So many bytes are read at once.
const CHUNK: usize = 256 * 1024;

#[derive(Default)]
struct Counter {
    words: Words,
    buffer: Vec<u8>,
}

struct Counted {
    bytes: u64,
    what: Option<What>,
}

impl Counter {
    /// Counts a file, a part at a time, so that its size does not matter. Only a single word has to fit into memory.
    fn count(&mut self, mut file: impl Read) -> Result<Counted, What> {
        let mut counted = Counted { bytes: 0, what: None };
        self.buffer.resize(CHUNK, 0);
        // The buffer's first `filled` bytes are read and not counted.
        let mut filled = 0;
        loop {
            let end = match fill(&mut file, &mut self.buffer, &mut filled) {
                Ok(end) => end,
                // Not a byte of it was read: nothing was counted.
                Err(error) if counted.bytes == 0 && filled == 0 => return Err(unreadable(error)),
                Err(error) => {
                    counted.what = Some(unreadable(error));
                    true
                }
            };
            if counted.bytes == 0 && self.buffer[..filled.min(SNIFF)].contains(&0) {
                return Err(What::Binary);
            }
            let cut = if end { filled } else { last_cut(&self.buffer[..filled]) };
            if !words::count_into(&mut self.words, &mut self.buffer[..cut]) {
                counted.what.get_or_insert(What::InvalidUtf8);
            }
            counted.bytes += cut as u64;
            self.buffer.copy_within(cut..filled, 0);
            filled -= cut;
            if end {
                self.buffer.truncate(CHUNK);
                return Ok(counted);
            }
            if filled == self.buffer.len() {
                // All of it is within one word.
                self.buffer.resize(filled * 2, 0);
            }
        }
    }
}

/// Reads until the buffer is full or the file is at its end; true at the end.
fn fill(file: &mut impl Read, buffer: &mut [u8], filled: &mut usize) -> io::Result<bool> {
    while *filled < buffer.len() {
        match file.read(&mut buffer[*filled..]) {
            Ok(0) => return Ok(true),
            Ok(len) => *filled += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Up to where no word and no character goes on behind.
fn last_cut(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| words::is_between(byte)).map_or(0, |at| at + 1)
}
