//! Waiting for a child.

use std::io::{PipeReader, PipeWriter, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::Fd;
use ipc_process::{Builder, Failure, spawn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::{LONG, alone, hear, is_readable, join, pipe, tell, wait_for, wait_for_end};

#[test]
fn a_join_without_patience_gives_none_while_the_child_runs() {
    let (reader, writer) = pipe();
    let mut child = spawn(wait_for_end, (reader,)).unwrap();
    assert_eq!(child.try_join().unwrap(), None);
    assert_eq!(child.join_timeout(Duration::ZERO).unwrap(), None);
    assert_eq!(child.join_timeout(Duration::from_millis(5)).unwrap(), None);
    assert_eq!(child.join_deadline(Instant::now() - Duration::from_secs(1)).unwrap(), None);
    drop(writer);
    assert_eq!(child.join_timeout(LONG).unwrap(), Some(()));
}

#[test]
fn a_join_gives_a_result_that_is_there_whatever_the_deadline() {
    let ended = || {
        let child = spawn(|| 7, ()).unwrap();
        wait_for(&child);
        child
    };
    assert_eq!(ended().try_join().unwrap(), Some(7));
    assert_eq!(ended().join_timeout(Duration::ZERO).unwrap(), Some(7));
    assert_eq!(ended().join_timeout(Duration::MAX).unwrap(), Some(7));
    assert_eq!(ended().join_deadline(Instant::now() - Duration::from_secs(1)).unwrap(), Some(7));
    assert_eq!(ended().join_deadline(Instant::now() + LONG).unwrap(), Some(7));
    assert_eq!(ended().join().unwrap(), 7);
}

#[test]
fn an_endless_timeout_ends_with_the_child() {
    let mut child = spawn(|| 7, ()).unwrap();
    assert_eq!(child.join_timeout(Duration::MAX).unwrap(), Some(7));
    let mut child = spawn(|| 7, ()).unwrap();
    assert_eq!(child.join_timeout(Duration::from_secs(u64::MAX >> 1)).unwrap(), Some(7));
}

#[test]
fn the_result_is_given_once() {
    let mut child = spawn(|| 7, ()).unwrap();
    join(&mut child).unwrap();
    for error in [child.join().unwrap_err(), child.try_join().unwrap_err(), join(&mut child).unwrap_err()] {
        assert_eq!(error.failure(), &Failure::AlreadyJoined);
    }
    assert_eq!(child.exit_code(), Some(0));
}

#[test]
fn everything_but_the_result_is_known_after_the_end() {
    let mut child = spawn(std::process::id, ()).unwrap();
    let (pid, name) = (child.pid(), child.name().to_owned());
    assert_eq!(join(&mut child).unwrap(), pid);
    assert_eq!((child.pid(), child.name(), child.is_daemon()), (pid, &*name, false));
    assert!(!child.is_alive());
    child.terminate().unwrap();
    child.kill().unwrap();
    assert_eq!(child.exit_code(), Some(0));
    let process = child.process().clone();
    drop(child);
    assert_eq!(process.exit_code(), Some(0));
    assert_eq!(
        format!("{process:?}"),
        format!("Process {{ name: {name:?}, pid: {pid}, daemon: false, exit_code: Some(0) }}")
    );
}

#[test]
fn the_pidfd_is_readable_from_the_end_on() {
    let (reader, writer) = pipe();
    let mut child = spawn(wait_for_end, (reader,)).unwrap();
    assert!(!is_readable(&child, Duration::ZERO));
    drop(writer);
    wait_for(&child);
    join(&mut child).unwrap();
    assert!(is_readable(child.process(), Duration::ZERO), "also when it was reaped");
}

#[test]
fn handles_in_many_threads_see_the_same_end() {
    let (reader, writer) = pipe();
    let mut child = spawn(wait_for_end, (reader,)).unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            let process = child.process().clone();
            scope.spawn(move || {
                while process.is_alive() {
                    thread::yield_now();
                }
                assert_eq!(process.exit_code(), Some(0));
            });
        }
        drop(writer);
        join(&mut child).unwrap();
    });
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn count(_: i32) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Has SIGALRM interrupt this process's system calls every millisecond.
fn interrupt_every_millisecond() {
    // SAFETY: zero is a valid `sigaction`: no flags, so no SA_RESTART, and an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = count as *const () as usize;
    // SAFETY: the handler does nothing but add to an atomic.
    assert_eq!(unsafe { libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) }, 0);
    let millisecond = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let timer = libc::itimerval { it_interval: millisecond, it_value: millisecond };
    // SAFETY: the timer is a valid one, and the old one is not asked for.
    assert_eq!(unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) }, 0);
}

#[test]
fn signals_do_not_end_a_join() {
    alone(|| {
        interrupt_every_millisecond();
        let (reader, mut writer) = pipe();
        let last = |mut reader| {
            let mut last = None;
            while let Some(number) = hear(&mut reader) {
                last = Some(number);
            }
            last
        };
        let mut child = spawn(last, (reader,)).unwrap();
        let before = SIGNALS.load(Ordering::Relaxed);
        let teller = thread::spawn(move || {
            for number in 0.. {
                tell(&mut writer, number);
                if SIGNALS.load(Ordering::Relaxed) > before + 50 {
                    break;
                }
                thread::sleep(Duration::from_micros(100));
            }
        });
        assert!(join(&mut child).unwrap().is_some());
        teller.join().unwrap();
        let mut children: Vec<_> = (0..20).map(|i| spawn(|i: u32| i, (i,)).unwrap()).collect();
        let results: Vec<u32> = children.iter_mut().map(|child| join(child).unwrap()).collect();
        assert_eq!(results, Vec::from_iter(0..20));
    });
}

#[test]
fn a_parent_that_was_stopped_meanwhile_gets_the_result() {
    let parent = |release, mut report| {
        let f = |release| {
            wait_for_end(release);
            7
        };
        let mut child = spawn(f, (release,)).unwrap();
        tell(&mut report, child.pid());
        join(&mut child).unwrap()
    };
    let (release, held) = pipe();
    let (mut report, writer) = pipe();
    let mut parent = spawn(parent, (release, writer)).unwrap();
    let pid = rustix::process::Pid::from_raw(hear(&mut report).unwrap() as i32).unwrap();
    let grandchild = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::pidfd_send_signal(&parent, rustix::process::Signal::STOP).unwrap();
    drop(held);
    wait_for(&grandchild);
    assert!(parent.is_alive(), "stopped is not dead");
    rustix::process::pidfd_send_signal(&parent, rustix::process::Signal::CONT).unwrap();
    assert_eq!(join(&mut parent).unwrap(), 7);
}

#[test]
fn a_process_that_may_not_open_anything_can_still_wait() {
    alone(|| {
        fn forbid_descriptors() {
            let limit = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: Some(0), ..limit }).unwrap();
        }
        let (reader, mut writer) = pipe();
        let f = |mut reader: Fd<PipeReader>| {
            forbid_descriptors();
            let parent = ipc_process::parent().unwrap();
            assert!(parent.is_alive() && !parent.wait_timeout(Duration::from_millis(5)));
            reader.0.read_exact(&mut [0; 4]).unwrap();
        };
        let mut child = spawn(f, (reader,)).unwrap();
        forbid_descriptors();
        assert_eq!(child.try_join().unwrap(), None);
        assert_eq!(child.join_timeout(Duration::from_millis(5)).unwrap(), None);
        tell(&mut writer, 0);
        child.join().unwrap();
    });
}

#[test]
fn waiting_for_the_end_leaves_the_result() {
    let (blocked, mut release) = pipe();
    let mut child = spawn(|mut blocked: Fd<PipeReader>| hear(&mut blocked), (blocked,)).unwrap();
    assert!(!child.wait_timeout(Duration::from_millis(1)));
    assert!(!child.wait_deadline(Instant::now()));
    assert!(child.is_alive());
    tell(&mut release, 7);
    child.wait();
    assert!(!child.is_alive());
    assert!(child.wait_timeout(Duration::ZERO));
    assert_eq!(join(&mut child).unwrap(), Some(7));
}

#[test]
fn a_detached_child_runs_on_and_can_still_be_waited_for() {
    let (mut reader, writer) = pipe();
    let process = spawn(|mut writer: Fd<PipeWriter>| tell(&mut writer, 3), (writer,)).unwrap().detach();
    assert_eq!(hear(&mut reader), Some(3));
    process.wait();
    assert_eq!(process.exit_code(), Some(0));
}

#[test]
fn a_child_can_be_in_a_process_group_of_its_own() {
    let group = || rustix::process::getpgid(None).unwrap().as_raw_nonzero().get();
    let mut child = Builder::new().process_group(0).spawn(group, ()).unwrap();
    assert_eq!(join(&mut child).unwrap() as u32, child.pid());
}
