//! Programs that do with processes as they please.

use std::thread;

use ipc_core::Fd;
use ipc_process::{Builder, Failure, active_children, spawn};
use rustix::process::{Pid, WaitOptions};

use crate::common::{alone, descriptors, has_children, join, pipe, wait_for, wait_for_end};

/// Kills itself.
fn die() {
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL).unwrap();
}

fn ignore_sigchld() {
    // SAFETY: ignoring a signal runs no code of ours in a handler.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

#[test]
fn ignored_sigchld_costs_the_status_and_not_the_result() {
    alone(|| {
        ignore_sigchld();
        let before = descriptors();
        let mut children: Vec<_> = (0..50_u32).map(|number| spawn(|n: u32| n, (number,)).unwrap()).collect();
        for (child, number) in children.iter_mut().zip(0..) {
            assert_eq!(join(child).unwrap(), number);
            assert_eq!(child.exit_code(), Some(-256));
            assert!(!child.is_alive());
            child.kill().unwrap();
        }
        let mut killed = spawn(die, ()).unwrap();
        assert_eq!(join(&mut killed).unwrap_err().failure(), &Failure::Vanished);
        drop((children, killed));
        assert!(active_children().is_empty());
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn under_ignored_sigchld_a_living_child_is_alive() {
    alone(|| {
        ignore_sigchld();
        let (reader, writer) = pipe();
        let mut child = spawn(wait_for_end, (reader,)).unwrap();
        assert!(child.is_alive());
        assert_eq!(child.try_join().unwrap(), None);
        assert_eq!(active_children().len(), 1);
        drop(writer);
        join(&mut child).unwrap();
    });
}

#[test]
fn a_status_that_another_took_costs_the_status_and_not_the_result() {
    alone(|| {
        let (hold, held) = pipe();
        let copy = Fd(hold.0.try_clone().unwrap());
        let returns = |hold| {
            wait_for_end(hold);
            7
        };
        let dies = |hold| {
            wait_for_end(hold);
            die();
        };
        let mut returned = spawn(returns, (hold,)).unwrap();
        let mut killed = spawn(dies, (copy,)).unwrap();
        drop(held);
        for _ in 0..2 {
            rustix::process::wait(WaitOptions::empty()).unwrap().unwrap();
        }
        assert_eq!(join(&mut returned).unwrap(), 7);
        assert_eq!(join(&mut killed).unwrap_err().failure(), &Failure::Vanished);
        assert_eq!((returned.exit_code(), killed.exit_code()), (Some(-256), Some(-256)));
        returned.terminate().unwrap();
    });
}

#[test]
fn a_thread_that_takes_every_status_costs_no_result() {
    alone(|| {
        let (hold, held) = pipe();
        // While there is any child, there is something to wait for.
        let mut last = spawn(wait_for_end, (hold,)).unwrap();
        let thief = thread::spawn(|| while rustix::process::wait(WaitOptions::empty()).is_ok() {});
        for number in 0..50_u32 {
            assert_eq!(join(&mut spawn(|n: u32| n, (number,)).unwrap()).unwrap(), number);
        }
        drop(held);
        join(&mut last).unwrap();
        thief.join().unwrap();
    });
}

#[test]
fn other_children_of_the_program_are_left_alone() {
    alone(|| {
        let mut other = std::process::Command::new("true").spawn().unwrap();
        wait_for(
            rustix::process::pidfd_open(
                Pid::from_raw(other.id() as i32).unwrap(),
                rustix::process::PidfdFlags::empty(),
            )
            .unwrap(),
        );
        let mut child = spawn(|| 7, ()).unwrap();
        assert!(active_children().iter().all(|child| child.pid() != other.id()));
        assert_eq!(join(&mut child).unwrap(), 7);
        assert!(other.wait().unwrap().success(), "its status is still there");
    });
}

#[test]
fn a_forked_process_has_none_of_the_children_and_ends_none() {
    alone(|| {
        let (reader, writer) = pipe();
        let mut child = Builder::new().daemon(true).spawn(wait_for_end, (reader,)).unwrap();
        // SAFETY: this process has one thread, so that its copy can do all that it can.
        match unsafe { libc::fork() } {
            0 => {
                let alone = active_children().is_empty();
                let own = join(&mut spawn(|| 7, ()).unwrap()).is_ok_and(|seven| seven == 7);
                // Runs what is to be run at exit.
                std::process::exit(if alone && own { 0 } else { 1 });
            }
            pid => {
                let pid = Pid::from_raw(pid);
                let (_, status) = rustix::process::waitpid(pid, WaitOptions::empty()).unwrap().unwrap();
                assert_eq!(status.exit_status(), Some(0));
            }
        }
        assert_eq!(child.try_join().unwrap(), None, "it lives");
        drop(writer);
        join(&mut child).unwrap();
        assert!(!has_children());
    });
}
