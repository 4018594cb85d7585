//! A program whose main calls `init` first: children start there.

use std::sync::atomic::{AtomicBool, Ordering};

use ipc_process_explicit::{Builder, current, spawn};

static IN_MAIN: AtomicBool = AtomicBool::new(false);

fn main() {
    IN_MAIN.store(true, Ordering::Relaxed);
    ipc_process_explicit::init();
    assert_eq!(current().name(), "MainProcess", "no child comes here");

    let f = |text: String| {
        assert!(IN_MAIN.load(Ordering::Relaxed), "it has not been started before main");
        let mut child = spawn(|| std::env::args().count(), ()).unwrap();
        (text, child.join().unwrap())
    };
    let mut child = Builder::new().name("first").spawn(f, ("sent".to_owned(),)).unwrap();
    assert_eq!(child.join().unwrap(), ("sent".to_owned(), std::env::args().count()));
    assert_eq!(child.exit_code(), Some(0));
}
