use arbitrary::{Arbitrary, Unstructured};
use ipc_queue::{Job, JoinableQueue};

use crate::{MOMENT, Write, limited};

/// The words that a queue is controlled by, and the first jobs.
const WORDS: u64 = ((1 << 14) + 2048) / 8;

/// The lock and who waits for it: if it says that this process has the lock, what has no deadline waits for ever.
const LOCK: u16 = 40 / 8;

#[derive(Arbitrary, Debug)]
enum Step {
    Write(Write),
    Put(u16),
    PutForAMoment(u16),
    Get,
    GetForAMoment,
    Done(u8),
    Undone(u8),
    Join,
    Rejected,
    TakeRejected,
    Ask,
}

/// A queue of jobs: garbage and operations in turn.
pub fn joinable(input: &[u8]) {
    let Ok(steps) = Vec::<Step>::arbitrary_take_rest(Unstructured::new(input)) else { return };
    limited(|| {
        let queue = JoinableQueue::bounded(16).expect("there is memory").with_max_deliveries(3);
        let put = |number| queue.try_put((number, "x".repeat(50))).expect("there is room");
        (0..3).for_each(put);
        let mut jobs = vec![queue.try_get().expect("there are three")];
        steps.into_iter().take(64).for_each(|step| run(&queue, &mut jobs, step));
        // Whatever it is by now, it can be emptied, or is found damaged.
        jobs.extend((0..20).map_while(|_| queue.try_get().ok()));
    });
}

fn run(queue: &JoinableQueue<(u64, String)>, jobs: &mut Vec<Job<(u64, String)>>, step: Step) {
    let mut take = |which: u8| {
        let which = usize::from(which).checked_rem(jobs.len())?;
        Some(jobs.swap_remove(which))
    };
    match step {
        Step::Write(write) if u64::from(write.word) % WORDS == u64::from(LOCK) => {}
        Step::Write(write) => write.write(queue.segment(), WORDS),
        Step::Put(len) => drop(queue.try_put((4, "y".repeat(len.into())))),
        Step::PutForAMoment(len) => drop(queue.put_timeout((5, "z".repeat(len.into())), MOMENT)),
        Step::Get => jobs.extend(queue.try_get()),
        Step::GetForAMoment => jobs.extend(queue.get_timeout(MOMENT)),
        Step::Done(which) => drop(take(which).map(Job::done)),
        Step::Undone(which) => drop(take(which)),
        Step::Join => drop(queue.join_timeout(MOMENT)),
        Step::Rejected => drop(queue.rejected()),
        Step::TakeRejected => drop(queue.take_rejected()),
        Step::Ask => {
            let _ = (queue.len(), queue.unfinished(), queue.is_full(), queue.stats(), queue.is_closed());
        }
    }
}
