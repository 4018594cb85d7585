//! The scenarios: small programs in the order of a course, each with an outcome that it checks itself.

mod joinable_basics;
mod joinable_crash;
mod joinable_many;
mod lock_terminal;
mod lock_terminated;
mod lock_threads;
mod lock_ticket;
mod manager_dict;
mod manager_race;
mod manager_types;
mod pipe_duplex;
mod pipe_eof;
mod pipe_producer_consumer;
mod pipe_shell;
mod pool_apply;
mod pool_apply_async;
mod pool_callback;
mod pool_crash;
mod pool_map;
mod pool_terminate;
mod process_daemon;
mod process_exitcode;
mod process_function;
mod process_info;
mod process_isolation;
mod process_join;
mod process_orphan;
mod process_run;
mod process_zombie;
mod queue_basics;
mod queue_between_processes;
mod queue_closed;
mod queue_pill;
mod queue_timeout;
mod rlock_array;
mod selftest;
mod semaphore_toilet;
mod shared_array;
mod tcp_server;
mod threads;
mod wordcount;

/// Errors end a scenario as failed; so does a panic, of an assertion for one.
pub(crate) type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A program that shows one thing and checks that it is so.
#[derive(Debug)]
pub struct Scenario {
    /// What it is called on the command line.
    pub id: &'static str,
    /// What it shows.
    pub about: &'static str,
    pub(crate) run: fn() -> Outcome,
}

const fn scenario(id: &'static str, about: &'static str, run: fn() -> Outcome) -> Scenario {
    Scenario { id, about, run }
}

/// All scenarios, in the order in which to read them.
pub static SCENARIOS: &[Scenario] = &[
    // Processes.
    scenario("process-function", "run a function in a child process", process_function::run),
    scenario("process-run", "run a value of your own type in a child process", process_run::run),
    scenario("process-join", "children run side by side, join waits for them", process_join::run),
    scenario("process-isolation", "a child has its own memory", process_isolation::run),
    scenario("process-info", "pid, parent, name, alive or not, terminate", process_info::run),
    scenario(
        "process-exitcode",
        "return, panic, exit and SIGKILL as the parent sees them",
        process_exitcode::run,
    ),
    scenario("process-daemon", "a daemon ends with its parent, others are waited for", process_daemon::run),
    scenario("process-zombie", "children that nobody joins are cleared away", process_zombie::run),
    scenario("process-orphan", "what becomes of children whose parent is killed", process_orphan::run),
    // Locks.
    scenario("lock-terminal", "a lock keeps the lines of a process together", lock_terminal::run),
    scenario("lock-ticket", "look and buy under a lock, and the last ticket is sold once", lock_ticket::run),
    scenario(
        "lock-terminated",
        "a process is killed with the lock, the next one gets it",
        lock_terminated::run,
    ),
    scenario("lock-threads", "a lock between processes is one between threads, too", lock_threads::run),
    scenario(
        "semaphore-toilet",
        "three places for twelve users, also if one dies inside",
        semaphore_toilet::run,
    ),
    // Queues.
    scenario("queue-basics", "put, get, full and empty", queue_basics::run),
    scenario(
        "queue-between-processes",
        "a value goes from one child to another",
        queue_between_processes::run,
    ),
    scenario("queue-pill", "consumers that are ended by a pill", queue_pill::run),
    scenario("queue-timeout", "consumers that stop when nothing comes", queue_timeout::run),
    scenario("queue-closed", "consumers that end when the last producer is gone", queue_closed::run),
    scenario("joinable-basics", "producers wait until everything was consumed", joinable_basics::run),
    scenario("joinable-many", "ten producers, five consumers, and exactly all is done", joinable_many::run),
    scenario("joinable-crash", "a consumer is killed, and another gets its job", joinable_crash::run),
    // Pipes.
    scenario("pipe-eof", "receive until the last sender is gone", pipe_eof::run),
    scenario(
        "pipe-producer-consumer",
        "three consumers share one end, each message is received once",
        pipe_producer_consumer::run,
    ),
    scenario("pipe-duplex", "question and answer, and a message to nobody", pipe_duplex::run),
    scenario("pipe-shell", "`ps aux | grep`, joined by descriptors in messages", pipe_shell::run),
    scenario("tcp-server", "each accepted socket is handed to a process, or to a thread", tcp_server::run),
    // Shared containers.
    scenario("shared-array", "children write into an array and a dictionary", shared_array::run),
    scenario("rlock-array", "a reentrant lock, taken twice, around a shared array", rlock_array::run),
    scenario("manager-dict", "a hundred processes change one entry under a lock", manager_dict::run),
    scenario("manager-race", "get and insert is a race, update is not", manager_race::run),
    scenario("manager-types", "one of each kind of object that a manager has", manager_types::run),
    // Pools.
    scenario("pool-apply", "one task after the other", pool_apply::run),
    scenario("pool-apply-async", "many tasks at once, and their results later", pool_apply_async::run),
    scenario("pool-callback", "what the parent does with each result as it comes", pool_callback::run),
    scenario("pool-terminate", "a pool is terminated while tasks run", pool_terminate::run),
    scenario("pool-map", "a function for each of many items", pool_map::run),
    scenario("pool-crash", "a worker is killed in the middle of a task", pool_crash::run),
    // And.
    scenario("threads", "threads by themselves, and what they share", threads::run),
    scenario("wordcount", "the main job, also while workers are killed", wordcount::run),
];

/// The scenario with that id.
pub fn find(id: &str) -> Option<&'static Scenario> {
    SCENARIOS.iter().chain(selftest::SELFTESTS).find(|scenario| scenario.id == id)
}
