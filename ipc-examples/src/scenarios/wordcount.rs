//! The main job on the built-in texts, in peace and while workers are killed: the same words each time.
//!
//! In Python:
//!
//! ```python
//! with Pool(4) as pool:
//!     for counts in pool.imap_unordered(count_words, files):
//!         total.update(counts)
//! ```
//!
//! There, a worker that is killed hangs the loop for ever. Here its part is counted again, and it counts once: workers write
//! what they counted into a shared dictionary, under the number of the part, before they say that they are done.
//!
//! Prints what was counted, and how many workers were killed meanwhile.

use super::Outcome;
use crate::wordcount::{Job, count_serially, list};

pub(crate) fn run() -> Outcome {
    let serial = count_serially(&list(None)?);
    println!("{} words, {} different, in {} texts", serial.total(), serial.words.len(), serial.files);
    for chaos in [0, 1, 10] {
        let (count, report) = Job { chaos, ..Job::new(None, 3) }.run()?;
        println!(
            "{} workers killed, {} took their place: {} words in {} parts",
            report.killed,
            report.insights.restarts,
            count.total(),
            report.parts
        );
        assert!(count == serial, "the counts differ");
        assert_eq!(report.killed, chaos);
        assert!(report.failures.is_empty(), "{:?}", report.failures);
    }
    Ok(())
}
