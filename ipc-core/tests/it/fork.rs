use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::{ParticipantId, Segment, Watch};

use crate::help::{alone, fork, participant, received, spec, threads, unique, until};

/// Does all that takes a lock of the process: opens and drops segments, and waits for a process to die.
fn use_all(segment: &Segment, other: ParticipantId, name: &str) {
    let word = segment.at::<AtomicU32>(8).unwrap();
    let mut watch = Watch::new();
    assert_eq!(watch.dead(segment, [other]), []);
    assert!(watch.wake_on_death(segment, word));
    let new = Segment::anonymous(&spec()).unwrap();
    let copy = std::os::fd::AsFd::as_fd(&new).try_clone_to_owned().unwrap();
    assert_eq!(received::<Segment>(copy).unwrap(), new);
    let named = Segment::create(name, &spec(), |_| Ok(())).unwrap();
    assert_eq!(Segment::open(name, &spec()).unwrap(), named);
}

#[test]
fn a_child_that_is_forked_while_other_threads_are_busy_gets_on() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (_other, id) = participant(&segment);
        let (before, stop) = (threads(), AtomicBool::new(false));
        thread::scope(|scope| {
            for number in 0..3 {
                let (segment, stop) = (&segment, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        use_all(segment, id, &unique(&format!("thread-{number}")));
                    }
                });
            }
            let hangs = (0..200).any(|_| {
                let mut child = fork(|| use_all(&segment, id, &unique("child")));
                let start = Instant::now();
                while !child.has_ended() && start.elapsed() < Duration::from_secs(20) {
                    thread::sleep(Duration::from_millis(1));
                }
                !child.has_ended() || child.wait().exit_status() != Some(0)
            });
            stop.store(true, Ordering::Relaxed);
            assert!(!hangs);
        });
        // Whoever rings for them ends when he sees that nobody waits any more.
        until(|| threads() == before);
    });
}

#[test]
fn a_forked_child_finds_what_its_parent_had_open() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        segment.at::<AtomicU64>(0).unwrap().store(7, Ordering::Relaxed);
        let copy = || std::os::fd::AsFd::as_fd(&segment).try_clone_to_owned().unwrap();
        fork(|| {
            let again: Segment = received(copy()).unwrap();
            assert_eq!(again.me().unwrap(), segment.me().unwrap(), "one mapping, and one participant");
        })
        .join();
    });
}
