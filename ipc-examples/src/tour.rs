//! What there is to see in a few seconds.

use std::io::{self, BufRead, BufReader, PipeWriter, Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::{Fd, monotonic};
use ipc_lock::{Event, Mutex};
use ipc_process::{Builder, spawn};

use crate::system;

type Shown = Result<(), Box<dyn std::error::Error>>;

/// Shows how children return, panic, are killed, leave a lock to others and end with their parent.
///
/// # Errors
/// Of starting children, of children that do not end as they should, and of writing to `out`.
pub fn show(out: &mut dyn Write) -> Shown {
    writeln!(out, "A function runs in a child process, and its result comes back.")?;
    let mut children = Vec::new();
    for n in [20_000, 40_000, 80_000] {
        children.push((n, spawn(primes_below, (n,))?));
    }
    for (n, child) in &mut children {
        let primes = child.join()?;
        writeln!(out, "    {} (pid {}) found {primes} primes below {n}", child.name(), child.pid())?;
    }

    writeln!(out, "\nA child panics: the parent gets the message, and the line of the source.")?;
    // It would print the same on its own.
    let mut cook = Builder::new().name("cook").stderr(Stdio::null()).spawn(burn, ("soup".to_owned(),))?;
    let error = cook.join().err().ok_or("the cook did not panic")?;
    writeln!(out, "    {error}")?;

    writeln!(out, "\nA child is killed with SIGKILL: the parent is told so, and does not hang.")?;
    let mut sleeper = Builder::new().name("sleeper").spawn(forever, ())?;
    sleeper.kill()?;
    let killed = Instant::now();
    let error = sleeper.join().err().ok_or("the sleeper was not killed")?;
    writeln!(out, "    {error}; join returned after {:.1?}", killed.elapsed())?;

    writeln!(
        out,
        "\nA process is killed with SIGKILL while it holds a lock: the next one gets it, and is told."
    )?;
    let (lock, locked) = (Mutex::new(())?, Event::new()?);
    let mut owner = Builder::new().name("owner").spawn(hold, (lock.clone(), locked.clone()))?;
    locked.wait();
    let mut waiter = Builder::new().name("waiter").spawn(wait_for, (lock.clone(),))?;
    system::until(|| !lock.waiters().is_empty());
    let killed = monotonic();
    owner.kill()?;
    let error = owner.join().err().ok_or("the owner was not killed")?;
    let (died, since) = waiter.join()?;
    writeln!(out, "    {error}")?;
    writeln!(
        out,
        "    {} (pid {}) had the lock {:.1?} later",
        waiter.name(),
        waiter.pid(),
        since.saturating_sub(killed)
    )?;
    writeln!(out, "    it was told: {}", died.ok_or("it was told nothing")?)?;

    writeln!(out, "\nA parent is killed with SIGKILL: its daemon ends by itself.")?;
    let (log, writer) = io::pipe()?;
    let mut parent = Builder::new().name("parent").spawn(parent_of_a_daemon, (Fd(writer),))?;
    let (mut log, mut line) = (BufReader::new(log), String::new());
    log.read_line(&mut line)?;
    parent.kill()?;
    let killed = Instant::now();
    let error = parent.join().err().ok_or("the parent was not killed")?;
    // The pipe is at its end when every process that could write to it is gone.
    log.read_to_string(&mut line)?;
    writeln!(out, "    {error}")?;
    writeln!(out, "    {} was gone after {:.1?}", line.trim_end(), killed.elapsed())?;
    Ok(())
}

fn primes_below(n: u32) -> usize {
    (2..n).filter(|n| (2..).take_while(|d| d * d <= *n).all(|d| n % d != 0)).count()
}

fn burn(dish: String) {
    panic!("the {dish} is burnt")
}

fn forever() {
    loop {
        thread::park();
    }
}

fn hold(lock: Mutex<()>, locked: Event) {
    let _guard = lock.lock();
    locked.set();
    forever()
}

/// What it was told with the lock, and when it had it.
fn wait_for(lock: Mutex<()>) -> (Option<String>, Duration) {
    let told = lock.lock().err().map(|died| died.to_string());
    (told, monotonic())
}

fn parent_of_a_daemon(log: Fd<PipeWriter>) {
    let _daemon = Builder::new().name("daemon").daemon(true).spawn(daemon, (log,)).expect("a daemon");
    forever()
}

fn daemon(mut log: Fd<PipeWriter>) {
    log.0
        .write_all(format!("its daemon (pid {})\n", std::process::id()).as_bytes())
        .expect("the log is read");
    forever()
}
