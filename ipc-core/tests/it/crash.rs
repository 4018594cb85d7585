//! Processes are killed at any moment; the others and the machine do not notice.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::transfer::{self, Parcel};
use ipc_core::{Blob, Fd, Segment, remove_stale};

use crate::help::{Child, Gate, alone, exists, forever, fork, own_files, received, spec, unique};

/// Starts `work`, which goes round and round, and kills it after it was seen to begin; each time a bit later.
fn killed_at_any_moment(rounds: u32, work: impl Fn(&dyn Fn())) -> impl Iterator<Item = Child> {
    (0..rounds).map(move |round| {
        let started = Gate::new();
        let child = fork(|| {
            let first = Cell::new(true);
            loop {
                work(&|| {
                    if first.replace(false) {
                        started.open();
                    }
                });
            }
        });
        started.pass();
        // Not to wait for anything, but to meet it elsewhere.
        for _ in 0..round * 97 {
            std::hint::spin_loop();
        }
        child.kill();
        child
    })
}

#[test]
fn killed_while_joining_or_leaving_its_place_can_be_had_again() {
    alone(|| {
        let segment = Segment::anonymous(&spec().participants(2)).unwrap();
        let fd = segment.as_fd().try_clone_to_owned().unwrap();
        let handle = Cell::new(Some(segment));
        let join_and_leave = |started: &dyn Fn()| {
            // The child's copy of its parent's handle, at first.
            handle.take();
            let segment: Segment = received(fd.try_clone().unwrap()).unwrap();
            started();
            let me = segment.me().unwrap();
            assert!(segment.is_alive(me));
        };
        for child in killed_at_any_moment(400, join_and_leave) {
            let segment = handle.take().unwrap();
            let alive = segment.participants().iter().filter(|participant| participant.alive).count();
            assert_eq!(alive, 1, "only this process");
            // The one other place is free, or can be taken back.
            fork(|| assert!(segment.me().is_ok())).join();
            handle.set(Some(segment));
            drop(child);
        }
    });
}

#[test]
fn killed_while_creating_opening_or_dropping_a_name_it_can_be_had_again() {
    alone(|| {
        let name = unique("killed");
        let whole = |segment: &Segment| {
            segment.slice::<AtomicU64>(0, 8)?.iter().for_each(|word| word.store(7, Ordering::Relaxed));
            Ok(())
        };
        let work = |started: &dyn Fn()| {
            let segment = Segment::create(&name, &spec(), whole).unwrap();
            started();
            let again = Segment::open(&name, &spec()).unwrap();
            drop(segment);
            drop(again);
        };
        for child in killed_at_any_moment(300, work) {
            // If it is there, it is whole.
            match Segment::open(&name, &spec()) {
                Ok(segment) => {
                    let words: &[AtomicU64] = segment.slice(0, 8).unwrap();
                    assert!(words.iter().all(|word| word.load(Ordering::Relaxed) == 7));
                }
                Err(error) => assert!(error.is_not_found(), "{error}"),
            }
            assert!(!exists(&name), "the last user removed it");
            drop(Segment::create(&name, &spec(), whole).unwrap());
            drop(child);
        }
        assert_eq!(own_files(), Vec::<String>::new());
    });
}

#[test]
fn killed_while_several_use_open_or_create_the_rest_agree() {
    alone(|| {
        let name = unique("group");
        let work = |started: &dyn Fn()| {
            let segment = Segment::open_or_create(&name, &spec(), |segment| {
                segment.at::<AtomicU64>(0)?.store(1, Ordering::Relaxed);
                Ok(())
            });
            let segment = segment.unwrap();
            assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), 1);
            started();
            drop(segment);
        };
        let stop = Gate::new();
        let survivors = [(); 2].map(|()| {
            fork(|| {
                while !stop.passes() {
                    work(&|| ());
                    let _ = remove_stale();
                }
            })
        });
        killed_at_any_moment(200, work).for_each(drop);
        stop.open();
        survivors.into_iter().for_each(Child::join);
        let _ = remove_stale();
        assert!(!exists(&name));
    });
}

#[test]
fn killed_while_growing_it_has_grown_or_not() {
    alone(|| {
        const STEP: u64 = 3 << 16;
        for round in 0..40 {
            let segment = Segment::anonymous(&spec().max_len(64 + 64 * STEP)).unwrap();
            let started = Gate::new();
            let child = fork(|| {
                started.open();
                (1..=64).for_each(|step| segment.grow(64 + step * STEP).unwrap());
                forever();
            });
            started.pass();
            for _ in 0..round * 5000 {
                std::hint::spin_loop();
            }
            child.kill();
            let len = segment.len();
            assert_eq!((len - 64) % STEP, 0, "{len}");
            segment.at::<AtomicU64>(len - 64).unwrap().store(1, Ordering::Relaxed);
            segment.grow(64 + 64 * STEP).unwrap();
            assert_eq!(segment.len(), 64 + 64 * STEP);
        }
    });
}

#[test]
fn killed_while_sending_the_message_is_whole_or_absent() {
    alone(|| {
        for large in [false, true] {
            for count in [1, 300] {
                let (here, there) = transfer::channel().unwrap();
                let text = "text".repeat(if large { 10_000 } else { 10 });
                let blob = Blob::new(text.as_bytes()).unwrap();
                let value = |number: u64| {
                    let fds: Vec<_> = (0..count).map(|_| Fd(&blob)).collect();
                    Parcel::pack(|| postcard::to_allocvec(&(number, fds, &text))).unwrap()
                };
                let (number, next) = (AtomicU64::new(0), AtomicU64::new(0));
                let work = |started: &dyn Fn()| {
                    let this = number.fetch_add(1, Ordering::Relaxed);
                    // When the channel is full, what it has is enough.
                    let _ = value(this).send(&here);
                    started();
                };
                for child in killed_at_any_moment(15, work) {
                    next.store(0, Ordering::Relaxed);
                    while let Some(parcel) = Parcel::receive(&there).unwrap() {
                        assert_eq!(parcel.handles(), count);
                        let (got, fds, same): (u64, Vec<Fd<OwnedFd>>, String) =
                            parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
                        assert!(got >= next.swap(got, Ordering::Relaxed));
                        assert_eq!((fds.len(), same == text), (count, true));
                    }
                    drop(child);
                }
            }
        }
    });
}

#[test]
fn of_killed_processes_no_memory_is_left() {
    alone(|| {
        let shmem = || {
            let text = std::fs::read_to_string("/proc/meminfo").unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix("Shmem:")).unwrap();
            line.split_whitespace().next().unwrap().parse::<u64>().unwrap()
        };
        let before = shmem();
        for _ in 0..20 {
            let (here, there) = transfer::channel().unwrap();
            let ready = Gate::new();
            let child = fork(|| {
                let segment = Segment::anonymous(&spec().len(64 << 20)).unwrap();
                // Also in a message that nobody receives.
                Parcel::pack(|| postcard::to_allocvec(&segment)).unwrap().send(&here).unwrap();
                ready.open();
                forever();
            });
            ready.pass();
            child.kill();
            drop(there);
        }
        // The tests beside this one have some of their own.
        let grown = shmem().saturating_sub(before);
        assert!(grown < 800 << 10, "{grown} KiB of 1280 MiB are left");
    });
}
