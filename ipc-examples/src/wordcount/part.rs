//! What a worker does: read the texts of a part and count.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::files::{CORPUS, Text, What};
use super::words::{self, Words};

/// A part of the work, which one worker does at a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Part {
    pub(super) number: u64,
    pub(super) pieces: Vec<Piece>,
    /// Bytes of all pieces, as far as is known.
    pub(super) bytes: u64,
}

/// A text, or a part of a large one: the words that begin in this range.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Piece {
    pub(super) text: Text,
    pub(super) range: Range<u64>,
}

impl Piece {
    pub(super) fn whole(text: Text) -> Piece {
        Piece { text, range: 0..u64::MAX }
    }

    fn open(&self) -> Result<Box<dyn Source>, What> {
        match &self.text {
            Text::BuiltIn(at) => match CORPUS.get(*at as usize) {
                Some((_, text)) => Ok(Box::new(Cursor::new(text.as_bytes()))),
                None => Err(What::Unreadable("not built in".to_owned())),
            },
            Text::File(path) => open(path).map(|file| Box::new(file) as Box<dyn Source>),
        }
    }
}

/// What is counted.
trait Source: Read + Seek {}
impl<T: Read + Seek> Source for T {}

/// What came of a part.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Tally {
    /// Every word once, with a line feed behind it.
    words: String,
    /// How often each was there.
    counts: Vec<u64>,
    /// Files that were counted, or of which the beginning was.
    pub(super) files: u64,
    /// Bytes that were counted.
    pub(super) bytes: u64,
    /// Paths as they are: they need not be UTF-8.
    pub(super) problems: Vec<(OsString, What)>,
}

impl Tally {
    /// Every word with its number.
    pub(super) fn words(&self) -> impl Iterator<Item = (&str, u64)> {
        self.words.split_terminator('\n').zip(self.counts.iter().copied())
    }
}

/// Counts the words of these pieces.
pub(super) fn count_pieces(pieces: &[Piece]) -> Tally {
    let mut tally = Tally::default();
    let mut counter = Counter::default();
    for piece in pieces {
        let counted = piece.open().and_then(|mut source| counter.count(&mut *source, &piece.range));
        let what = match counted {
            Ok(counted) => {
                tally.files += u64::from(piece.range.start == 0);
                tally.bytes += counted.bytes;
                counted.what
            }
            Err(what) => Some(what),
        };
        tally.problems.extend(what.map(|what| (piece.text.path().into(), what)));
    }
    for (word, count) in counter.words {
        tally.words.push_str(&word);
        tally.words.push('\n');
        tally.counts.push(count);
    }
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
    /// Counts the words that begin in that range, a buffer at a time, so that sizes do not matter. Only a single word has
    /// to fit into memory.
    fn count(&mut self, source: &mut dyn Source, range: &Range<u64>) -> Result<Counted, What> {
        self.buffer.resize(CHUNK, 0);
        // Where the buffer begins. Its first `filled` bytes are read and not counted.
        let (mut at, mut filled) = (0, 0);
        let mut counted = Counted { bytes: 0, what: None };
        // What goes on from the range before is counted there.
        let mut is_within = range.start > 0;
        if is_within {
            let _ = fill(&mut (&mut *source).take(SNIFF as u64), &mut self.buffer, &mut filled)
                .map_err(unreadable)?;
            if self.buffer[..filled].contains(&0) {
                return Err(What::Binary);
            }
            at = source.seek(SeekFrom::Start(range.start - 1)).map_err(unreadable)?;
            filled = 0;
        }
        loop {
            let mut is_end = match fill(source, &mut self.buffer, &mut filled) {
                Ok(is_end) => is_end,
                // Not a byte of it was read: nothing was counted.
                Err(error) if at == 0 && filled == 0 => return Err(unreadable(error)),
                Err(error) => {
                    counted.what = Some(unreadable(error));
                    true
                }
            };
            if at == 0 && self.buffer[..filled.min(SNIFF)].contains(&0) {
                return Err(What::Binary);
            }
            let bytes = &mut self.buffer[..filled];
            let mut begin = 0;
            if is_within {
                begin = bytes.iter().position(|&byte| words::is_between(byte)).unwrap_or(filled);
                is_within = begin == filled;
            }
            // Up to where no word and no character goes on behind.
            let mut cut = if is_end { filled } else { begin.max(last_cut(bytes)) };
            let last = usize::try_from(range.end.saturating_sub(1).saturating_sub(at)).unwrap_or(usize::MAX);
            let rest = bytes.get(last.max(begin)..).unwrap_or_default();
            if let Some(end) = rest.iter().position(|&byte| words::is_between(byte)) {
                (cut, is_end) = (last.max(begin) + end, true);
            }
            if !words::count_into(&mut self.words, &mut bytes[begin..cut]) {
                counted.what.get_or_insert(What::InvalidUtf8);
            }
            if is_end {
                let end = range.end.min(at + filled as u64);
                counted.bytes = end.saturating_sub(range.start);
                self.buffer.truncate(CHUNK);
                return Ok(counted);
            }
            self.buffer.copy_within(cut..filled, 0);
            at += cut as u64;
            filled -= cut;
            if filled == self.buffer.len() {
                // All of it is within one word.
                self.buffer.resize(filled * 2, 0);
            }
        }
    }
}

/// Reads until the buffer is full or the file is at its end; true at the end.
fn fill(file: &mut (impl Read + ?Sized), buffer: &mut [u8], filled: &mut usize) -> io::Result<bool> {
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
