//! Pools within pools and in children, and what becomes of workers when their parent ends.

use std::io::{PipeReader, PipeWriter};
use std::process;
use std::thread;

use ipc_core::Fd;
use ipc_crash_test::alone::heed_interrupts;
use ipc_pool::{Builder, Pool, PoolError, TaskError};
use rustix::process::{Pid, Signal, kill_process};

use crate::help::{Words, at_end, end, get, stop};

fn sum_of_squares(count: u64) -> u64 {
    let pool = Pool::new(2).unwrap();
    let sum = pool.map(|x: u64| x * x, 0..count).unwrap().iter().sum();
    end(&pool);
    sum
}

#[test]
fn a_task_may_have_a_pool_if_it_asks_for_it() {
    let pool = Builder::new().workers(2).nested(true).build().unwrap();
    assert_eq!(pool.map(sum_of_squares, [3, 4]).unwrap(), [5, 14]);
    end(&pool);

    let plain = Pool::new(1).unwrap();
    let tries = || match Pool::new(1) {
        Err(PoolError::Start(why)) => why,
        other => format!("{other:?}"),
    };
    assert!(plain.apply(tries, ()).unwrap().contains("this process is a daemon"));
    end(&plain);
}

#[test]
fn a_daemon_can_have_a_pool_if_it_is_nested_and_is_told_if_it_is_not() {
    let mut nested =
        ipc_process::Builder::new().daemon(true).nested(true).spawn(sum_of_squares, (4,)).unwrap();
    assert_eq!(nested.join().unwrap(), 14);
    let mut plain =
        ipc_process::Builder::new().daemon(true).spawn(|| Pool::new(2).unwrap_err().to_string(), ()).unwrap();
    let why = plain.join().unwrap();
    assert!(why.contains("this process is a daemon, which cannot have children"), "{why}");
}

/// Says that it is there, and never ends by itself.
fn stay(words: Words, _alive: Fd<PipeWriter>) {
    words.add(0);
    words.wait(1, u32::MAX);
}

fn nest(words: Words, alive: Fd<PipeWriter>) {
    let pool = Pool::new(1).unwrap();
    let copy = Fd(alive.0.try_clone().unwrap());
    drop(pool.apply_async(stay, (words.clone(), copy)).unwrap());
    stay(words, alive);
}

/// A program with a pool, whose workers have the pipe for as long as they live.
fn parent(words: Words, alive: Fd<PipeWriter>) {
    heed_interrupts();
    let pool = Builder::new().workers(2).nested(true).build().unwrap();
    let copy = Fd(alive.0.try_clone().unwrap());
    drop(pool.apply_async(stay, (words.clone(), copy)).unwrap());
    drop(pool.apply_async(nest, (words.clone(), alive)).unwrap());
    words.wait(2, u32::MAX);
}

fn start() -> (ipc_process::Child<()>, Fd<PipeReader>) {
    let words = Words::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let child = ipc_process::spawn(parent, (words.clone(), Fd(writer))).unwrap();
    // Two workers, and one of the second one's own.
    words.wait(0, 3);
    (child, Fd(reader))
}

#[test]
fn workers_end_when_their_parent_is_killed() {
    let (mut parent, alive) = start();
    parent.kill().unwrap();
    parent.join().unwrap_err();
    at_end(alive);
}

/// A program with a worker that says who it is, started by a thread that has ended since.
fn parent_of_one(words: Words, alive: Fd<PipeWriter>) {
    let pool = thread::spawn(|| Pool::new(1).unwrap()).join().unwrap();
    let tell = |words: Words, alive: Fd<PipeWriter>| {
        words.set(3, process::id());
        stay(words, alive);
    };
    drop(pool.apply_async(tell, (words.clone(), alive)).unwrap());
    words.wait(2, u32::MAX);
}

#[test]
fn a_stopped_worker_ends_when_its_parent_is_killed() {
    let words = Words::new();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut parent = ipc_process::spawn(parent_of_one, (words.clone(), Fd(writer))).unwrap();
    words.wait(0, 1);
    stop(words.get(3));
    parent.kill().unwrap();
    parent.join().unwrap_err();
    at_end(Fd(reader));
}

#[test]
fn an_interrupt_ends_the_whole_program() {
    let (mut parent, alive) = start();
    // As the terminal sends it to all; here to those who have it from their parent alone.
    kill_process(Pid::from_raw(parent.pid() as i32).unwrap(), Signal::INT).unwrap();
    assert_eq!(parent.join().unwrap_err().signal(), Some(2));
    at_end(alive);
}

#[test]
fn an_interrupt_does_not_touch_a_worker() {
    let pool = Pool::new(1).unwrap();
    let interrupt = || {
        kill_process(rustix::process::getpid(), Signal::INT).unwrap();
        process::id()
    };
    let pid = pool.workers()[0].pid();
    assert_eq!(get(&pool.apply_async(interrupt, ()).unwrap()).unwrap(), pid);
    // What a task starts is not protected.
    let shell =
        || process::Command::new("sh").args(["-c", "kill -INT $$; sleep 10"]).status().unwrap().success();
    assert!(!get(&pool.apply_async(shell, ()).unwrap()).unwrap());
    end(&pool);
}

#[test]
fn a_program_may_exit_with_a_pool() {
    fn program(code: i32) {
        let pool = Pool::new(2).unwrap();
        drop(pool.map_async(|_: u32| std::thread::park(), 0..10).unwrap());
        process::exit(code);
    }
    let mut child = ipc_process::spawn(program, (3,)).unwrap();
    child.join().unwrap_err();
    assert_eq!(child.exit_code(), Some(3));
    assert!(matches!(
        Pool::new(1).unwrap().apply(|| -> () { process::exit(1) }, ()),
        Err(TaskError::WorkerDied { .. })
    ));
}
