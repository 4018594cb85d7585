//! Three places, twelve users: a semaphore lets in as many as there are places. And if one dies inside?
//!
//! In Python:
//!
//! ```python
//! def use(places, number):
//!     with places:
//!         print(f"{number} is in")
//!         time.sleep(random.random())
//!
//! places = Semaphore(3)
//! for number in range(12):
//!     Process(target=use, args=(places, number)).start()
//! ```
//!
//! `acquire` gives a permit, which goes back when it is dropped. A permit belongs to the process that acquired it:
//! when that one is killed the permit comes back, and the next user who waits has it within 100 ms. In Python the
//! place is lost, and after three such deaths nobody gets in any more.
//!
//! Prints how many were inside at most, and how soon the place of a killed user was taken.

use std::thread;
use std::time::Duration;

use ipc_core::monotonic;
use ipc_lock::{Barrier, Mutex, Semaphore};
use ipc_process::spawn;

use super::Outcome;
use crate::system;

const PLACES: u32 = 3;
const USERS: u32 = 12;

/// The promise.
const SOON: Duration = Duration::from_millis(100);

/// Counts how many are inside: now, and at most.
fn use_one(number: u32, places: Semaphore, inside: Mutex<(u32, u32)>) -> u32 {
    let _permit = places.acquire();
    {
        let mut count = inside.lock().expect("nobody dies while counting");
        count.0 += 1;
        count.1 = count.1.max(count.0);
    }
    thread::sleep(Duration::from_millis(10));
    inside.lock().expect("nobody dies while counting").0 -= 1;
    number
}

fn stay(places: Semaphore, all_inside: Barrier) {
    let _permit = places.acquire();
    all_inside.wait().expect("nobody is killed before all are inside");
    loop {
        thread::park();
    }
}

/// When it got in.
fn get_in(places: Semaphore) -> Duration {
    let _permit = places.acquire();
    monotonic()
}

fn all_are_served() -> Outcome {
    let (places, inside) = (Semaphore::new(PLACES)?, Mutex::new((0, 0))?);
    let mut users = Vec::new();
    for number in 0..USERS {
        users.push(spawn(use_one, (number, places.clone(), inside.clone()))?);
    }
    for (number, user) in (0..).zip(&mut users) {
        assert_eq!(user.join()?, number);
    }
    let (now, most) = *inside.lock().map_err(|_| "somebody died while counting")?;
    println!("{USERS} users were served; at most {most} were inside at the same time");
    assert!(now == 0 && (1..=PLACES).contains(&most));
    assert_eq!(places.available(), PLACES);
    Ok(())
}

/// How long the place of a killed user was empty while another waited for it.
fn recovery() -> Result<Duration, Box<dyn std::error::Error>> {
    let places = Semaphore::new(PLACES)?;
    let all_inside = Barrier::new(PLACES + 1)?;
    let mut inside = Vec::new();
    for _ in 0..PLACES {
        inside.push(spawn(stay, (places.clone(), all_inside.clone()))?);
    }
    all_inside.wait()?;
    assert!(places.try_acquire().is_err(), "there is a fourth place");
    let mut next = spawn(get_in, (places.clone(),))?;
    system::until(|| !places.waiters().is_empty());

    let killed = monotonic();
    inside[0].kill()?;
    let took = next.join()?.saturating_sub(killed);
    println!("a user was killed inside; the next one had the place {took:.1?} later");

    for user in &mut inside {
        user.kill()?;
        assert_eq!(user.join().expect_err("it was killed").signal(), Some(9));
    }
    let permits = [(); PLACES as usize].map(|()| places.acquire_timeout(Duration::from_secs(5)));
    println!("all {PLACES} were killed inside; places that came back: {}", permits.iter().flatten().count());
    assert!(permits.iter().all(Result::is_ok));
    Ok(took)
}

pub(crate) fn run() -> Outcome {
    all_are_served()?;
    // Where the machine is busy with other things one measurement may mislead, but not three.
    for attempt in 1..=3 {
        if recovery()? < SOON {
            return Ok(());
        }
        println!("attempt {attempt}: not within {SOON:?}");
    }
    Err("the place of a killed user is not had in time".into())
}
