use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ipc_core::futex::{MAX_WORDS, Wake, wait, wait_any, wait_timeout, wake, wake_all};
use ipc_core::{Place, Segment, deadline};
use rustix::process::Signal;

use crate::help::{Gate, alone, fork, spec};

fn word(segment: &Segment, index: u64) -> Place<AtomicU32> {
    Place::new(segment, index * 4).unwrap()
}

/// Waits until a process sleeps in a futex, which /proc tells.
fn until_asleep(pid: u32) {
    let asleep = || {
        let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
        let number = call.split(' ').next().unwrap().parse::<libc::c_long>();
        number.is_ok_and(|number| [libc::SYS_futex, libc::SYS_futex_waitv].contains(&number))
    };
    while !asleep() {
        std::thread::yield_now();
    }
}

#[test]
fn a_sleeper_in_another_process_is_woken() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let word = word(&segment, 0);
        let child = fork(|| {
            while word.load(Ordering::Acquire) == 0 {
                let _ = wait(&word, 0, None);
            }
        });
        until_asleep(child.pid());
        word.store(1, Ordering::Release);
        wake(&word, 1);
        child.join();
    });
}

#[test]
fn no_more_than_asked_for_are_woken() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let word = word(&segment, 0);
        let sleep = || assert_eq!(wait(&word, 0, None), Wake::Woken);
        let children: Vec<_> = (0..3).map(|_| fork(sleep)).collect();
        children.iter().for_each(|child| until_asleep(child.pid()));
        assert_eq!(wake(&word, 0), 0);
        assert_eq!(wake(&word, 1), 1);
        assert_eq!(wake(&word, u32::MAX), 2);
        children.into_iter().for_each(|child| child.join());
        assert_eq!(wake_all(&word), 0);
    });
}

#[test]
fn a_word_that_has_changed_is_not_waited_for() {
    let word = AtomicU32::new(7);
    assert_eq!(wait(&word, 6, None), Wake::Woken);
    assert_eq!(wait_any(&[(&word, 7), (&word, 6)], None).unwrap(), Wake::Woken);
}

#[test]
fn a_deadline_ends_the_wait_and_not_before() {
    let word = AtomicU32::new(0);
    let start = Instant::now();
    let until = start + Duration::from_millis(30);
    assert_eq!(wait(&word, 0, Some(until)), Wake::TimedOut);
    assert!(Instant::now() >= until);
    let until = Instant::now() + Duration::from_millis(30);
    assert_eq!(wait_any(&[(&word, 0)], Some(until)).unwrap(), Wake::TimedOut);
    assert!(Instant::now() >= until);
}

#[test]
fn a_deadline_in_the_past_does_not_sleep() {
    let word = AtomicU32::new(0);
    let past = Instant::now() - Duration::from_secs(1);
    assert_eq!(wait(&word, 0, Some(past)), Wake::TimedOut);
    assert_eq!(wait_any(&[(&word, 0)], Some(past)).unwrap(), Wake::TimedOut);
}

#[test]
fn the_longest_timeouts_are_waits_without_end() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let word = word(&segment, 0);
        let mut timeouts = vec![Duration::MAX, Duration::from_secs(u64::MAX), Duration::from_secs(1 << 62)];
        // The farthest moment that can be expressed.
        let mut far = Duration::from_secs(1 << 40);
        while Instant::now().checked_add(far * 2).is_some() {
            far *= 2;
        }
        timeouts.push(far);
        for timeout in timeouts {
            for any in [false, true] {
                word.store(0, Ordering::Relaxed);
                let until = deadline(timeout);
                let child = fork(|| {
                    while word.load(Ordering::Acquire) == 0 {
                        let how =
                            if any { wait_any(&[(&word, 0)], until).unwrap() } else { wait(&word, 0, until) };
                        assert_eq!(how, Wake::Woken);
                    }
                });
                until_asleep(child.pid());
                word.store(1, Ordering::Release);
                wake_all(&word);
                child.join();
            }
        }
    });
}

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    SIGNALS.fetch_add(1, Ordering::Relaxed);
}

/// Runs `body` in a child that is sent signals all the time, whose handler interrupts system calls.
fn under_signals(body: impl FnOnce()) {
    let ready = Gate::new();
    let mut child = fork(|| {
        // SAFETY: plain data, for which zero is valid.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as *const () as usize;
        // SAFETY: the handler only touches an atomic.
        assert_eq!(unsafe { libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut()) }, 0);
        ready.open();
        body();
    });
    ready.pass();
    while !child.has_ended() {
        child.signal(Signal::USR1);
        // As often as a fast timer would.
        std::thread::sleep(Duration::from_micros(500));
    }
    child.join();
}

#[test]
fn signals_neither_end_nor_prolong_a_wait() {
    alone(|| {
        under_signals(|| {
            let word = AtomicU32::new(0);
            for any in [false, true] {
                let before = SIGNALS.load(Ordering::Relaxed);
                let until = Instant::now() + Duration::from_millis(200);
                let how = match any {
                    false => wait(&word, 0, Some(until)),
                    true => wait_any(&[(&word, 0)], Some(until)).unwrap(),
                };
                assert_eq!(how, Wake::TimedOut);
                assert!(Instant::now() >= until, "ended early");
                assert!(Instant::now() < until + Duration::from_secs(30), "began anew with every signal");
                assert!(SIGNALS.load(Ordering::Relaxed) > before, "the test did not test");
            }
        });
    });
}

#[test]
fn signals_do_not_keep_memory_from_being_reserved() {
    alone(|| {
        under_signals(|| {
            let segment = Segment::anonymous(&spec().len(256 << 20)).unwrap();
            assert_eq!(segment.len(), 256 << 20);
            assert!(SIGNALS.load(Ordering::Relaxed) > 0, "the test did not test");
        });
    });
}

#[test]
fn each_of_many_words_wakes_the_one_who_waits_for_all() {
    alone(|| {
        let segment = Segment::anonymous(&spec().len(4 * MAX_WORDS as u64)).unwrap();
        let words: Vec<_> = (0..MAX_WORDS as u64).map(|index| word(&segment, index)).collect();
        let child = fork(|| {
            for round in 0..MAX_WORDS {
                while words[round].load(Ordering::Acquire) == 0 {
                    let all: Vec<_> = words
                        .iter()
                        .map(|word| (&**word, u32::from(word.load(Ordering::Acquire) != 0)))
                        .collect();
                    if words[round].load(Ordering::Acquire) == 0 {
                        assert_eq!(wait_any(&all, None).unwrap(), Wake::Woken);
                    }
                }
            }
        });
        for word in &words {
            until_asleep(child.pid());
            word.store(1, Ordering::Release);
            wake(word, 1);
        }
        child.join();
    });
}

#[test]
fn no_word_or_more_than_the_kernel_takes_is_an_error() {
    let word = AtomicU32::new(0);
    for count in [0, MAX_WORDS + 1] {
        let error = wait_any(&vec![(&word, 0); count], None).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}

#[test]
fn a_wait_of_some_time_ends_with_a_wake_up_or_without() {
    let word = AtomicU32::new(0);
    assert_eq!(wait_timeout(&word, 1, Duration::MAX), Wake::Woken, "the word has changed already");
    assert_eq!(wait_timeout(&word, 0, Duration::ZERO), Wake::TimedOut);
    assert_eq!(wait_timeout(&word, 0, Duration::from_millis(1)), Wake::TimedOut);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| wait_timeout(&word, 0, Duration::MAX));
        while wake_all(&word) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(sleeper.join().unwrap(), Wake::Woken);
    });
}
