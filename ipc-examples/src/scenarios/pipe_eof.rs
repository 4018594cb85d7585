//! A child receives until the end, which comes when the last copy of the sending end is gone.
//!
//! In Python:
//!
//! ```python
//! def consume(receiver, sender):
//!     sender.close()         # forgotten, and the loop below never ends
//!     try:
//!         while True: print(receiver.recv())
//!     except EOFError: pass
//!
//! receiver, sender = Pipe(duplex=False)
//! Process(target=consume, args=(receiver, sender)).start()
//! receiver.close()
//! for i in range(20): sender.send(i)
//! sender.close()
//! ```
//!
//! Here an end that is moved into a child's arguments is gone from the parent, and a child has no end that it was not given.
//! So there is nothing to close, and the loop is a `for` loop.
//!
//! Prints how many messages the child received before the end.

use ipc_pipe::{Receiver, one_way};
use ipc_process::spawn;

use super::Outcome;

fn consume(receiver: Receiver<u32>) -> Result<Vec<u32>, String> {
    receiver.into_iter().collect::<Result<_, _>>().map_err(|error| error.to_string())
}

pub(crate) fn run() -> Outcome {
    let (sender, receiver) = one_way()?;
    let mut child = spawn(consume, (receiver,))?;
    for number in 0..20 {
        sender.send(number)?;
    }
    drop(sender);
    let received = child.join()??;
    println!("the child received {} messages, and then the end", received.len());
    assert_eq!(received, (0..20).collect::<Vec<_>>());
    Ok(())
}
