//! What runs in a child before, around and after its function.
#![allow(unsafe_code)]

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::os::fd::OwnedFd;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::OnceLock;

use ipc_core::transfer::Parcel;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::current::{self, Current};
use crate::function::{self, Function};
use crate::join::Panic;
use crate::sys;
use crate::wire::{Report, Start};

/// Set in the environment of a child until it has started.
pub(crate) const MARK: &str = "IPC_PROCESS_CHILD";

/// The exit code of a child whose function panicked, as of every Rust program.
const PANICKED: i32 = 101;
/// The exit code of a child that could not be started as one.
const NOT_STARTED: i32 = 126;

/// Decodes the arguments; what it returns then runs the function on them. Its address travels to the child.
pub(crate) type Entry = fn(&[u8]) -> Result<Call, postcard::Error>;

/// Runs the function and packs the report.
pub(crate) type Call = Box<dyn FnOnce() -> Parcel>;

/// The entry for a function of that type.
pub(crate) fn entry<F, Args>(bytes: &[u8]) -> Result<Call, postcard::Error>
where
    F: Function<Args, Output: Serialize>,
    Args: DeserializeOwned + 'static,
{
    let args: Args = postcard::from_bytes(bytes)?;
    Ok(Box::new(move || {
        let result = function::conjure::<F, Args>().call(args);
        pack(&Report::Returned, &result).unwrap_or_else(|error| bad_result(&error.to_string()))
    }))
}

/// A report, and what follows it.
pub(crate) fn pack<H: Serialize, T: Serialize>(head: &H, tail: &T) -> Result<Parcel, postcard::Error> {
    Parcel::pack(|| postcard::to_extend(tail, postcard::to_extend(head, Vec::new())?))
}

fn report(report: &Report) -> Parcel {
    pack(report, &()).expect("a report has no handles and no maps")
}

fn bad_result(why: &str) -> Parcel {
    report(&Report::BadResult(why.to_owned()))
}

/// The child's end of the channel to its parent.
static CHANNEL: OnceLock<OwnedFd> = OnceLock::new();

/// Has the loader call [`start_if_child`] before main.
#[cfg(feature = "auto-start")]
#[used]
#[unsafe(link_section = ".init_array")]
static START: extern "C" fn() = {
    extern "C" fn start() {
        start_if_child();
    }
    start
};

/// Starts this process's function, if it is a child, and never returns then; does nothing otherwise.
///
/// With the default feature `auto-start` this has been done before `main`, and calling it does nothing. Without
/// that feature it has to be the first thing in `main`, since everything before it is done by every child.
#[doc(alias = "freeze_support")]
pub fn init() {
    start_if_child();
}

/// Keeps the linker from leaving [`START`] out of the program.
pub(crate) fn keep_start() {
    #[cfg(feature = "auto-start")]
    std::hint::black_box(&START);
}

/// Whether this process was started as a child, but its program did not let it become one.
pub(crate) fn is_unstarted_child() -> bool {
    std::env::var_os(MARK).is_some()
}

fn start_if_child() {
    if std::env::var_os(MARK).is_none() || sys::is_privileged() {
        return;
    }
    // Not for the programs that the child starts.
    // SAFETY: the child has one thread so far: this is before main, or main's first statement, as `init` asks for.
    unsafe { std::env::remove_var(MARK) };
    let code = run().unwrap_or_else(|why| {
        eprintln!("a child process could not be started: {why}");
        NOT_STARTED
    });
    std::process::exit(code);
}

fn run() -> Result<i32, Box<dyn std::error::Error>> {
    sys::ignore_sigpipe();
    let channel = sys::take_stdin()?;
    let channel = CHANNEL.get_or_init(|| channel);
    let parcel = Parcel::receive(channel)?.ok_or("its parent sent nothing")?;
    let call = match parcel.unpack(begin)? {
        Ok(call) => call,
        Err(error) => {
            send(&report(&Report::BadArguments(error.to_string())));
            return Ok(NOT_STARTED);
        }
    };
    panic::set_hook(Box::new(note_panic));
    let (parcel, code) = match panic::catch_unwind(AssertUnwindSafe(call)) {
        Ok(parcel) => (parcel, 0),
        Err(payload) => (report(&Report::Panicked(panic_of(&*payload))), PANICKED),
    };
    send(&parcel);
    Ok(code)
}

/// Becomes the child that the parent wants, and decodes the arguments.
fn begin(bytes: &[u8]) -> Result<Result<Call, postcard::Error>, Box<dyn std::error::Error>> {
    let (start, args) = postcard::take_from_bytes::<Start>(bytes)?;
    if start.executable != sys::executable()? {
        return Err("it does not run the program that its parent runs".into());
    }
    let address = sys::code_address(start.entry).ok_or("its function lies outside of the program")?;
    // SAFETY: the parent runs the same file and took the offset from a function of this type.
    let entry = unsafe { std::mem::transmute::<usize, Entry>(address) };
    let current = Current::become_child(start);
    if let Some(parent) = current::parent().filter(|_| current.is_daemon()) {
        current::end_with(parent)?;
    }
    Ok(entry(args))
}

fn send(parcel: &Parcel) {
    let Some(channel) = CHANNEL.get() else { return };
    if let Err(error) = parcel.send(channel) {
        // If the parent is gone, nobody wants to know. Otherwise it is the size that did not fit.
        let _ = bad_result(&error.to_string()).send(channel);
    }
}

thread_local! {
    /// The last panic of this thread.
    static PANIC: RefCell<Option<Panic>> = const { RefCell::new(None) };
}

/// Prints a panic with the process's name, and keeps what `catch_unwind` does not tell.
fn note_panic(info: &PanicHookInfo<'_>) {
    let backtrace = Backtrace::capture();
    let captured = backtrace.status() == BacktraceStatus::Captured;
    let panic = Panic {
        message: message_of(info.payload()),
        location: info.location().map(ToString::to_string),
        backtrace: captured.then(|| backtrace.to_string()),
    };
    let current = current::current();
    eprintln!("process `{}` (pid {}) panicked{panic}", current.name(), current.pid());
    if let Some(backtrace) = &panic.backtrace {
        eprintln!("{backtrace}");
    }
    if cfg!(panic = "abort") {
        // Nothing will unwind to where the report is sent otherwise.
        send(&report(&Report::Panicked(panic.clone())));
    }
    PANIC.set(Some(panic));
}

fn panic_of(payload: &(dyn Any + Send)) -> Panic {
    let message = message_of(payload);
    // A hook of the program's own may have replaced ours, and an older panic may have been caught.
    let noted = PANIC.take().filter(|panic| panic.message == message);
    noted.unwrap_or(Panic { message, location: None, backtrace: None })
}

fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a value that is no text".to_owned())
}
