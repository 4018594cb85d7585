//! How a walk proceeds: strides, limits, preparation, signals.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use ipc_crash_test::{KillTest, Outcome, SharedBox, WalkEnd, markdown_table};
use nix::sys::signal::{Signal, kill, raise};
use nix::unistd::{Pid, getpid};

fn counter() -> SharedBox<AtomicU64> {
    SharedBox::new(AtomicU64::new(0))
}

fn count_to(counter: &AtomicU64, limit: u64) {
    while counter.load(SeqCst) < limit {
        counter.fetch_add(1, SeqCst);
    }
}

#[test]
fn the_preparation_is_not_stepped() {
    let test = |prepared: u64| {
        KillTest::new("count", counter)
            .victim(move |counter, step| {
                count_to(counter, prepared);
                step.run(|| count_to(counter, prepared + 5));
            })
            .check(move |counter, outcome| {
                assert!(counter.load(SeqCst) >= prepared);
                assert_eq!(outcome == Outcome::Completed, counter.load(SeqCst) == prepared + 5);
            })
    };
    let (short, long) = (test(0).stride(1000).run(), test(100_000).stride(1000).run());
    assert_eq!(short.steps, long.steps);
}

#[test]
fn a_stride_kills_at_every_nth_instruction_and_at_the_end() {
    let every = KillTest::new("count", counter).operation(|c| count_to(c, 3)).check(|_, _| {}).run();
    let seventh =
        KillTest::new("count", counter).operation(|c| count_to(c, 3)).check(|_, _| {}).stride(7).run();
    println!("{}", markdown_table([&every, &seventh]));
    assert_eq!(every.kills, every.steps + 1);
    assert_eq!(seventh.steps, every.steps);
    assert_eq!(seventh.kills, every.steps.div_ceil(7) + 1);
}

#[test]
fn limits_end_an_endless_operation() {
    let endless = || KillTest::new("endless", counter).operation(|c| count_to(c, u64::MAX)).check(|_, _| {});
    let steps = endless().start_at(10).stride(5).max_steps(20).run();
    assert_eq!((steps.end, steps.steps, steps.kills), (WalkEnd::StepLimit, 20, 3));
    let time = endless().time_budget(Duration::from_millis(200)).run();
    assert_eq!(time.end, WalkEnd::OutOfTime);
    time.assert_clean();
}

#[test]
fn a_signal_reaches_the_victims_handler() {
    let report = KillTest::new("raise", counter)
        .operation(|counter| {
            raise(Signal::SIGCHLD).unwrap();
            raise(Signal::SIGSTOP).unwrap();
            counter.store(1, SeqCst);
        })
        .check(|counter, outcome| assert!(outcome != Outcome::Completed || counter.load(SeqCst) == 1))
        .stride(11)
        .run();
    report.assert_complete();

    let deadly = KillTest::new("raise", counter)
        .operation(|_| raise(Signal::SIGTERM).unwrap())
        .check(|_, _| {})
        .stride(1000)
        .run();
    assert!(deadly.failures[0].message.contains("SIGTERM"), "{}", deadly.failures[0]);
}

/// A dead process is a zombie until its parent reaps it: liveness tests have to see through that.
#[test]
fn zombies_are_left_on_request() {
    let id_still_taken = |zombies: bool| {
        let test = KillTest::new("set", counter)
            .victim(|counter, step| {
                counter.store(getpid().as_raw() as u64, SeqCst);
                step.run(|| {});
            })
            .check(move |counter, _| {
                let exists = kill(Pid::from_raw(counter.load(SeqCst) as i32), None).is_ok();
                assert_eq!(exists, zombies);
            });
        if zombies { test.leave_zombies() } else { test }
    };
    id_still_taken(true).run().assert_clean();
    id_still_taken(false).run().assert_clean();
}
