//! The main job over odd trees, and with workers that are killed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use ipc_examples::wordcount::{Count, Job, What, count_serially, list};
use rustix::fs::{CWD, Mode, mkfifoat};
use tempfile::TempDir;

use crate::words::naive;

pub(crate) fn fifo(path: impl AsRef<Path>) {
    mkfifoat(CWD, path.as_ref(), Mode::RUSR | Mode::WUSR).unwrap();
}

/// One of everything that may go wrong.
pub(crate) fn odd_tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    let at = |name: &str| tree.path().join(name);
    fs::write(at("plain.txt"), "one two two\n").unwrap();
    fs::write(at("empty.txt"), "").unwrap();
    fs::write(at("latin1.txt"), b"caf\xe9 three").unwrap();
    fs::write(at("binary"), b"ELF\0 four").unwrap();
    let late = [&[b' '; 8191][..], b"five \0 six"].concat();
    fs::write(at("nul-after-8-KiB"), late).unwrap();
    fs::write(tree.path().join(OsStr::from_bytes(b"name \xff.txt")), "seven").unwrap();
    fifo(at("fifo"));
    symlink("nowhere", at("dangling")).unwrap();
    symlink("plain.txt", at("again.txt")).unwrap();
    fs::create_dir(at("sub")).unwrap();
    symlink("..", at("sub/up")).unwrap();
    symlink("self", at("self")).unwrap();
    let deep: PathBuf = std::iter::repeat_n("d", 300).collect();
    fs::create_dir_all(tree.path().join(&deep)).unwrap();
    fs::write(tree.path().join(&deep).join("deep.txt"), "eight").unwrap();
    tree
}

fn what(count: &Count, name: &str) -> Option<What> {
    let of = |problem: &&ipc_examples::wordcount::Problem| problem.path.ends_with(name);
    count.problems.iter().find(of).map(|problem| problem.what.clone())
}

/// With so many workers, of which so many are killed.
fn count(path: Option<&Path>, workers: usize, chaos: usize) -> Count {
    let (count, report) = Job { chaos, ..Job::new(path, workers) }.run().unwrap();
    assert!(report.killed == chaos && report.failures.is_empty(), "{report:?}");
    count
}

#[test]
fn odd_files_are_reported_and_the_others_counted() {
    let tree = odd_tree();
    let counted = count(Some(tree.path()), 3, 0);
    let all = b"one two two one two two caf\xe9 three five six seven eight";
    assert_eq!(counted.words, naive(all));
    assert_eq!(counted.files, 7);
    assert_eq!(what(&counted, "binary"), Some(What::Binary));
    assert_eq!(what(&counted, "latin1.txt"), Some(What::InvalidUtf8));
    assert_eq!(what(&counted, "fifo"), Some(What::NotAFile));
    assert_eq!(what(&counted, "sub/up"), Some(What::Loop));
    assert!(matches!(what(&counted, "dangling"), Some(What::Unreadable(_))));
    assert!(matches!(what(&counted, "self"), Some(What::Unreadable(_))));
    assert_eq!(counted.problems.len(), 6);
}

#[test]
fn workers_and_no_workers_count_the_same() {
    let tree = odd_tree();
    let listing = list(Some(tree.path())).unwrap();
    let serial = count_serially(&listing);
    for workers in [1, 2, 5, 100] {
        assert_eq!(count(Some(tree.path()), workers, 0), serial);
    }
    assert_eq!(count(None, 2, 0), count_serially(&list(None).unwrap()));
}

#[test]
fn files_that_vanish_or_change_after_the_listing_are_reported() {
    let tree = odd_tree();
    fs::create_dir(tree.path().join("gone")).unwrap();
    fs::write(tree.path().join("gone/nine.txt"), "nine").unwrap();
    let listing = list(Some(tree.path())).unwrap();
    fs::remove_dir_all(tree.path().join("gone")).unwrap();
    fs::remove_file(tree.path().join("empty.txt")).unwrap();
    fifo(tree.path().join("empty.txt"));
    let counted = count_serially(&listing);
    assert!(matches!(what(&counted, "gone/nine.txt"), Some(What::Unreadable(_))));
    assert_eq!(what(&counted, "empty.txt"), Some(What::NotAFile));
}

#[test]
fn an_empty_directory_has_no_words() {
    let tree = tempfile::tempdir().unwrap();
    assert_eq!(count(Some(tree.path()), 4, 0), Count::default());
    let missing = tree.path().join("missing");
    list(Some(&missing)).unwrap_err();
    let error = Job::new(Some(&missing), 2).run().unwrap_err();
    assert!(error.to_string().contains("missing"), "{error}");
}

/// Some megabytes in files of all sizes.
pub(crate) fn large_tree() -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    for number in 0_usize..60 {
        let text: String = (0..number * 150).map(|n| format!("w{} W{} é{n}\n", n % 7, n % 1009)).collect();
        fs::write(tree.path().join(format!("{number}.txt")), text).unwrap();
    }
    tree
}

#[test]
fn killed_workers_change_nothing() {
    let tree = large_tree();
    let serial = count_serially(&list(Some(tree.path())).unwrap());
    for workers in [1, 3] {
        assert!(count(Some(tree.path()), workers, 20) == serial, "{workers} workers");
    }
    assert_eq!(count(None, 2, 5), count_serially(&list(None).unwrap()));
}

/// Cut anywhere, each word is in one piece of it.
#[test]
fn large_texts_are_counted_in_pieces() {
    let tree = tempfile::tempdir().unwrap();
    // Letters of one to three bytes, words of all lengths, one of them longer than a piece, and bytes that are no text.
    let mut text = String::new();
    for number in 0..4_000_000_u64 {
        text.push_str(["one ", "två", " drei", "四", "-", "\n", "x"][(number * number % 7) as usize]);
    }
    text.push_str(&"endless".repeat(5 << 20));
    text.push_str(" ende");
    let mut bytes = text.into_bytes();
    bytes[1000] = 0xff;
    fs::write(tree.path().join("large.txt"), bytes).unwrap();
    let serial = count_serially(&list(Some(tree.path())).unwrap());
    assert!(serial.bytes > 48 << 20 && serial.files == 1);
    let counted = count(Some(tree.path()), 3, 2);
    assert!(counted == serial, "{} {} {:?}", counted.bytes, serial.bytes, counted.problems);
}
