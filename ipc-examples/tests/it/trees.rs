//! The main job over odd trees, and with workers that are killed.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ipc_examples::wordcount::{Count, What, count, count_named, count_serially, list};
use ipc_process::active_children;
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

#[test]
fn odd_files_are_reported_and_the_others_counted() {
    let tree = odd_tree();
    let (counted, deaths) = count(&list(Some(tree.path())).unwrap(), 3);
    assert_eq!(deaths.messages, [""; 0]);
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
        assert_eq!(count(&listing, workers).0, serial);
    }
    let built_in = list(None).unwrap();
    assert_eq!(count(&built_in, 2).0, count_serially(&built_in));
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
    let (counted, deaths) = count(&listing, 2);
    assert!(matches!(what(&counted, "gone/nine.txt"), Some(What::Unreadable(_))));
    assert_eq!(what(&counted, "empty.txt"), Some(What::NotAFile));
    assert_eq!(deaths.messages, [""; 0]);
    assert_eq!(counted, count_serially(&listing));
}

#[test]
fn an_empty_directory_has_no_words() {
    let tree = tempfile::tempdir().unwrap();
    let (counted, _) = count(&list(Some(tree.path())).unwrap(), 4);
    assert_eq!(counted, Count::default());
    list(Some(&tree.path().join("missing"))).unwrap_err();
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

/// Counts while every worker of that name is killed as soon as it has lived for `age`, up to `kills` of them.
fn count_under_fire(
    listing: &ipc_examples::wordcount::Listing,
    name: &str,
    kills: usize,
    age: Duration,
) -> (Count, usize) {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut killed = Vec::new();
            while !over.load(Ordering::Relaxed) && killed.len() < kills {
                let prefix = format!("{name}-");
                let of_ours = active_children().into_iter().filter(|child| child.name().starts_with(&prefix));
                for worker in of_ours.take(kills - killed.len()) {
                    if !killed.contains(&worker.pid()) {
                        thread::sleep(age);
                        worker.kill().unwrap();
                        killed.push(worker.pid());
                    }
                }
            }
        });
        let (counted, deaths) = count_named(listing, 3, name);
        over.store(true, Ordering::Relaxed);
        assert!(deaths.messages.iter().all(|message| message.contains("killed by SIGKILL")), "{deaths:?}");
        (counted, deaths.messages.len())
    })
}

#[test]
fn a_killed_worker_changes_nothing() {
    let tree = large_tree();
    let listing = list(Some(tree.path())).unwrap();
    let serial = count_serially(&listing);
    let mut deaths = 0;
    for age in 0..10 {
        let name = format!("one-killed-{age}");
        let (counted, killed) = count_under_fire(&listing, &name, 1, Duration::from_millis(3 * age));
        assert!(counted == serial, "killed at {} ms", 3 * age);
        deaths += killed;
    }
    assert!(deaths > 0, "no worker was killed before it had returned");
}

#[test]
fn the_parent_counts_when_every_worker_is_killed() {
    let tree = large_tree();
    let listing = list(Some(tree.path())).unwrap();
    let (counted, deaths) = count_under_fire(&listing, "all-killed", usize::MAX, Duration::ZERO);
    assert!(counted == count_serially(&listing));
    assert!(deaths > 0, "no worker was killed before it had returned");
}
