//! The thread that looks after the workers: it sees when one ends, starts others, and kills those that take too long. It
//! sleeps until there is something to do.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Instant;

use ipc_core::transfer;
use ipc_process::Process;
use ipc_queue::Queue;

use crate::desk::Desk;
use crate::error::PoolError;
use crate::member::Member;
use crate::sys;
use crate::worker;

/// A worker whose end nobody has seen yet.
struct Watched {
    place: u32,
    generation: u64,
    process: Process,
}

/// Looks after the workers until the pool is over.
pub(crate) fn look_after(desk: &Arc<Desk>) {
    let mut reported: Vec<(u32, u64)> = Vec::new();
    loop {
        sys::clear(desk.warden.as_fd());
        desk.with(|state| {
            if state.timer.is_some_and(|timer| timer <= Instant::now()) {
                state.kill_overdue();
            }
        });
        let state = desk.lock();
        let mut watched = Vec::new();
        let mut vacant = Vec::new();
        let wants_workers = state.wants_workers();
        for (place, seat) in (0..).zip(&state.seats) {
            match &seat.member {
                Some(member) => watched.extend(member.process().map(|process| Watched {
                    place,
                    generation: seat.generation,
                    process: process.clone(),
                })),
                None if wants_workers => vacant.push((place, seat.not_before)),
                None => {}
            }
        }
        let (timer, is_over) = (state.timer, state.is_over());
        drop(state);
        if is_over {
            // The clerk has seen it, or sees it when it looks.
            desk.wake_clerk();
            return;
        }
        let now = Instant::now();
        let (due, later): (Vec<_>, Vec<_>) =
            vacant.into_iter().partition(|(_, not_before)| *not_before <= now);
        if !due.is_empty() {
            for (place, _) in due {
                if let Err(error) = seat(desk, place) {
                    desk.with(|state| state.not_started(place as usize, error));
                }
            }
            // There are others to be watched now.
            continue;
        }
        reported.retain(|known| watched.iter().any(|watched| (watched.place, watched.generation) == *known));
        watched.retain(|watched| !reported.contains(&(watched.place, watched.generation)));
        let next = later.into_iter().map(|(_, not_before)| not_before).chain(timer).min();
        let timeout = next.map(|next| next.saturating_duration_since(Instant::now()));
        let fds: Vec<_> = std::iter::once(desk.warden.as_fd())
            .chain(watched.iter().map(|watched| watched.process.as_fd()))
            .collect();
        let ready = sys::wait_readable(&fds, timeout);
        for (watched, _) in watched.iter().zip(&ready[1..]).filter(|(_, ready)| **ready) {
            // Takes the zombie away.
            if watched.process.is_alive() {
                continue;
            }
            let Watched { place, generation, .. } = *watched;
            desk.report_end(place, generation);
            reported.push((place, generation));
        }
    }
}

/// Starts all workers, or says why one cannot be started.
pub(crate) fn seat_all(desk: &Arc<Desk>) -> Result<(), PoolError> {
    for place in 0..desk.settings.workers {
        seat(desk, place as u32)?;
    }
    Ok(())
}

/// Starts a worker for an empty seat.
fn seat(desk: &Arc<Desk>, place: u32) -> Result<(), PoolError> {
    let settings = &desk.settings;
    let (socket, theirs): (OwnedFd, OwnedFd) = transfer::channel()?;
    let mut member = Member::new(Queue::unbounded()?, socket, settings.max_tasks);
    member.introduce(&settings.introduced())?;
    if let Some(initializer) = &settings.initializer {
        initializer.parcel.send(&member.socket)?;
    }
    // It has its seat before it is there, so that its first report is not one of nobody. If the pool has come to its end
    // meanwhile, nobody might hear of its end any more.
    let Some(start) = desk.take_seat(place, member, theirs) else { return Ok(()) };
    let name = format!("{}-{}", settings.name, place + 1);
    let builder = ipc_process::Builder::new().name(name).daemon(true).nested(settings.nested);
    let started = builder.spawn(worker::work, (start,));
    desk.with(|state| {
        let is_wanted = state.wants_workers();
        let seat = &mut state.seats[place as usize];
        match (started, &mut seat.member) {
            (Ok(child), Some(member)) => {
                member.known(Some(child));
                if !is_wanted {
                    // The pool has come to its end meanwhile.
                    member.kill();
                }
                // It may be ready by now.
                state.go_on();
                Ok(())
            }
            (Ok(child), None) => {
                let _ = child.kill();
                Ok(())
            }
            (Err(error), member) => {
                *member = None;
                Err(PoolError::Start(error.to_string()))
            }
        }
    })
}
