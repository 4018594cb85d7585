//! A program with a main of its own, without the test runner: how it ends, with children around.

use std::io::{PipeReader, PipeWriter, Read};
use std::process::{Command, ExitCode, Output};
use std::thread;
use std::time::Duration;

use ipc_core::Fd;
use ipc_process::{Builder, current, spawn};

const ROLE: &str = "PLAIN_TEST_ROLE";

fn main() -> ExitCode {
    match std::env::var(ROLE).as_deref() {
        Ok("returns") => leave_children_behind(),
        Ok("panics") => {
            leave_children_behind();
            panic!("as was to be");
        }
        Ok("exits") => {
            leave_children_behind();
            thread::spawn(|| std::process::exit(3)).join().unwrap();
        }
        Ok("late") => start_late(),
        _ => test(),
    }
    ExitCode::SUCCESS
}

fn wait_for_ever() {
    loop {
        thread::park();
    }
}

/// Starts a daemon that does not end by itself, and a child that does not end before the daemon has.
fn leave_children_behind() {
    let (daemon_end, daemon_hold) = std::io::pipe().unwrap();
    let daemon = |_hold: Fd<PipeWriter>| wait_for_ever();
    drop(Builder::new().daemon(true).spawn(daemon, (Fd(daemon_hold),)).unwrap());
    let normal = |mut daemon: Fd<PipeReader>| {
        daemon.0.read_to_end(&mut Vec::new()).unwrap();
        println!("normal child is done");
    };
    drop(spawn(normal, (Fd(daemon_end),)).unwrap());
    println!("main is done");
}

/// Has a thread start a child when the exit has begun, which is when the daemon is told to end.
fn start_late() {
    let (mut daemon_end, daemon_hold) = std::io::pipe().unwrap();
    let daemon = |_hold: Fd<PipeWriter>| wait_for_ever();
    drop(Builder::new().daemon(true).spawn(daemon, (Fd(daemon_hold),)).unwrap());
    let (exit_hold, exit) = std::io::pipe().unwrap();
    let delay_exit = |mut hold: Fd<PipeReader>| hold.0.read_to_end(&mut Vec::new()).unwrap();
    drop(spawn(delay_exit, (Fd(exit_hold),)).unwrap());
    thread::spawn(move || {
        daemon_end.read_to_end(&mut Vec::new()).unwrap();
        match spawn(|| (), ()) {
            Ok(_) => println!("started"),
            Err(error) => println!("{:?}", error.reason()),
        }
        drop(exit);
    });
}

fn run(role: &str) -> Output {
    let mut child = Command::new("/proc/self/exe");
    child.env(ROLE, role).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = child.spawn().unwrap();
    let pidfd = rustix::process::pidfd_open(
        rustix::process::Pid::from_raw(child.id() as i32).unwrap(),
        rustix::process::PidfdFlags::empty(),
    )
    .unwrap();
    let mut fds = [rustix::event::PollFd::new(&pidfd, rustix::event::PollFlags::IN)];
    let minute = rustix::event::Timespec::try_from(Duration::from_secs(60)).unwrap();
    if rustix::event::poll(&mut fds, Some(&minute)).unwrap() == 0 {
        child.kill().unwrap();
        panic!("{role} hangs");
    }
    // To the end of its output: until all of its children have ended, too.
    child.wait_with_output().unwrap()
}

fn test() {
    assert_eq!(current().name(), "MainProcess");
    for (role, code) in [("returns", 0), ("panics", 101), ("exits", 3)] {
        let output = run(role);
        assert_eq!(output.status.code(), Some(code), "{role}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "main is done\nnormal child is done\n", "{role}");
    }
    let output = run("late");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "Exiting\n");

    let mut child =
        spawn(|a: u32, b: u32| spawn(|c: u32| c, (a + b,)).unwrap().join().unwrap(), (3, 4)).unwrap();
    assert_eq!(child.join().unwrap(), 7);
}
