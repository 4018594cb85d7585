//! The description of a kill test: closures for the processes that take part, and limits.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::affinity::Pinned;
use crate::control::{self, Step};
use crate::report::{Outcome, Report};
use crate::walk::Walk;

type Body<'a, S> = Box<dyn Fn(&S, Step<'_>) + 'a>;
type OnState<'a, S> = Box<dyn Fn(&S) + 'a>;
type Check<'a, S> = Box<dyn Fn(&S, Outcome) + 'a>;

/// Kills a process at every instruction of `operation`, each time on a fresh state, and runs `check` in a survivor.
///
/// The short form of [`KillTest`], for operations that need no preparation.
///
/// # Panics
/// See [`KillTest::run`].
pub fn kill_at_every_instruction<S>(
    name: &str,
    setup: impl Fn() -> S,
    operation: impl Fn(&S),
    check: impl Fn(&S, Outcome),
) -> Report {
    KillTest::new(name, setup).operation(operation).check(check).run()
}

/// A kill test: who takes part, what must hold afterwards, and how far to walk.
///
/// For each step of the walk a fresh state is made in the calling process; the *victim* is forked, prepares itself
/// at full speed and is stepped up to the instruction where it is killed; then the *check* runs in another forked
/// process, the survivor, and must return in time and without a panic. See the [crate page](crate) for an example.
///
/// Children are made by fork and run these closures, so no other thread of the calling process may hold a lock that
/// the closures need. The allocator is safe in this respect.
#[must_use = "a kill test does nothing before `run`"]
pub struct KillTest<'a, S> {
    pub(crate) name: String,
    pub(crate) setup: Box<dyn Fn() -> S + 'a>,
    pub(crate) victim: Option<Body<'a, S>>,
    pub(crate) recoverer: Option<Body<'a, S>>,
    pub(crate) waiters: Vec<OnState<'a, S>>,
    pub(crate) when_blocked: Option<OnState<'a, S>>,
    pub(crate) meanwhile: Option<OnState<'a, S>>,
    pub(crate) check: Option<Check<'a, S>>,
    pub(crate) limits: Limits,
}

/// How far a walk goes, how densely, and how long its processes may take.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) stride: u64,
    pub(crate) recovery_stride: u64,
    pub(crate) start_at: u64,
    pub(crate) max_steps: u64,
    /// `None` for the default, which is an error to reach.
    pub(crate) time_budget: Option<Duration>,
    pub(crate) deadline: Duration,
    pub(crate) blocked_after: Duration,
    pub(crate) slow_limit: Duration,
    pub(crate) max_failures: usize,
    pub(crate) leave_zombies: bool,
}

impl<'a, S> KillTest<'a, S> {
    /// A test of the operation `name`; `setup` makes the state that its processes share, afresh for each kill.
    pub fn new(name: impl Into<String>, setup: impl Fn() -> S + 'a) -> Self {
        Self {
            name: name.into(),
            setup: Box::new(setup),
            victim: None,
            recoverer: None,
            waiters: Vec::new(),
            when_blocked: None,
            meanwhile: None,
            check: None,
            limits: Limits {
                stride: 1,
                recovery_stride: 1,
                start_at: 0,
                max_steps: u64::MAX,
                time_budget: None,
                deadline: Duration::from_secs(2),
                blocked_after: Duration::from_millis(50),
                slow_limit: Duration::from_millis(100),
                max_failures: 20,
                leave_zombies: false,
            },
        }
    }

    /// What the victim does: it prepares itself, then calls [`Step::run`] with the operation to be killed in.
    pub fn victim(mut self, victim: impl Fn(&S, Step<'_>) + 'a) -> Self {
        self.victim = Some(Box::new(victim));
        self
    }

    /// The victim of an operation that needs no preparation.
    pub fn operation(self, operation: impl Fn(&S) + 'a) -> Self {
        self.victim(move |state, step| step.run(|| operation(state)))
    }

    /// What a survivor finds after the kill: it panics, as with `assert!`, when that is wrong.
    pub fn check(mut self, check: impl Fn(&S, Outcome) + 'a) -> Self {
        self.check = Some(Box::new(check));
        self
    }

    /// A process that recovers from the victim's death, and is itself killed at every instruction of it.
    ///
    /// For each step of the victim the recovery is walked from its beginning to its end, so the walk is long: give
    /// the victim a [`stride`](Self::stride). The check runs after the death of both.
    pub fn recoverer(mut self, recoverer: impl Fn(&S, Step<'_>) + 'a) -> Self {
        self.recoverer = Some(Box::new(recoverer));
        self
    }

    /// A process that is asleep in `waiter` when the victim begins its operation, and must come back when all is over.
    ///
    /// This finds the wake-up that a dead process owes. The waiter is forked after the victim's preparation; the
    /// first step is made when it sleeps or has ended. It must have returned within the deadline after the check.
    /// Waiters add up.
    pub fn waiter(mut self, waiter: impl Fn(&S) + 'a) -> Self {
        self.waiters.push(Box::new(waiter));
        self
    }

    /// Called in the tracer when the victim or the recoverer sleeps in the kernel, to wake it; the walk then goes on.
    ///
    /// Without this, or when the process sleeps on, it is killed there and the walk ends.
    pub fn when_blocked(mut self, wake: impl Fn(&S) + 'a) -> Self {
        self.when_blocked = Some(Box::new(wake));
        self
    }

    /// Called in the tracer while the victim is stopped, which is then not killed, but goes on to its end before the check.
    ///
    /// This finds what goes wrong between the living, where others do all that they do between two instructions of one. It
    /// must not wait for the victim.
    pub fn meanwhile(mut self, others: impl Fn(&S) + 'a) -> Self {
        self.meanwhile = Some(Box::new(others));
        self
    }

    /// Kills at every n-th instruction only. Default: 1.
    ///
    /// # Panics
    /// When `instructions` is zero.
    pub fn stride(mut self, instructions: u64) -> Self {
        assert_ne!(instructions, 0, "a stride of zero instructions does not advance");
        self.limits.stride = instructions;
        self
    }

    /// Kills the recoverer at every n-th instruction only. Default: 1.
    ///
    /// # Panics
    /// When `instructions` is zero.
    pub fn recovery_stride(mut self, instructions: u64) -> Self {
        assert_ne!(instructions, 0, "a stride of zero instructions does not advance");
        self.limits.recovery_stride = instructions;
        self
    }

    /// Kills the first victim after this many instructions. Default: 0, before the first one.
    pub fn start_at(mut self, step: u64) -> Self {
        self.limits.start_at = step;
        self
    }

    /// Ends the walk after the kill at this step. Default: when the operation is complete.
    pub fn max_steps(mut self, steps: u64) -> Self {
        self.limits.max_steps = steps;
        self
    }

    /// Ends the walk after this time, complete or not.
    ///
    /// Without it, a walk of more than 300 s ends with an error, so that none is incomplete unnoticed.
    pub fn time_budget(mut self, budget: Duration) -> Self {
        self.limits.time_budget = Some(budget);
        self
    }

    /// How long a survivor may take before it counts as hung; also for preparations and waiters. Default: 2 s.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.limits.deadline = deadline;
        self
    }

    /// How long a stepped process has to sleep in one system call to count as blocked. Default: 50 ms.
    ///
    /// An operation that sleeps with a timeout and looks again is walked through its sleeps if they are shorter.
    pub fn blocked_after(mut self, sleep: Duration) -> Self {
        self.limits.blocked_after = sleep;
        self
    }

    /// From which time on a check that passed counts as slow. Default: 100 ms.
    pub fn slow_limit(mut self, limit: Duration) -> Self {
        self.limits.slow_limit = limit;
        self
    }

    /// Gives up after so many failures. Default: 20.
    pub fn max_failures(mut self, failures: usize) -> Self {
        self.limits.max_failures = failures;
        self
    }

    /// Leaves the killed processes unreaped until the check is over, as a parent does that has not noticed yet.
    pub fn leave_zombies(mut self) -> Self {
        self.limits.leave_zombies = true;
        self
    }

    /// Walks. One walk runs at a time in a process; a second one waits.
    ///
    /// The calling thread, and with it all children, is bound to one CPU in the meantime, and SIGURG gets a handler
    /// that does nothing. Whether it returns or panics, all children are dead and reaped.
    ///
    /// # Panics
    /// When no victim or no check was given, and when the system refuses to fork, or to make a timer.
    pub fn run(&self) -> Report {
        static RUNNING: Mutex<()> = Mutex::new(());

        let _alone = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let _pinned = Pinned::to_current_cpu();
        control::install_panic_hook();
        Walk::new(self).run()
    }
}

impl<S> fmt::Debug for KillTest<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KillTest")
            .field("name", &self.name)
            .field("recoverer", &self.recoverer.is_some())
            .field("waiters", &self.waiters.len())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
