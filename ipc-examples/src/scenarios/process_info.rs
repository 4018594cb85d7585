//! Who is who: pid, parent, name; and `terminate`, which asks a child to end.
//!
//! In Python:
//!
//! ```python
//! def serve():
//!     print(os.getpid(), os.getppid(), current_process().name)
//!     time.sleep(100)
//!
//! p = Process(target=serve, name="server")
//! p.start()
//! print(p.pid, p.name, p.is_alive())
//! p.terminate()
//! p.join()
//! print(p.is_alive(), p.exitcode)   # False -15
//! ```
//!
//! `terminate` sends SIGTERM. The child ends some time after it, so `is_alive` is only certain after `join`, which
//! reports the signal. The exit code of a process that signal N ended is -N.
//!
//! Prints both sides' view of the children, and how the first one ended.

use std::io::{self, BufRead, BufReader, PipeWriter, Write};
use std::thread;

use ipc_core::Fd;
use ipc_process::{Builder, current, parent, spawn};

use super::Outcome;

/// Says who it is, and waits for the end.
fn serve(mut log: Fd<PipeWriter>) {
    let (me, parent) = (current(), parent().expect("a child has a parent"));
    let line = format!("{} {} {} {}\n", me.pid(), me.name(), parent.pid(), parent.name());
    log.0.write_all(line.as_bytes()).expect("the parent reads");
    loop {
        thread::park();
    }
}

pub(crate) fn run() -> Outcome {
    let (log, writer) = io::pipe()?;
    let mut log = BufReader::new(log);
    let mut server = Builder::new().name("server").spawn(serve, (Fd(writer),))?;

    let mut line = String::new();
    log.read_line(&mut line)?;
    let me = current();
    println!("the child says:  {}", line.trim_end());
    println!("the parent says: {} {} {} {}", server.pid(), server.name(), me.pid(), me.name());
    assert_eq!(line, format!("{} server {} {}\n", server.pid(), me.pid(), me.name()));
    assert_eq!((server.name(), server.is_daemon()), ("server", false));
    assert!(server.is_alive());

    server.terminate()?;
    let error = server.join().expect_err("it never returns by itself");
    println!("{error}; alive: {}, exit code: {:?}", server.is_alive(), server.exit_code());
    assert_eq!(error.signal(), Some(15));
    assert!(!server.is_alive());
    assert_eq!(server.exit_code(), Some(-15));

    // Without a name it is numbered by its parent: this was the second child, and the scenario is a child itself.
    let mut unnamed = spawn(|| current().name().to_owned(), ())?;
    println!("a child without a name is called {}", unnamed.name());
    assert_eq!(unnamed.join()?, unnamed.name());
    assert!(unnamed.name().starts_with("Process-") && unnamed.name().ends_with('2'));
    Ok(())
}
