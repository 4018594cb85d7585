//! What the processes of a kill test share, and those that stand around it.

use std::time::Duration;

use ipc_lock::Mutex;

pub(crate) use ipc_crash_test::scene::Scene;

/// Does once, in the process that forks all others, what every process does once.
pub(crate) fn warm_up() {
    let name = format!("warm-up-{}", std::process::id());
    let mutex = Mutex::create(&name, ()).unwrap();
    let _guard = mutex.lock().unwrap();
    assert!(mutex.lock_timeout(Duration::from_millis(1)).is_err());
}
