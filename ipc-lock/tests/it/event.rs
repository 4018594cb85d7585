use std::sync::OnceLock;
use std::time::Duration;

use ipc_lock::{Event, Timeout};

use crate::help::{LONG, SHORT, alone, fork, join, past, spawn, until};

#[test]
fn it_is_set_and_cleared_any_number_of_times() {
    let event = Event::new().unwrap();
    for _ in 0..3 {
        assert!(!event.is_set());
        assert_eq!(event.wait_timeout(SHORT), Err(Timeout));
        assert_eq!(event.wait_deadline(past()), Err(Timeout));
        event.set();
        event.set();
        assert!(event.is_set());
        event.wait();
        assert_eq!(event.wait_deadline(past()), Ok(()));
        assert_eq!(event.wait_timeout(Duration::MAX), Ok(()));
        event.clear();
        event.clear();
    }
}

#[test]
fn all_who_wait_are_let_go() {
    fn wait(event: Event) -> bool {
        event.wait_timeout(LONG).is_ok()
    }
    let event = Event::new().unwrap();
    let mut children = [(); 3].map(|()| spawn(wait, (event.clone(),)));
    until("all wait", || event.waiters().len() == 3);
    event.set();
    assert!(children.iter_mut().all(join));
}

/// The waiter is stopped while it is set and cleared again: it cannot look in between.
#[test]
fn a_set_is_seen_also_when_it_is_cleared_at_once() {
    alone(|| {
        let event = Event::new().unwrap();
        let waiter = fork(|| event.wait_timeout(LONG).unwrap());
        until("it waits", || !event.waiters().is_empty());
        waiter.stop();
        event.set();
        event.clear();
        waiter.signal(rustix::process::Signal::CONT);
        waiter.join();
        assert!(!event.is_set());
        assert_eq!(event.wait_timeout(SHORT), Err(Timeout), "who comes later waits");
    });
}

#[test]
fn setting_waits_for_nobody_who_is_dead_or_stopped() {
    alone(|| {
        let event = Event::new().unwrap();
        let (killed, stopped) = (fork(|| event.wait()), fork(|| event.wait()));
        until("both wait", || event.waiters().len() == 2);
        killed.kill();
        stopped.stop();
        for _ in 0..100 {
            event.set();
            event.clear();
        }
        event.set();
        assert!(event.is_set());
        stopped.signal(rustix::process::Signal::CONT);
        stopped.join();
    });
}

#[test]
fn it_can_be_set_from_a_signal_handler_at_any_moment() {
    static EVENT: OnceLock<Event> = OnceLock::new();
    extern "C" fn set(_: libc::c_int) {
        EVENT.get().unwrap().set();
    }
    alone(|| {
        let event = EVENT.get_or_init(|| Event::new().unwrap());
        // SAFETY: the handler is async-signal-safe, which is what this test is about.
        unsafe { libc::signal(libc::SIGUSR1, set as *const () as libc::sighandler_t) };
        let me = std::process::id() as i32;
        let sender = fork(|| {
            loop {
                // SAFETY: takes integers; the parent lives as long as this child.
                unsafe { libc::kill(me, libc::SIGUSR1) };
                std::thread::yield_now();
            }
        });
        for _ in 0..20_000 {
            event.wait_timeout(LONG).unwrap();
            event.clear();
            event.is_set();
            event.set();
            event.clear();
        }
        drop(sender);
        // Its destructor does not run.
        // SAFETY: ignoring a signal needs no handler.
        unsafe { libc::signal(libc::SIGUSR1, libc::SIG_IGN) };
        crate::help::leave();
    });
}

#[test]
fn a_handle_that_was_handed_over_is_the_same_event() {
    let event = Event::new().unwrap();
    join(&mut spawn(|event: Event| event.set(), (event.clone(),)));
    assert!(event.is_set());
}
