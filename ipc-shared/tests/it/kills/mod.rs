//! Every operation as a kill test: each with a survivor that checks the contract.

mod dict;
mod list;
mod manager;
mod plain;

use std::collections::HashMap;

use ipc_crash_test::case::{Case, Entry, RECOVERY, Walk};
use ipc_crash_test::scene::Scene;
use ipc_shared::{Dict, Manager};

/// All of them.
pub(crate) fn cases() -> Vec<Case> {
    warm_up();
    [dict::CASES, plain::CASES, list::CASES, manager::CASES].into_iter().flatten().map(Case::new).collect()
}

/// Does once, in the process that forks all others, what every process does once.
fn warm_up() {
    let name = format!("warm-up-{}", std::process::id());
    let manager = Manager::create(&name).unwrap();
    let dict: Dict<String, u64> = manager.dict().unwrap();
    dict.insert("one".into(), 1).unwrap();
    manager.check().unwrap();
}
