//! ipc-process: starting a child, and large arguments.

use std::process::{Command, Stdio};

use ipc_core::Blob;
use ipc_process::spawn;

use crate::case::{Case, Goal, Unit, time};

/// An argument that makes this program do nothing.
const PLAIN_EXIT: &str = "--plain-exit";

/// Whether this process was started to do nothing.
pub(crate) fn is_plain_exit() -> bool {
    std::env::args_os().nth(1).is_some_and(|argument| argument == PLAIN_EXIT)
}

const BYTES: usize = 100_000_000;

/// Reads a byte of every page.
fn read_pages(bytes: &[u8]) -> u64 {
    bytes.iter().step_by(4096).map(|&byte| u64::from(byte)).sum()
}

pub(crate) fn cases() -> Vec<Case> {
    let bytes = vec![1_u8; BYTES];
    let same_bytes = bytes.clone();
    let pages = read_pages(&bytes);
    vec![
        Case {
            id: "process/start-join",
            peer: "std::process::Command",
            unit: Unit::Micros,
            goal: Goal::RatioAtMost(1.3),
            rounds: 1000,
            ours: Box::new(|| time(|| spawn(|| (), ()).expect("it starts").join().expect("it returns"))),
            theirs: Box::new(|| {
                let mut command = Command::new("/proc/self/exe");
                command.arg(PLAIN_EXIT).stdin(Stdio::null());
                time(|| assert!(command.status().expect("it starts").success()))
            }),
        },
        Case {
            id: "process/args-100mb",
            peer: "Vec<u8>",
            unit: Unit::GigabytesPerSecond(BYTES),
            goal: Goal::AtLeast(2.0),
            rounds: 20,
            ours: Box::new(move || {
                time(|| {
                    let blob = Blob::new(&bytes).expect("there is memory");
                    let mut child = spawn(|blob: Blob| read_pages(&blob), (blob,)).expect("it starts");
                    assert_eq!(child.join().expect("it returns"), pages);
                })
            }),
            theirs: Box::new(move || {
                let bytes = same_bytes.clone();
                time(move || {
                    let mut child = spawn(|bytes: Vec<u8>| read_pages(&bytes), (bytes,)).expect("it starts");
                    assert_eq!(child.join().expect("it returns"), pages);
                })
            }),
        },
    ]
}
