//! What a segment says of itself: written at creation, checked at opening.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::error::Cause;
use crate::layout::{self, Header, KIND_LEN, MAGIC, MAX_SLOTS, VERSION};
use crate::sys;

/// What a segment holds: given when it is made, and compared when it is opened.
///
/// ```
/// use ipc_core::Spec;
/// let spec = Spec::new("queue", 3).type_name("alloc::string::String").len(4096).max_len(1 << 30);
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use = "a Spec does nothing by itself"]
pub struct Spec<'a> {
    pub(crate) kind: &'a str,
    pub(crate) version: u32,
    pub(crate) type_name: &'a str,
    pub(crate) len: u64,
    pub(crate) max_len: u64,
    pub(crate) participants: u32,
}

impl<'a> Spec<'a> {
    /// A segment of that kind (a word of 1 to 16 bytes), whose own layout has that version; no data, fixed length,
    /// room for 1,024 processes.
    pub fn new(kind: &'a str, version: u32) -> Spec<'a> {
        Spec { kind, version, type_name: "", len: 0, max_len: 0, participants: 1024 }
    }

    /// The type of what is in it, compared as text. Two programs agree on [`std::any::type_name`] only if the type
    /// comes from the same crate; others choose a name.
    pub fn type_name(self, type_name: &'a str) -> Spec<'a> {
        Spec { type_name, ..self }
    }

    /// Bytes of data at the start. Opening asks for at least as many.
    pub fn len(self, len: u64) -> Spec<'a> {
        Spec { len, max_len: self.max_len.max(len), ..self }
    }

    /// Bytes of data that the segment can [grow](crate::Segment::grow) to. Costs address space, not memory.
    pub fn max_len(self, max_len: u64) -> Spec<'a> {
        Spec { max_len: max_len.max(self.len), ..self }
    }

    /// How many processes can take part at the same time, 1 to 4,095. Each costs 16 bytes.
    pub fn participants(self, participants: u32) -> Spec<'a> {
        Spec { participants, ..self }
    }

    pub(crate) fn data_offset(&self) -> u64 {
        layout::data_offset(self.participants)
    }

    /// Refuses what cannot be written down.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        let bad = |property, found: String, expected: &str| {
            Err(Cause::Mismatch { property, found, expected: expected.to_owned() })
        };
        if self.kind.is_empty()
            || self.kind.len() > KIND_LEN
            || !self.kind.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return bad("kind", format!("`{}`", self.kind), "1 to 16 visible ASCII characters");
        }
        if self.participants == 0 || self.participants > MAX_SLOTS {
            return bad("number of participants", self.participants.to_string(), "1 to 4095");
        }
        if self.data_offset().checked_add(self.max_len).is_none_or(|end| end > isize::MAX as u64) {
            return bad("length", format!("{} bytes", self.max_len), "a length that can be mapped");
        }
        Ok(())
    }
}

/// Describes a fresh segment. `spec` and `name` were checked.
pub(crate) fn write(header: &Header, spec: &Spec<'_>, name: &str) {
    let (pid_namespace, time_namespace) = sys::namespaces();
    store(&header.kind, spec.kind);
    store(&header.type_name, spec.type_name);
    store(&header.name, name);
    header.version.store(VERSION, Ordering::Relaxed);
    header.slots.store(spec.participants, Ordering::Relaxed);
    header.kind_version.store(spec.version, Ordering::Relaxed);
    header.type_len.store(spec.type_name.len() as u32, Ordering::Relaxed);
    header.type_hash.store(hash(spec.type_name), Ordering::Relaxed);
    header.len.store(spec.len, Ordering::Relaxed);
    header.max_len.store(spec.max_len, Ordering::Relaxed);
    header.pid_namespace.store(pid_namespace, Ordering::Relaxed);
    header.time_namespace.store(time_namespace, Ordering::Relaxed);
    header.magic.store(MAGIC, Ordering::Release);
}

/// The numbers that everything else relies on, read once and checked.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    /// Where the data begins.
    pub(crate) data: u64,
    pub(crate) max_len: u64,
    pub(crate) slots: u32,
}

/// Checks a header that came from elsewhere, in a file of `file_len` bytes.
pub(crate) fn check(header: &Header, file_len: u64) -> Result<Shape, Cause> {
    if header.magic.load(Ordering::Acquire) != MAGIC {
        return Err(Cause::NotASegment);
    }
    same("layout version", header.version.load(Ordering::Relaxed), VERSION)?;
    let slots = header.slots.load(Ordering::Relaxed);
    if slots == 0 || slots > MAX_SLOTS {
        return Err(Cause::Damaged { field: "number of participants" });
    }
    let data = layout::data_offset(slots);
    let len = header.len.load(Ordering::Relaxed);
    let max_len = header.max_len.load(Ordering::Relaxed);
    let mappable = data.checked_add(max_len).is_some_and(|end| end <= isize::MAX as u64);
    if len > max_len || !mappable || file_len < data + len {
        return Err(Cause::Damaged { field: "length" });
    }
    let (pid_namespace, time_namespace) = sys::namespaces();
    if header.pid_namespace.load(Ordering::Relaxed) != pid_namespace
        || header.time_namespace.load(Ordering::Relaxed) != time_namespace
    {
        return Err(Cause::ForeignNamespace);
    }
    Ok(Shape { data, max_len, slots })
}

/// Compares a segment of `len` bytes of data with what is wanted.
pub(crate) fn expect(header: &Header, len: u64, spec: &Spec<'_>) -> Result<(), Cause> {
    same("kind", load(&header.kind), spec.kind.to_owned())?;
    same("kind version", header.kind_version.load(Ordering::Relaxed), spec.version)?;
    let same_type = header.type_hash.load(Ordering::Relaxed) == hash(spec.type_name)
        && header.type_len.load(Ordering::Relaxed) as usize == spec.type_name.len();
    if !same_type {
        same("type", load(&header.type_name), spec.type_name.to_owned())?;
        return Err(Cause::Damaged { field: "type" });
    }
    if len < spec.len {
        same("length", format!("{len} bytes"), format!("at least {} bytes", spec.len))?;
    }
    Ok(())
}

/// What the segment calls itself, for error messages.
pub(crate) fn label(header: &Header) -> String {
    let kind = load(&header.kind);
    match name(header) {
        name if name.is_empty() => format!("unnamed {kind}"),
        name => format!("{kind} `{name}`"),
    }
}

/// The name that the segment says it has.
pub(crate) fn name(header: &Header) -> String {
    load(&header.name)
}

fn same<T: PartialEq + ToString>(property: &'static str, found: T, expected: T) -> Result<(), Cause> {
    if found == expected {
        return Ok(());
    }
    Err(Cause::Mismatch { property, found: found.to_string(), expected: expected.to_string() })
}

fn store(field: &[AtomicU8], text: &str) {
    for (cell, byte) in field.iter().zip(text.bytes()) {
        cell.store(byte, Ordering::Relaxed);
    }
}

fn load(field: &[AtomicU8]) -> String {
    let bytes = field.iter().map(|cell| cell.load(Ordering::Relaxed)).take_while(|&byte| byte != 0);
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}

/// FNV-1a.
fn hash(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
