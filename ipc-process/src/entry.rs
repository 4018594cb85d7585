//! What runs in a child before, around and after its function.
#![allow(unsafe_code)]

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::RefCell;
use std::io::Write;
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
use ipc_core::codec;

/// Set in the environment of a child until it has started.
pub(crate) const MARK: &str = "IPC_PROCESS_CHILD";
/// What it is set to. A program can contain two versions of this crate, and each starts its own children.
pub(crate) const MARK_VALUE: &str = env!("CARGO_PKG_VERSION");

/// The exit code of a child whose function panicked, as of every Rust program.
const PANICKED: i32 = 101;
/// The exit code of a child that could not be started as one.
const NOT_STARTED: i32 = 126;

/// Decodes the arguments; what it returns then runs the function on them. Its address travels to the child.
pub(crate) type Entry = fn(&[u8]) -> Result<Call, String>;

/// Runs the function and sends the report.
pub(crate) type Call = Box<dyn FnOnce()>;

/// The entry for a function of that type.
pub(crate) fn entry<F, Args>(bytes: &[u8]) -> Result<Call, String>
where
    F: Function<Args, Output: Serialize>,
    Args: DeserializeOwned + 'static,
{
    let args: Args = codec::decode_all(bytes)?;
    Ok(Box::new(move || {
        // SAFETY: the parent had one when it started this process.
        let function = unsafe { function::conjure::<F, Args>() };
        let result = function.call(args);
        let parcel = pack(&Report::Returned, &result);
        // Before the result is dropped here: that may panic, and the parent has it by then.
        send(&parcel.unwrap_or_else(|why| report(&Report::BadResult(why))));
    }))
}

/// A report, and what follows it.
pub(crate) fn pack<H: Serialize, T: Serialize>(head: &H, tail: &T) -> Result<Parcel, String> {
    Parcel::pack(|| {
        let mut bytes = Vec::new();
        codec::encode(head, &mut bytes)?;
        codec::encode(tail, &mut bytes)?;
        Ok(bytes)
    })
}

fn report(report: &Report) -> Parcel {
    pack(report, &()).expect("a report has no handles and no maps")
}

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

/// The child's end of the channel to its parent, and the child: a process that it forks has not been asked.
static CHANNEL: OnceLock<(u32, OwnedFd)> = OnceLock::new();

fn start_if_child() {
    // Whoever sets the environment of a privileged program is not to choose what runs in it.
    if std::env::var_os(MARK).is_none_or(|value| value != MARK_VALUE) || sys::is_privileged() {
        return;
    }
    // Not for the programs that the child starts.
    // SAFETY: the child has one thread so far: this is before main, or main's first statement, as `init` asks for.
    unsafe { std::env::remove_var(MARK) };
    std::process::exit(run());
}

fn run() -> i32 {
    sys::ignore_sigpipe();
    match sys::take_stdin() {
        Ok(channel) => CHANNEL.get_or_init(|| (sys::pid(), channel)),
        Err(error) => {
            complain(&format!("{MARK} is set, but standard input does not lead to a parent: {error}"));
            return NOT_STARTED;
        }
    };
    panic::set_hook(Box::new(note_panic));
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload| {
        // After a result, nobody reads it.
        send(&report(&Report::Panicked(panic_of(&*payload))));
        // Dropping it is the program's code, which may panic once more.
        std::mem::forget(payload);
        PANICKED
    })
}

/// Does it and reports; the exit code.
fn work() -> i32 {
    match begin() {
        Ok(call) => {
            call();
            0
        }
        Err(why) => {
            send(&report(&why));
            NOT_STARTED
        }
    }
}

/// Becomes the child that the parent wants, and decodes the arguments.
fn begin() -> Result<Call, Report> {
    let fail = |why: &str| Report::NotStarted(why.to_owned());
    let channel = CHANNEL.get().map(|(_, channel)| channel).ok_or_else(|| fail("it has no channel"))?;
    let parcel = Parcel::receive(channel).map_err(|error| fail(&error.to_string()))?;
    let parcel = parcel.ok_or_else(|| fail("its parent sent nothing"))?;
    parcel.unpack(|bytes| {
        let (start, args) = codec::decode::<Start>(bytes).map_err(|why| fail(&why.to_string()))?;
        if start.executable != sys::executable().map_err(|error| fail(&error.to_string()))? {
            return Err(fail("it does not run the program that its parent runs"));
        }
        let address =
            sys::code_address(start.entry).ok_or_else(|| fail("its function is not in the program"))?;
        // SAFETY: the parent runs the same file and took the offset from a function of this type.
        let entry = unsafe { std::mem::transmute::<usize, Entry>(address) };
        let current = Current::become_child(start)
            .ok_or_else(|| fail("`current` or `parent` was called before it had started"))?;
        sys::set_name(current.name());
        if let Some(parent) = current::parent().filter(|_| current.is_daemon()) {
            current::end_with(parent).map_err(|error| fail(&format!("cannot watch its parent: {error}")))?;
        }
        entry(args).map_err(Report::BadArguments)
    })
}

fn send(parcel: &Parcel) {
    let Some((_, channel)) = CHANNEL.get().filter(|(pid, _)| *pid == sys::pid()) else { return };
    if let Err(error) = parcel.send(channel) {
        // If the parent is gone, nobody wants to know. Otherwise it is the size that did not fit.
        let _ = report(&Report::BadResult(error.to_string())).send(channel);
    }
}

/// One line to standard error, in one write; nothing can be done if nobody reads it.
fn complain(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
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
    let stack = panic.backtrace.as_ref().map_or_else(String::new, |backtrace| format!("\n{backtrace}"));
    complain(&format!("process `{}` (pid {}) {panic}{stack}", current.name(), current.pid()));
    if cfg!(panic = "abort") {
        // Nothing will unwind to where the report is sent otherwise.
        send(&report(&Report::Panicked(panic.clone())));
    }
    PANIC.set(Some(panic));
}

/// What is known of a panic that was just caught on this thread.
pub fn panic_of(payload: &(dyn Any + Send)) -> Panic {
    let message = message_of(payload);
    // A hook of the program's own may have replaced ours, and an older panic may have been caught.
    let noted = PANIC.take().filter(|panic| panic.message == message);
    noted.unwrap_or(Panic { message, location: None, backtrace: None })
}

/// What a panic said.
pub(crate) fn message_of(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a value that is no text".to_owned())
}
