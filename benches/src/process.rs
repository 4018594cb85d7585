//! ipc-process: starting a child, and large arguments.

use std::process::{Command, Stdio};
use std::time::Duration;

use ipc_core::Blob;
use ipc_process::spawn;

use crate::case::{Case, Goal, Unit, once, time};

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

fn start_join() -> Duration {
    time(|| spawn(|| (), ()).expect("it starts").join().expect("it returns"))
}

fn command() -> Duration {
    let mut command = Command::new("/proc/self/exe");
    command.arg(PLAIN_EXIT).stdin(Stdio::null());
    time(|| assert!(command.status().expect("it starts").success()))
}

fn blob(bytes: &[u8], pages: u64) -> Duration {
    time(|| {
        let blob = Blob::new(bytes).expect("there is memory");
        let mut child = spawn(|blob: Blob| read_pages(&blob), (blob,)).expect("it starts");
        assert_eq!(child.join().expect("it returns"), pages);
    })
}

fn vec(bytes: Vec<u8>, pages: u64) -> Duration {
    time(move || {
        let mut child = spawn(|bytes: Vec<u8>| read_pages(&bytes), (bytes,)).expect("it starts");
        assert_eq!(child.join().expect("it returns"), pages);
    })
}

pub(crate) fn cases() -> Vec<Case> {
    let (micros, bytes) = (Unit::Micros, Unit::GigabytesPerSecond(BYTES));
    let most = Goal::RatioAtMost(1.3);
    vec![
        Case::new("process/start-join", "std::process::Command", micros, most, 1000, start_join, command)
            .with_percentiles(),
        Case::prepared("process/args-100mb", "Vec<u8>", bytes, Goal::AtLeast(2.0), 20, || {
            let bytes = vec![1_u8; BYTES];
            let same_bytes = bytes.clone();
            let pages = read_pages(&bytes);
            [once(move || blob(&bytes, pages)), once(move || vec(same_bytes.clone(), pages))]
        }),
    ]
}
