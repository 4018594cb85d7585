//! What a pool knows of its work.

use std::fmt;
use std::time::Duration;

/// What the workers do, and did: see [`Pool::insights`](crate::Pool::insights). Displayed, a line for all, one for each
/// worker, and one for each of the slowest tasks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Insights {
    /// The workers that there are now.
    pub workers: Vec<WorkerInsights>,
    /// Tasks that were done, also by workers that are gone. A chunk of a map is one task.
    pub tasks: u64,
    /// For how long workers have been at work, all together.
    pub busy: Duration,
    /// Tasks that wait for a worker. What workers have been given ahead is not among them.
    pub pending: usize,
    /// Workers that took the place of one that had died, or done as many tasks as it may.
    pub restarts: u64,
    /// The tasks that took longest, the slowest first.
    pub slowest: Vec<SlowTask>,
}

/// One worker.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct WorkerInsights {
    /// Its name.
    pub name: String,
    /// Its process id.
    pub pid: u32,
    /// Tasks that it has done. A chunk of a map is one task.
    pub tasks: u64,
    /// Tasks that it has been given: what it is at, and what is next.
    pub given: usize,
    /// How long it took from the start of the process until it was ready; `None` if it is not yet.
    pub start_time: Option<Duration>,
    /// For how long it has been at work.
    pub busy: Duration,
    /// For how long it has had nothing to do since it was ready, and what runs now.
    pub waiting: Duration,
}

/// A task that took long.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SlowTask {
    /// The name of its function's type.
    pub function: &'static str,
    /// The index of its first item in its call; 0 for a task by itself.
    pub index: usize,
    /// How long it took.
    pub took: Duration,
    /// The worker's process id.
    pub pid: u32,
}

impl fmt::Display for Insights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Insights { workers, tasks, busy, pending, restarts, slowest } = self;
        write!(f, "{tasks} tasks done in {busy:.1?} of work, {pending} pending; ")?;
        write!(f, "{} workers, {restarts} restarts", workers.len())?;
        workers.iter().try_for_each(|worker| write!(f, "\n{worker}"))?;
        slowest.iter().try_for_each(|task| write!(f, "\n{task}"))
    }
}

impl fmt::Display for WorkerInsights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WorkerInsights { name, pid, tasks, given, start_time, busy, waiting } = self;
        write!(f, "{name} (pid {pid}): {tasks} tasks done, {given} given, ")?;
        match start_time {
            None => f.write_str("not ready yet"),
            Some(start) => {
                write!(f, "busy for {busy:.1?}, waiting for {waiting:.1?}, ready after {start:.1?}")
            }
        }
    }
}

impl fmt::Display for SlowTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlowTask { function, index, took, pid } = self;
        write!(f, "{took:.1?} for {function}, item {index}, by pid {pid}")
    }
}
