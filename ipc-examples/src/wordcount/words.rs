//! What a word is.
//!
//! A word is a run of characters that are [alphanumeric](char::is_alphanumeric), as long as can be, each of them in
//! [lower case](char::to_lowercase). Everything else stands between words: spaces, punctuation, underscores, and bytes
//! that are not UTF-8.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Words and how often they were seen.
pub(super) type Words = HashMap<Box<str>, u64, RandomState>;

/// How a byte takes part in words.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// An ASCII character that stands between words.
    Between,
    /// An ASCII letter or digit.
    Within,
    /// A part of another character.
    Other,
}

const CLASSES: [Class; 256] = {
    let mut classes = [Class::Other; 256];
    let mut byte = 0;
    while byte < 128 {
        classes[byte] = if (byte as u8).is_ascii_alphanumeric() { Class::Within } else { Class::Between };
        byte += 1;
    }
    classes
};

fn class(byte: u8) -> Class {
    CLASSES[usize::from(byte)]
}

/// Whether no word goes on across this byte.
pub(super) fn is_between(byte: u8) -> bool {
    class(byte) == Class::Between
}

/// Counts the words of `bytes`, which it leaves in lower case as far as they are ASCII. False if some of the bytes
/// are not UTF-8; the others have been counted.
pub(super) fn count_into(words: &mut Words, bytes: &mut [u8]) -> bool {
    bytes.make_ascii_lowercase();
    if let Ok(text) = str::from_utf8(bytes) {
        count_text(words, text);
        return true;
    }
    for chunk in bytes.utf8_chunks() {
        count_text(words, chunk.valid());
    }
    false
}

/// `text` is in lower case as far as it is ASCII.
fn count_text(words: &mut Words, text: &str) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if is_between(bytes[at]) {
            at += 1;
            continue;
        }
        // ASCII that stands between words ends the run. Whether another character does is seen later.
        let start = at;
        let mut ascii = true;
        while at < bytes.len() {
            match class(bytes[at]) {
                Class::Within => {}
                Class::Other => ascii = false,
                Class::Between => break,
            }
            at += 1;
        }
        let run = &text[start..at];
        if ascii { add(words, run, 1) } else { count_run(words, run) }
    }
}

/// The same for all of Unicode.
#[cold]
fn count_run(words: &mut Words, run: &str) {
    for word in run.split(|character: char| !character.is_alphanumeric()) {
        if !word.is_empty() {
            add(words, &word.chars().flat_map(char::to_lowercase).collect::<String>(), 1);
        }
    }
}

/// Counts a word so many times more.
pub(super) fn add(words: &mut Words, word: &str, count: u64) {
    match words.get_mut(word) {
        Some(counted) => *counted += count,
        None => drop(words.insert(word.into(), count)),
    }
}

/// The words in `words`, in the order of their bytes.
pub(super) fn sorted(words: Words) -> Vec<(String, u64)> {
    let mut sorted: Vec<_> = words.into_iter().map(|(word, count)| (String::from(word), count)).collect();
    sorted.sort_unstable();
    sorted
}

/// The words of `bytes` and how often each is there, in the order of their bytes.
pub fn count_words(bytes: &[u8]) -> Vec<(String, u64)> {
    let mut words = Words::default();
    count_into(&mut words, &mut bytes.to_vec());
    sorted(words)
}
