//! Starts a child, kills it and drops its handle, over and over; then looks for what is left behind.
//!
//! ```text
//! cargo run --release -p ipc-process --example process_soak -- 10000
//! ```
//!
//! Prints descriptors, zombies, threads, entries of /dev/shm and resident memory of this process before and after,
//! and fails if any of them has grown.

use std::fs;
use std::hint::spin_loop;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ipc_core::Blob;
use ipc_process::{active_children, spawn};

/// What a cycle could leave behind.
struct Figures([(&'static str, usize); 5]);

impl Figures {
    fn take() -> Figures {
        Figures([
            ("descriptors", count("/proc/self/fd")),
            ("zombies", zombies()),
            ("threads", count("/proc/self/task")),
            ("/dev/shm entries", count("/dev/shm")),
            ("resident KiB", resident_kib()),
        ])
    }
}

fn count(directory: &str) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

/// Children of this process that have ended and were not reaped.
fn zombies() -> usize {
    let me = std::process::id().to_string();
    let is_zombie = |entry: fs::DirEntry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // Behind the name, which may contain anything: state and parent.
        let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
        Some(fields.next()? == "Z" && fields.next()? == me)
    };
    fs::read_dir("/proc").map_or(0, |all| all.flatten().filter_map(is_zombie).filter(|&is| is).count())
}

fn resident_kib() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Starts and kills that many children, each a little later in its life than the one before.
fn cycles(count: u32) -> Result<(), Box<dyn std::error::Error>> {
    let blob = Blob::new(&[7; 100_000])?;
    for round in 0..count {
        let child = spawn(|blob: Blob, text: String| (blob, text), (blob.clone(), "text".repeat(10)))?;
        let end = Instant::now() + Duration::from_micros(u64::from(round % 100) * 20);
        while Instant::now() < end {
            spin_loop();
        }
        child.kill()?;
    }
    while !active_children().is_empty() {
        std::thread::yield_now();
    }
    Ok(())
}

/// What the allocator may keep.
const SLACK_KIB: usize = 512;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let count: u32 = std::env::args().nth(1).map_or(Ok(1000), |count| count.parse())?;
    cycles(100)?;
    let before = Figures::take();
    let start = Instant::now();
    cycles(count)?;
    let seconds = start.elapsed().as_secs_f64();
    let after = Figures::take();

    println!("{count} times start, SIGKILL, drop in {seconds:.1} s");
    println!("{:20} {:>10} {:>10}", "", "before", "after");
    let mut grown = false;
    for ((name, before), (_, after)) in before.0.into_iter().zip(after.0) {
        let slack = if name == "resident KiB" { SLACK_KIB } else { 0 };
        let note = if after > before + slack { "GREW" } else { "" };
        grown |= !note.is_empty();
        println!("{name:20} {before:>10} {after:>10} {note}");
    }
    Ok(if grown { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
