//! Kills workers at random.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

use ipc_pool::Pool;

/// Between two kills there is less than this.
const PAUSE: Duration = Duration::from_millis(12);
/// If there is nobody to kill for so long, there will be nobody.
const IN_VAIN: Duration = Duration::from_secs(10);

/// Kills that many workers with SIGKILL, one after the other, each as it happens to be; how many it were. Drops `over` when
/// it is done.
pub(super) fn kill_workers(pool: &Pool, count: usize, over: Sender<()>) -> usize {
    let mut killed = HashSet::new();
    let mut since = Instant::now();
    while killed.len() < count && since.elapsed() < IN_VAIN {
        thread::sleep(PAUSE.mul_f64(random() as f64 / u64::MAX as f64));
        // One that has not begun yet is none.
        let ready = pool.insights().workers.into_iter().filter(|worker| worker.start_time.is_some());
        let ready: HashSet<_> = ready.map(|worker| worker.pid).collect();
        let mut victims = pool.workers();
        victims.retain(|worker| ready.contains(&worker.pid()) && !killed.contains(&worker.pid()));
        let at = random() as usize % victims.len().max(1);
        if let Some(victim) = victims.get(at)
            && victim.kill().is_ok()
        {
            killed.insert(victim.pid());
            since = Instant::now();
        }
    }
    drop(over);
    killed.len()
}

fn random() -> u64 {
    RandomState::new().hash_one(0)
}
