//! A process is killed while it holds the lock. What becomes of those who wait for it?
//!
//! In Python:
//!
//! ```python
//! def transfer(lock, accounts):
//!     lock.acquire()
//!     accounts[0] -= 30
//!     os.kill(os.getpid(), signal.SIGKILL)
//!     accounts[1] += 30
//!     lock.release()
//!
//! lock, accounts = Lock(), Array("i", [100, 0])
//! p = Process(target=transfer, args=(lock, accounts))
//! p.start()
//! p.join()
//! lock.acquire()                    # waits for ever
//! ```
//!
//! Here the next process gets the lock, and is told that the owner died: the work may be half done, and only the
//! program knows what that means for its data. The data lies within the lock, so that nobody can reach it without
//! hearing this. Whoever is told puts it right, and after that the lock is as good as new.
//!
//! Prints who holds and who waits before the kill, how long the waiter then took to have the lock, what it found and
//! what it made of it.

use std::thread;
use std::time::Duration;

use ipc_core::monotonic;
use ipc_lock::{Event, Mutex, shareable};
use ipc_process::{Builder, spawn};

use super::Outcome;
use crate::system;

const TOTAL: i64 = 100;

/// The promise.
const SOON: Duration = Duration::from_millis(100);

shareable! {
    #[derive(Debug, PartialEq)]
    struct Accounts {
        mine: i64,
        yours: i64,
    }
}

/// Is killed between the two halves.
fn transfer(accounts: Mutex<Accounts>, halfway: Event) {
    let mut accounts = accounts.lock().expect("nobody died yet");
    accounts.mine -= 30;
    halfway.set();
    loop {
        thread::park();
    }
}

/// Waits for the lock and puts the accounts right. Says when it had the lock, whether the owner had died, and what it
/// found of mine and yours.
fn audit(accounts: Mutex<Accounts>) -> (Duration, bool, (i64, i64)) {
    let (mut accounts, died) = match accounts.lock() {
        Ok(guard) => (guard, false),
        Err(owner_died) => (owner_died.into_inner(), true),
    };
    let since = monotonic();
    let found = *accounts;
    // Half a transfer has taken place: finish it.
    accounts.yours = TOTAL - accounts.mine;
    (since, died, (found.mine, found.yours))
}

/// How long the waiter waited after the kill.
fn recovery() -> Result<Duration, Box<dyn std::error::Error>> {
    let accounts = Mutex::new(Accounts { mine: TOTAL, yours: 0 })?;
    let halfway = Event::new()?;
    let mut owner = Builder::new().name("owner").spawn(transfer, (accounts.clone(), halfway.clone()))?;
    halfway.wait();
    let mut auditor = spawn(audit, (accounts.clone(),))?;
    system::until(|| !accounts.waiters().is_empty());

    let holder = accounts.holder().and_then(|holder| holder.process).ok_or("nobody has the lock")?;
    println!("{} ({:?}) holds the lock", holder.pid, holder.name);
    println!("{} waits", accounts.waiters()[0].pid);
    assert_eq!(holder.pid, owner.pid());
    assert_eq!(accounts.waiters()[0].pid, auditor.pid());

    let killed = monotonic();
    owner.kill()?;
    assert_eq!(owner.join().expect_err("it was killed").signal(), Some(9));
    let (since, died, found) = auditor.join()?;
    let took = since.saturating_sub(killed);
    println!("it has the lock {took:.1?} after the kill; told that the owner died: {died}");
    println!("    mine and yours were {found:?}");
    assert!(died);
    assert_eq!(found, (TOTAL - 30, 0));

    // Nobody is told twice.
    let guard = accounts.lock().map_err(|_| "told again that the owner died")?;
    println!("    and are {:?}", (guard.mine, guard.yours));
    assert_eq!(*guard, Accounts { mine: 70, yours: 30 });
    Ok(took)
}

pub(crate) fn run() -> Outcome {
    // Where the machine is busy with other things one measurement may mislead, but not three.
    for attempt in 1..=3 {
        if recovery()? < SOON {
            return Ok(());
        }
        println!("attempt {attempt}: not within {SOON:?}");
    }
    Err("the lock of a killed process is not had in time".into())
}
