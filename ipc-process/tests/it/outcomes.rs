//! What the parent learns of how a child ended.

use std::io::Read;
use std::panic;
use std::process::Stdio;

use ipc_process::{Builder, Failure, JoinError, Panic, spawn};

use crate::common::{join, wait_for_end};

fn failure<R: serde::de::DeserializeOwned>(child: &mut ipc_process::Child<R>) -> JoinError {
    match join(child) {
        Ok(_) => panic!("{:?} has a result", child.process()),
        Err(error) => error,
    }
}

#[test]
fn a_panic_travels_with_its_message_and_place() {
    let builder = Builder::new().stderr(Stdio::null());
    let f = |what: String| -> u32 { panic!("no {what}") };
    let line = line!() - 1;
    let mut child = builder.spawn(f, ("flour".to_owned(),)).unwrap();
    let error = failure(&mut child);
    let panic = error.panic().unwrap();
    assert_eq!(panic.message, "no flour");
    let place = panic.location.as_ref().unwrap();
    assert!(place.contains("outcomes.rs:") && place.contains(&format!(":{line}:")), "{place}");
    assert_eq!((error.pid(), error.process()), (child.pid(), child.name()));
    let name = child.name();
    assert_eq!(
        error.to_string(),
        format!("process `{name}` (pid {}) panicked at {place}: no flour", child.pid())
    );
    assert_eq!(child.exit_code(), Some(101));
    assert_eq!(error.signal(), None);
}

#[test]
fn a_panic_with_a_value_that_is_no_text_travels() {
    let f = || -> () { panic::panic_any(5) };
    let mut child = Builder::new().stderr(Stdio::null()).spawn(f, ()).unwrap();
    assert_eq!(failure(&mut child).panic().unwrap().message, "a value that is no text");
}

#[test]
fn a_panic_is_printed_by_the_child_with_its_name() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let builder = Builder::new().name("baker").env("RUST_BACKTRACE", "0").stderr(writer);
    let mut child = builder.spawn(|| -> () { panic!("no {}", "yeast") }, ()).unwrap();
    let error = failure(&mut child);
    let mut printed = String::new();
    reader.read_to_string(&mut printed).unwrap();
    assert_eq!(printed, format!("{error}\n"));
    assert!(printed.starts_with(&format!("process `baker` (pid {}) panicked at ", child.pid())));
    assert_eq!(error.panic().unwrap().backtrace, None);
}

#[test]
fn a_backtrace_travels_if_it_is_asked_for() {
    let builder = Builder::new().env("RUST_BACKTRACE", "1").stderr(Stdio::null());
    let mut child = builder.spawn(|| -> () { panic!() }, ()).unwrap();
    assert!(failure(&mut child).panic().unwrap().backtrace.as_ref().unwrap().contains("outcomes"));
}

#[test]
fn a_panic_whose_print_nobody_reads_travels() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = Builder::new().stderr(writer).spawn(|| -> () { panic!("unheard") }, ()).unwrap();
    assert_eq!(failure(&mut child).panic().unwrap().message, "unheard");
}

#[test]
fn a_panic_under_a_hook_of_the_programs_own_has_no_place() {
    let quiet = || -> () {
        panic::set_hook(Box::new(|_| {}));
        panic!("quiet")
    };
    let panic = Panic { message: "quiet".to_owned(), location: None, backtrace: None };
    let error = failure(&mut spawn(quiet, ()).unwrap());
    assert_eq!(error.failure(), &Failure::Panicked(panic));
    assert!(error.to_string().ends_with(") panicked: quiet"), "{error}");
}

#[test]
fn a_panic_reads_as_a_sentence_by_itself() {
    let mut panic = Panic { message: "no yeast".to_owned(), location: None, backtrace: None };
    assert_eq!(panic.to_string(), "panicked: no yeast");
    panic.location = Some("bun.rs:1:2".to_owned());
    assert_eq!(panic.to_string(), "panicked at bun.rs:1:2: no yeast");
}

#[test]
fn a_panic_that_is_caught_is_no_failure() {
    let caught = || {
        let silent = panic::catch_unwind(|| panic!("first"));
        let in_thread = std::thread::spawn(|| panic!("second")).join();
        (silent.is_err(), in_thread.is_err())
    };
    let mut child = Builder::new().stderr(Stdio::null()).spawn(caught, ()).unwrap();
    assert_eq!(join(&mut child).unwrap(), (true, true));
    assert_eq!(child.exit_code(), Some(0));
}

#[test]
fn a_payload_that_panics_when_dropped_is_a_panic() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("again");
        }
    }
    let mut child =
        Builder::new().stderr(Stdio::null()).spawn(|| -> () { panic::panic_any(Bomb) }, ()).unwrap();
    assert_eq!(failure(&mut child).panic().unwrap().message, "a value that is no text");
    assert_eq!(child.exit_code(), Some(101));
}

#[test]
fn an_exit_before_the_return_is_a_failure_whatever_the_code() {
    for code in [0, 3, 126, 255] {
        let mut child = spawn(|code| -> () { std::process::exit(code) }, (code,)).unwrap();
        assert_eq!(failure(&mut child).failure(), &Failure::Exited { code });
        assert_eq!(child.exit_code(), Some(code));
    }
    let mut child = spawn(|| -> () { std::process::exit(256 + 44) }, ()).unwrap();
    assert_eq!(failure(&mut child).failure(), &Failure::Exited { code: 44 });
}

#[test]
fn a_signal_that_killed_it_is_told() {
    fn raise(signal: i32) {
        // SAFETY: raising a signal has no preconditions.
        unsafe { libc::raise(signal) };
    }
    for signal in [libc::SIGKILL, libc::SIGSEGV, libc::SIGTERM, libc::SIGUSR1] {
        let mut child = spawn(raise, (signal,)).unwrap();
        let error = failure(&mut child);
        assert_eq!(error.failure(), &Failure::Killed { signal });
        assert_eq!((error.signal(), child.exit_code()), (Some(signal), Some(-signal)));
    }
    let mut child = spawn(|| -> () { std::process::abort() }, ()).unwrap();
    assert!(failure(&mut child).to_string().ends_with("was killed by SIGABRT"));
}

#[test]
fn killed_after_it_returned_it_has_a_result_all_the_same() {
    extern "C" fn die() {
        // SAFETY: raising a signal has no preconditions.
        unsafe { libc::raise(libc::SIGKILL) };
    }
    let f = || {
        // SAFETY: `die` stays where it is as long as the process runs.
        unsafe { libc::atexit(die) };
        vec![1_u8; 100_000]
    };
    let mut child = spawn(f, ()).unwrap();
    assert_eq!(join(&mut child).unwrap().len(), 100_000);
    assert_eq!(child.exit_code(), Some(-9));
}

#[test]
fn a_process_that_the_child_forks_does_not_answer_for_it() {
    let f = || {
        // SAFETY: this process has one thread, so that its copy can do all that it can.
        match unsafe { libc::fork() } {
            0 => 2,
            pid => {
                let pid = rustix::process::Pid::from_raw(pid);
                rustix::process::waitpid(pid, rustix::process::WaitOptions::empty()).unwrap();
                1
            }
        }
    };
    assert_eq!(join(&mut spawn(f, ()).unwrap()).unwrap(), 1);
}

#[test]
fn terminate_and_kill_say_which_signal_it_was() {
    let (reader, _writer) = crate::common::pipe();
    let copy = ipc_core::Fd(reader.0.try_clone().unwrap());
    let mut terminated = spawn(wait_for_end, (reader,)).unwrap();
    let mut killed = spawn(wait_for_end, (copy,)).unwrap();
    assert!(terminated.is_alive() && killed.is_alive());
    assert_eq!((terminated.exit_code(), killed.exit_code()), (None, None));
    terminated.terminate().unwrap();
    killed.kill().unwrap();
    assert_eq!(failure(&mut terminated).failure(), &Failure::Killed { signal: 15 });
    assert_eq!(failure(&mut killed).failure(), &Failure::Killed { signal: 9 });
    assert_eq!((terminated.exit_code(), killed.exit_code()), (Some(-15), Some(-9)));
}
