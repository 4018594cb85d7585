//! Functions on their way to a worker: what runs there stands for a function and its types.
#![allow(unsafe_code)]

use std::any::Any;
use std::cell::Cell;
use std::mem;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};

use ipc_core::codec::{self, CodecError};
use ipc_core::transfer::Parcel;
use ipc_process::{Function, Panic, raw};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::wire::{self, Failure};

/// The arguments of one item.
pub(crate) enum Input<'a> {
    Bytes(&'a [u8]),
    /// With handles: that part of the parcel. Boxed, as they are few, and all others smaller so.
    Parcel(Box<(Parcel, Range<usize>)>),
}

/// Runs a function on one item, and appends its result or failure to the bytes. If there are handles in the result, all of
/// the bytes go into a parcel with them.
pub(crate) type Entry = fn(Input<'_>, &mut Vec<u8>) -> Option<Box<Parcel>>;

/// The number of the function's [`Entry`]; `None` for a function of a shared library.
pub(crate) fn offset<F, Args>() -> Option<usize>
where
    F: Function<Args, Output: Serialize>,
    Args: DeserializeOwned,
{
    let entry: Entry = run::<F, Args>;
    raw::code_offset(entry as usize)
}

/// The [`Entry`] of that number, which has to come from the parent's side of the socket, and from nowhere else.
pub(crate) fn introduced(offset: usize) -> Option<Entry> {
    let address = raw::code_address(offset)?;
    // SAFETY: the parent alone has the other end of the socket, and sends what `offset` gave there. This process runs the
    // same file, which was checked when it started, so that the same `Entry` lies at that offset.
    Some(unsafe { mem::transmute::<usize, Entry>(address) })
}

fn run<F, Args>(input: Input<'_>, bytes: &mut Vec<u8>) -> Option<Box<Parcel>>
where
    F: Function<Args, Output: Serialize>,
    Args: DeserializeOwned,
{
    let start = bytes.len();
    let stage = Cell::new(Stage::Decoding);
    let mut parcel = None;
    // One for all: it is run for each of many small items.
    let run = catch_unwind(AssertUnwindSafe(|| -> Result<(), Box<Failure>> {
        let args: Result<Args, _> = match input {
            Input::Bytes(bytes) => codec::decode_all(bytes),
            Input::Parcel(whole) => {
                let (parcel, part) = *whole;
                parcel.unpack(|bytes| codec::decode_all(bytes.get(part).unwrap_or_default()))
            }
        };
        let args = args.map_err(|error| Box::new(Failure::Arguments(error.into())))?;
        stage.set(Stage::Running);
        // SAFETY: an entry for a function is made where one was given, by the parent that runs the same program.
        let output = unsafe { raw::conjure::<F, Args>() }.call(args);
        stage.set(Stage::Encoding);
        let encode = |bytes: &mut Vec<u8>| codec::encode(&output, bytes);
        // Without handles, which is an error if there are some: then it is done once more, with what they need.
        if wire::push(bytes, encode).is_err() {
            parcel = Some(with_handles(bytes, encode)?);
        }
        stage.set(Stage::Done);
        Ok(())
    }));
    let failure = match run {
        Ok(Ok(())) => return parcel,
        Ok(Err(failure)) => *failure,
        Err(payload) => panicked(payload, stage.get()),
    };
    // If it is only the drop of the output that panicked, the result counts all the same.
    if stage.get() != Stage::Done {
        bytes.truncate(start);
        wire::push_failure(bytes, &failure);
    }
    parcel
}

/// How far an item has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Decoding,
    Running,
    Encoding,
    /// Its result is in a parcel, or among the bytes.
    Done,
}

#[cold]
fn panicked(payload: Box<dyn Any + Send>, stage: Stage) -> Failure {
    let panic = raw::panic_of(&*payload);
    // Dropping it is the program's code, which may panic once more.
    mem::forget(payload);
    match stage {
        Stage::Decoding => Failure::Arguments(words(panic, "decoded")),
        Stage::Running => Failure::Panicked(panic),
        Stage::Encoding | Stage::Done => Failure::Result(words(panic, "encoded")),
    }
}

/// The bytes go into the parcel; if it cannot be made, they stay as they were.
#[cold]
fn with_handles(
    bytes: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<Box<Parcel>, Box<Failure>> {
    let packed = Parcel::pack(|| wire::push(bytes, encode).map(|()| mem::take(bytes)));
    packed.map(Box::new).map_err(|why| Box::new(Failure::Result(why.into())))
}

/// Runs the program's own code for a value; its panic is an error as others are.
pub(crate) fn caught<T, E: Into<String>>(f: impl FnOnce() -> Result<T, E>, what: &str) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => result.map_err(Into::into),
        Err(payload) => {
            let panic = raw::panic_of(&*payload);
            mem::forget(payload);
            Err(words(panic, what))
        }
    }
}

fn words(panic: Panic, what: &str) -> String {
    let Panic { message, location, .. } = panic;
    let place = location.map_or_else(String::new, |location| format!(" at {location}"));
    format!("a panic while it was {what}{place}: {message}")
}
