//! Who ends with whom.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use ipc_core::{Blob, Fd};
use ipc_process::{Builder, Child, Reason, current, parent, spawn};

use serde::{Deserialize, Serialize};

use crate::common::{hear, is_readable, join, pipe, tell, wait_for, wait_for_end};

/// A process that starts children and then waits, to be killed or let go.
struct Parent {
    process: Child<()>,
    /// Its children tell their pids, and that they are there.
    report: Fd<PipeReader>,
    /// Letting go of this ends the normal child, and lets the parent itself return.
    normal: Fd<PipeWriter>,
    parent: Fd<PipeWriter>,
    /// At its end when the daemon is gone.
    daemon: Fd<PipeReader>,
}

impl Parent {
    fn start(daemon: Daemon) -> Parent {
        let (report, reporter) = pipe();
        let (normal_hold, normal) = pipe();
        let (parent_hold, parent) = pipe();
        let (daemon_end, daemon_hold) = pipe();
        let arguments = (daemon, reporter, normal_hold, parent_hold, daemon_hold);
        let mut parent = Parent {
            process: spawn(parent_of_two, arguments).unwrap(),
            report,
            normal,
            parent,
            daemon: daemon_end,
        };
        for _ in 0..2 {
            hear(&mut parent.report).unwrap();
        }
        parent
    }
}

/// How a daemon takes SIGTERM.
#[derive(Clone, Copy, Serialize, Deserialize)]
enum Daemon {
    Polite,
    Deaf,
    /// Has closed all descriptors that are not its own, and opened others.
    Confused,
}

/// Puts something else in the place of all descriptors but the standard ones and these.
fn confuse(kept: [i32; 2]) {
    let quiet = std::mem::ManuallyDrop::new(std::io::pipe().unwrap());
    let own = [quiet.0.as_raw_fd(), quiet.1.as_raw_fd()];
    for fd in (3..100).filter(|fd| !kept.contains(fd) && !own.contains(fd)) {
        // SAFETY: nobody in this process has any use for them but who is to be confused.
        assert_eq!(unsafe { libc::dup2(own[0], fd) }, fd);
    }
}

fn parent_of_two(
    daemon: Daemon,
    report: Fd<PipeWriter>,
    normal_hold: Fd<PipeReader>,
    parent_hold: Fd<PipeReader>,
    daemon_hold: Fd<PipeWriter>,
) {
    let be_daemon = |how, mut report: Fd<PipeWriter>, _hold: Fd<PipeWriter>| -> () {
        if matches!(how, Daemon::Deaf) {
            // SAFETY: ignoring a signal runs no code of ours in a handler.
            unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
        }
        if matches!(how, Daemon::Confused) {
            confuse([report.as_raw_fd(), _hold.as_raw_fd()]);
        }
        tell(&mut report, 1);
        loop {
            thread::park();
        }
    };
    let be_normal = |mut report: Fd<PipeWriter>, hold| {
        tell(&mut report, 2);
        wait_for_end(hold);
        tell(&mut report, u32::from(parent().unwrap().is_alive()) + 10);
    };
    let copy = Fd(report.0.try_clone().unwrap());
    let daemon = Builder::new().daemon(true).spawn(be_daemon, (daemon, copy, daemon_hold)).unwrap();
    let normal = spawn(be_normal, (report, normal_hold)).unwrap();
    drop((daemon, normal));
    wait_for_end(parent_hold);
}

#[test]
fn at_the_normal_end_of_a_parent_daemons_are_terminated_and_others_waited_for() {
    let Parent { mut process, mut report, normal, parent, daemon } = Parent::start(Daemon::Polite);
    drop(parent);
    wait_for(&daemon.0);
    assert!(!is_readable(&process, Duration::from_millis(100)), "it waits for the other");
    drop(normal);
    assert_eq!(hear(&mut report), Some(11));
    join(&mut process).unwrap();
}

#[test]
fn at_the_normal_end_of_a_parent_a_daemon_that_ignores_sigterm_is_killed() {
    let Parent { mut process, mut report, normal, parent, daemon } = Parent::start(Daemon::Deaf);
    drop((parent, normal));
    assert_eq!(hear(&mut report), Some(11));
    join(&mut process).unwrap();
    assert!(is_readable(&daemon.0, Duration::ZERO), "it went before its parent");
}

#[test]
fn at_the_normal_end_of_a_parent_a_daemon_that_ignores_sigterm_is_killed_while_others_are_waited_for() {
    let Parent { mut process, mut report, normal, parent, daemon } = Parent::start(Daemon::Deaf);
    drop(parent);
    wait_for(&daemon.0);
    assert!(!is_readable(&process, Duration::ZERO), "it waits for the other");
    drop(normal);
    assert_eq!(hear(&mut report), Some(11));
    join(&mut process).unwrap();
}

#[test]
fn when_the_parent_is_killed_daemons_end_and_others_live_on() {
    for how in [Daemon::Polite, Daemon::Deaf, Daemon::Confused] {
        let Parent { mut process, mut report, normal, parent, daemon } = Parent::start(how);
        process.kill().unwrap();
        assert_eq!(join(&mut process).unwrap_err().signal(), Some(9));
        wait_for(&daemon.0);
        drop((parent, normal));
        assert_eq!(hear(&mut report), Some(10), "the normal child is there, its parent is not");
        assert_eq!(hear(&mut report), None);
    }
}

#[test]
fn when_the_thread_that_started_it_ends_a_daemon_lives_on() {
    let (reader, writer) = pipe();
    let f = |reader| {
        wait_for_end(reader);
        7
    };
    let started = thread::spawn(move || Builder::new().daemon(true).spawn(f, (reader,)).unwrap());
    let mut daemon = started.join().unwrap();
    assert_eq!(daemon.try_join().unwrap(), None);
    drop(writer);
    assert_eq!(join(&mut daemon).unwrap(), 7);
}

#[test]
fn a_daemon_cannot_have_children_and_keeps_their_arguments() {
    let f = || {
        assert!(current().is_daemon());
        let error = spawn(|blob: Blob, _: u32| blob, (Blob::new(b"kept").unwrap(), 5)).unwrap_err();
        assert!(matches!(error.reason(), Reason::Daemon));
        let text = error.to_string();
        let (blob, number) = error.into_args();
        (text, blob, number)
    };
    let mut daemon = Builder::new().daemon(true).spawn(f, ()).unwrap();
    let (text, blob, number) = join(&mut daemon).unwrap();
    assert!(text.ends_with(": this process is a daemon, which cannot have children"), "{text}");
    assert_eq!((&blob[..], number), (&b"kept"[..], 5));
}

#[test]
fn a_daemon_is_joined_like_any_child() {
    let mut daemon = Builder::new().daemon(true).spawn(|| 7, ()).unwrap();
    assert!(daemon.is_daemon());
    assert_eq!(join(&mut daemon).unwrap(), 7);
    assert_eq!(daemon.exit_code(), Some(0));
}

#[test]
fn a_nested_daemon_starts_daemons_and_nothing_else() {
    let tries = || {
        let daemon = Builder::new().daemon(true).spawn(|| 7, ()).map(|mut child| child.join().unwrap());
        let normal = spawn(|| (), ());
        (daemon.ok(), normal.is_err_and(|error| matches!(error.reason(), Reason::Daemon)))
    };
    let mut nested = Builder::new().daemon(true).nested(true).spawn(tries, ()).unwrap();
    assert_eq!(join(&mut nested).unwrap(), (Some(7), true));
    let mut plain = Builder::new().daemon(true).spawn(tries, ()).unwrap();
    assert_eq!(join(&mut plain).unwrap(), (None, true));
}
