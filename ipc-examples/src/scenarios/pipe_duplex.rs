//! Question and answer through a duplex pipe; then one end is closed, and the other learns it.
//!
//! In Python:
//!
//! ```python
//! def answer(connection):
//!     while True:
//!         word = connection.recv()
//!         if word == 'stop': break
//!         connection.send(len(word))
//!
//! here, there = Pipe()
//! Process(target=answer, args=(there,)).start()
//! here.send('seven'); print(here.recv())
//! here.send('stop')
//! here.send('more')     # BrokenPipeError, if all copies of `there` are closed
//! ```
//!
//! Here each direction has a type of its own, and a value that nobody will receive comes back in the error.
//!
//! Prints the answers, and what became of the message to nobody.

use ipc_pipe::{Connection, SendError, pipe};
use ipc_process::spawn;

use super::Outcome;

fn answer(connection: Connection<usize, String>) -> Result<(), String> {
    while let Ok(word) = connection.recv() {
        if word == "stop" {
            break;
        }
        connection.send(word.len()).map_err(|error| error.to_string())?;
    }
    Ok(())
}

pub(crate) fn run() -> Outcome {
    let (here, there) = pipe::<String, usize>()?;
    let mut child = spawn(answer, (there,))?;
    for word in ["ping", "pong", "seven"] {
        here.send(word.to_owned())?;
        let length = here.recv()?;
        println!("{word} has {length} letters");
        assert_eq!(length, word.len());
    }
    here.send("stop".to_owned())?;
    child.join()??;
    let Err(SendError::Closed(word)) = here.send("more".to_owned()) else {
        return Err("it was sent to nobody".into());
    };
    println!("nobody is left to receive {word:?}");
    assert!(here.recv().is_err());
    Ok(())
}
