//! What the fuzzers have found worth keeping, once more.

use std::fs;
use std::path::Path;

fn replay(target: &str, run: fn(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let inputs: Vec<_> = fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!inputs.is_empty(), "nothing in {}", corpus.display());
    for input in inputs {
        println!("{}", input.display());
        run(&fs::read(&input).unwrap());
    }
}

#[test]
fn garbage_in_a_queue_is_survived() {
    replay("queue", ipc_fuzz::queue);
}

#[test]
fn garbage_in_a_joinable_queue_is_survived() {
    replay("joinable", ipc_fuzz::joinable);
}

#[test]
fn garbage_in_a_manager_is_survived() {
    replay("shared", ipc_fuzz::shared);
}

#[test]
fn garbage_in_a_pipe_is_survived() {
    replay("pipe", ipc_fuzz::pipe);
}

#[test]
fn garbage_in_a_handshake_is_survived() {
    replay("handshake", ipc_fuzz::handshake);
}
