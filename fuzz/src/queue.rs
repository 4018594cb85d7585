use arbitrary::{Arbitrary, Unstructured};
use ipc_queue::Queue;

use crate::{MOMENT, Write, limited};

/// The words that a queue is controlled by, and the first items.
const WORDS: u64 = (4096 + 2048) / 8;

/// None that waits without a deadline: garbage may say that this process has a lock.
#[derive(Arbitrary, Debug)]
enum Step {
    Write(Write),
    Put(u16),
    PutForAMoment(u16),
    Reserve(u8),
    DropReserved(u16),
    Get,
    GetForAMoment,
    GetInPlace,
    Ask,
}

/// A queue of bytes: garbage and operations in turn.
pub fn queue(input: &[u8]) {
    let Ok(steps) = Vec::<Step>::arbitrary_take_rest(Unstructured::new(input)) else { return };
    limited(|| {
        let queue = Queue::<[u8]>::bounded(5).expect("there is memory");
        queue.put_all_bytes([vec![1; 100], vec![2; 3000], vec![3; 1 << 20]]).expect("there is room");
        steps.into_iter().take(64).for_each(|step| run(&queue, step));
        // Whatever it is by now, it can be emptied, or is found damaged.
        (0..10).for_each(|_| drop(queue.try_get_bytes()));
    });
}

fn run(queue: &Queue<[u8]>, step: Step) {
    match step {
        Step::Write(write) => write.write(queue.segment(), WORDS),
        Step::Put(len) => drop(queue.try_put_bytes(&vec![4; len.into()])),
        Step::PutForAMoment(len) => drop(queue.put_bytes_timeout(&vec![5; len.into()], MOMENT)),
        Step::Reserve(len) => {
            if let Ok(mut room) = queue.try_reserve(len.into()) {
                room.write_at(usize::from(len) / 2, &vec![7; usize::from(len).div_ceil(2)]);
                room.commit();
            }
        }
        Step::DropReserved(len) => drop(queue.try_reserve(len.into())),
        Step::Get => drop(queue.try_get_bytes()),
        Step::GetForAMoment => drop(queue.get_bytes_timeout(MOMENT)),
        Step::GetInPlace => {
            let _ = queue.try_get_bytes_with(|bytes| bytes.read_at(0, &mut [0; 64]));
        }
        Step::Ask => {
            let _ = (queue.len(), queue.is_full(), queue.capacity(), queue.stats(), queue.is_closed());
        }
    }
}
