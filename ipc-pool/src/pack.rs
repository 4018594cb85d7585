//! Items into tasks.

use std::convert::Infallible;
use std::sync::Arc;

use ipc_core::codec::{self, CodecError};
use ipc_core::transfer::Parcel;
use serde::Serialize;

use crate::desk::Desk;
use crate::entry::caught;
use crate::task::{CallInfo, Task};
use crate::wire::{self, LENGTH, ORDER};

/// A task with more bytes has one item only.
const MOST: usize = 1 << 20;

/// What became of items.
pub(crate) enum Packed {
    Task(Task),
    /// The item of that index cannot be encoded.
    Failed(usize, String),
}

/// Packs items of a call, of which the first has that index: all into one task, if that does not make it large. An item
/// with handles has a task for itself.
pub(crate) fn pack<Args: Serialize>(
    desk: &Desk,
    call: &Arc<CallInfo>,
    index: usize,
    items: &[Args],
) -> Vec<Packed> {
    let mut packed = Vec::with_capacity(1);
    let (mut at, mut most) = (0, items.len());
    while at < items.len() {
        let (mut count, mut number) = (0, 0);
        let mut failed = None;
        let parcel = Parcel::pack(|| {
            // About as many as there will be, so that a long one is not copied again and again.
            let guess = items[at..].len().min(most) * (LENGTH + size_of::<Args>());
            let mut bytes = Vec::with_capacity(ORDER + guess.min(MOST));
            bytes.extend_from_slice(&[0; ORDER]);
            let mut end = bytes.len();
            // One for all: an item may be a single byte.
            let packed = caught(
                || {
                    for item in items[at..].iter().take(most) {
                        wire::push(&mut bytes, |bytes| codec::encode(item, bytes))?;
                        (count, end) = (count + 1, bytes.len());
                        if end > MOST {
                            break;
                        }
                    }
                    Ok::<_, CodecError>(())
                },
                "encoded",
            );
            if let Err(why) = packed {
                bytes.truncate(end);
                failed = Some(why);
            }
            number = desk.numbers(count);
            bytes[..ORDER].copy_from_slice(&call.order(number, count as u32));
            Ok::<_, Infallible>(bytes)
        });
        let parcel = parcel.unwrap_or_else(|never| match never {});
        if parcel.handles() > 0 && most > 1 {
            // Once more, one by one.
            most = 1;
            continue;
        }
        if count > 0 {
            packed.push(Packed::Task(Task::new(call, number, count as u32, index + at, parcel)));
        }
        at += count as usize;
        if let Some(why) = failed {
            packed.push(Packed::Failed(index + at, why));
            at += 1;
        }
    }
    packed
}
