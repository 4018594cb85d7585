//! One producer, and three consumers that share one end of a pipe.
//!
//! In Python:
//!
//! ```python
//! def consume(receiver, sender, lock):
//!     sender.close()                 # its own copy, or the end never comes
//!     while True:
//!         with lock:                 # two that read at once tear a message apart
//!             try: message = receiver.recv()
//!             except EOFError: break
//!
//! receiver, sender = Pipe(duplex=False)
//! for _ in range(3):
//!     Process(target=consume, args=(receiver, sender, lock)).start()
//! ```
//!
//! Here any number of processes can share an end: each message is received once, by one of them, and all of them come to the
//! end.
//!
//! Prints how many messages each consumer received.

use ipc_pipe::{Receiver, Sender, one_way};
use ipc_process::spawn;

use super::Outcome;

const MESSAGES: u32 = 3000;

fn produce(sender: Sender<u32>) -> Result<(), String> {
    (0..MESSAGES).try_for_each(|number| sender.send(number)).map_err(|error| error.to_string())
}

fn consume(receiver: Receiver<u32>) -> Result<Vec<u32>, String> {
    receiver.into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())
}

pub(crate) fn run() -> Outcome {
    let (sender, receiver) = one_way()?;
    let mut consumers = Vec::new();
    for _ in 0..3 {
        consumers.push(spawn(consume, (receiver.clone(),))?);
    }
    drop(receiver);
    spawn(produce, (sender,))?.join()??;
    let mut all = Vec::new();
    for (number, consumer) in consumers.iter_mut().enumerate() {
        let received = consumer.join()??;
        println!("consumer {number} received {} messages, and then the end", received.len());
        all.extend(received);
    }
    all.sort_unstable();
    assert_eq!(all, (0..MESSAGES).collect::<Vec<_>>(), "each once");
    Ok(())
}
