//! `ps aux | grep PATTERN`, as two processes that are joined by a pipe of the system.
//!
//! In Python:
//!
//! ```python
//! def run(command, stdin, stdout):
//!     subprocess.run(command, stdin=stdin, stdout=stdout)
//!
//! ps = subprocess.Popen(['ps', 'aux'], stdout=subprocess.PIPE)
//! grep = subprocess.Popen(['grep', 'ipc'], stdin=ps.stdout, stdout=subprocess.PIPE)
//! ps.stdout.close()
//! print(grep.communicate()[0].decode())
//! ```
//!
//! Here two child processes run a command each. The ends of the system's pipe go to them in messages, as `Fd` values: a
//! descriptor can stand anywhere inside of a message. What `grep` prints comes back through a pipe of ours.
//!
//! Prints the lines that match.

use std::io::{PipeReader, PipeWriter, pipe as system_pipe};
use std::process::{Command, Stdio};

use ipc_core::Fd;
use ipc_pipe::{Receiver, Sender, one_way};
use ipc_process::spawn;

use super::Outcome;

/// Lists the processes into a pipe, as soon as it is given one.
fn list(way: Receiver<Fd<PipeWriter>>) -> Result<(), String> {
    let Fd(output) = way.recv().map_err(|error| error.to_string())?;
    let mut command = Command::new("ps");
    command.arg("aux").stdout(output).status().map(drop).map_err(|error| format!("ps: {error}"))
}

/// Sends the lines of a pipe that have that text in them.
fn filter(way: Receiver<Fd<PipeReader>>, text: String, lines: Sender<String>) -> Result<(), String> {
    let Fd(input) = way.recv().map_err(|error| error.to_string())?;
    let mut command = Command::new("grep");
    command.arg(text).stdin(input).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("grep: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().try_for_each(|line| lines.send(line.to_owned())).map_err(|error| error.to_string())
}

pub(crate) fn run() -> Outcome {
    let (reader, writer) = system_pipe()?;
    let (to_list, list_way) = one_way()?;
    let (to_filter, filter_way) = one_way()?;
    let (lines, found) = one_way::<String>()?;
    // By its number, this process finds itself.
    let mine = std::process::id().to_string();
    let mut listing = spawn(list, (list_way,))?;
    let mut filtering = spawn(filter, (filter_way, mine.clone(), lines))?;
    to_list.send(Fd(writer))?;
    to_filter.send(Fd(reader))?;
    let found: Vec<String> = found.into_iter().collect::<Result<_, _>>()?;
    listing.join()??;
    filtering.join()??;
    for line in &found {
        println!("{line}");
    }
    assert!(!found.is_empty() && found.iter().all(|line| line.contains(&mine)));
    Ok(())
}
