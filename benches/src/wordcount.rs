//! The main job on a real tree: the documentation of the toolchain, if it is there.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use ipc_examples::wordcount::{self, Count, Job};

use crate::case::{Case, Goal, Unit, once};

const WORKERS: usize = 2;

/// More than 200 MB of HTML.
pub(crate) static TREE: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).ok()?.trim());
    let tree = sysroot.join("share/doc/rust/html/core");
    tree.is_dir().then_some(tree)
});

/// Each way counts the same as the first.
fn beside(id: &'static str, peer: &'static str, goal: f64, tree: &Path, theirs: fn(&Path) -> Count) -> Case {
    let tree = tree.to_owned();
    Case::prepared(id, peer, Unit::Millis, Goal::RatioAtMost((100.0 / goal).round() / 100.0), 10, move || {
        let expected = serially(&tree);
        let same = (tree.clone(), serially(&tree));
        [
            once(move || checked(&expected, || by_workers(&tree))),
            once(move || checked(&same.1, || theirs(&same.0))),
        ]
    })
}

fn checked(expected: &Count, count: impl FnOnce() -> Count) -> Duration {
    let start = Instant::now();
    let counted = count();
    let time = start.elapsed();
    assert!(counted == *expected, "the counts differ");
    time
}

fn by_workers(tree: &Path) -> Count {
    Job::new(Some(tree), WORKERS).run().expect("it can be read").0
}

fn serially(tree: &Path) -> Count {
    wordcount::count_serially(&wordcount::list(Some(tree)).expect("it can be read"))
}

pub(crate) fn cases() -> Vec<Case> {
    let Some(tree) = &*TREE else { return Vec::new() };
    let cases = [
        beside("pool/wordcount-serial", "no-worker", 1.7, tree, serially),
        #[cfg(feature = "peers")]
        beside("pool/wordcount-rayon", "rayon-threads", 0.9, tree, crate::pool_peers::wordcount),
    ];
    cases.into()
}
