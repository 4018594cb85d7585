//! Children run side by side; `join` waits for one of them. Where the joins stand decides what is gained.
//!
//! In Python:
//!
//! ```python
//! processes = [Process(target=work, args=(n,)) for n in range(10)]
//! for p in processes: p.start()
//! for p in processes: p.join()      # side by side
//!
//! for n in range(10):
//!     p = Process(target=work, args=(n,))
//!     p.start()
//!     p.join()                      # one after the other
//! print("all done")
//! ```
//!
//! Every child writes its line to one log, a pipe. When all are joined the parent writes the last line to it: `join`
//! returns when the child has ended, so nothing of a child can come behind it.
//!
//! Prints the log and the two times.

use std::io::{self, PipeWriter, Write};
use std::thread;
use std::time::{Duration, Instant};

use ipc_core::Fd;
use ipc_process::spawn;

use super::Outcome;

const CHILDREN: u32 = 10;

fn work(number: u32, log: Fd<PipeWriter>) -> u32 {
    // Stands for work that takes its time, such as a download.
    thread::sleep(Duration::from_millis(50));
    // One write for the whole line: pipes keep small writes together.
    (&log.0).write_all(format!("child {number} done\n").as_bytes()).expect("the log is open");
    number * number
}

fn side_by_side(log: &PipeWriter) -> Result<Duration, Box<dyn std::error::Error>> {
    let start = Instant::now();
    let mut children = Vec::new();
    for number in 0..CHILDREN {
        children.push(spawn(work, (number, Fd(log.try_clone()?)))?);
    }
    for (number, child) in (0..).zip(&mut children) {
        assert_eq!(child.join()?, number * number);
    }
    Ok(start.elapsed())
}

fn one_after_the_other(log: &PipeWriter) -> Result<Duration, Box<dyn std::error::Error>> {
    let start = Instant::now();
    for number in 0..CHILDREN {
        spawn(work, (number, Fd(log.try_clone()?)))?.join()?;
    }
    Ok(start.elapsed())
}

pub(crate) fn run() -> Outcome {
    // Where the machine is busy with other things one measurement may mislead, but not three.
    for attempt in 1..=3 {
        let (log, writer) = io::pipe()?;
        let fast = side_by_side(&writer)?;
        (&writer).write_all(b"all done\n")?;
        drop(writer);
        let lines: Vec<String> = io::read_to_string(log)?.lines().map(str::to_owned).collect();
        println!("{}", lines.join("\n"));
        let (last, others) = lines.split_last().ok_or("the log is empty")?;
        assert_eq!(last, "all done");
        assert!((0..CHILDREN).all(|number| others.contains(&format!("child {number} done"))));

        let (_log, writer) = io::pipe()?;
        let slow = one_after_the_other(&writer)?;
        println!("side by side: {fast:.0?}; one after the other: {slow:.0?}");
        if fast < slow / 2 {
            return Ok(());
        }
        println!("attempt {attempt}: not twice as fast");
    }
    Err("children side by side take more than half the time of children in a row".into())
}
