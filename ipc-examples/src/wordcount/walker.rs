//! Goes through a directory, in a process of its own, and cuts the work into parts.

use std::ffi::OsString;
use std::fs;
use std::mem;
use std::path::{Path, PathBuf};

use ipc_process::{Builder, Child};
use ipc_queue::Producer;
use serde::{Deserialize, Serialize};

use super::files::{Found, Text, What, walk};
use super::part::{Part, Piece};

/// What the walker puts into the queue.
#[derive(Serialize, Deserialize)]
pub(super) enum Message {
    Part(Part),
    /// Paths as they are: they need not be UTF-8.
    Problem(OsString, What),
}

/// Parts grow with what there is, so that all workers soon have something to do and the large ones are few: between these
/// many bytes.
const SMALLEST: u64 = 64 << 10;
const LARGEST: u64 = 16 << 20;
/// Of what was seen so far, so much is a part.
const SHARE: u64 = 16;
/// And at most so many texts.
const TEXTS: usize = 1024;

/// A daemon: when this process is killed, it ends too.
pub(super) fn start(
    path: Option<&Path>,
    parts: Producer<Message>,
) -> Result<Child<Result<(), String>>, String> {
    let path = path.map(|path| path.as_os_str().to_owned());
    let builder = Builder::new().name("walker").daemon(true);
    builder.spawn(go_through, (path, parts)).map_err(|error| error.to_string())
}

fn go_through(path: Option<OsString>, parts: Producer<Message>) -> Result<(), String> {
    let path = path.map(PathBuf::from);
    if let Some(path) = &path {
        fs::metadata(path).map_err(|error| format!("cannot look at {}: {error}", path.display()))?;
    }
    let mut next = Part { number: 0, pieces: Vec::new(), bytes: 0 };
    let mut seen = 0;
    // Nobody to count is no reason to go on.
    let put = |part| parts.put(Message::Part(part)).is_ok();
    walk(path.as_deref(), |found| match found {
        Found::Problem(problem) => parts.put(Message::Problem(problem.path.into(), problem.what)).is_ok(),
        Found::Text(text, size) => {
            seen += size;
            let is_built_in = matches!(text, Text::BuiltIn(_));
            cut(text, size).all(|(piece, bytes)| {
                next.pieces.push(piece);
                next.bytes += bytes;
                let is_full =
                    next.bytes >= (seen / SHARE).clamp(SMALLEST, LARGEST) || next.pieces.len() >= TEXTS;
                let number = next.number + 1;
                !(is_full || is_built_in)
                    || put(mem::replace(&mut next, Part { number, pieces: Vec::new(), bytes: 0 }))
            })
        }
    });
    if !next.pieces.is_empty() {
        put(next);
    }
    Ok(())
}

/// The pieces of a text, and their bytes.
fn cut(text: Text, size: u64) -> impl Iterator<Item = (Piece, u64)> {
    let count = size.div_ceil(LARGEST).max(1);
    (0..count).map(move |at| {
        let start = at * LARGEST;
        // It may be longer by the time it is counted.
        let end = if at + 1 == count { u64::MAX } else { start + LARGEST };
        (Piece { text: text.clone(), range: start..end }, LARGEST.min(size - start))
    })
}
