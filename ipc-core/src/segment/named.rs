//! Segments with a name: made, opened, and gone with their last user.

use std::collections::HashMap;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{MutexGuard, Weak};
use std::thread;
use std::time::Duration;

use super::{Inner, OPEN, OpenTable, Segment, open_table};
use crate::error::{Cause, Error, Result};
use crate::header::Spec;
use crate::mapping::Mapping;
use crate::name::{self, Name};
use crate::{participant, sys};

impl Segment {
    /// Makes a segment that other programs of the same user can [`open`](Segment::open) by name.
    ///
    /// `init` fills it before anybody can see it: it appears whole or not at all, also when this process is
    /// killed meanwhile. The name is removed when the last handle of this process is dropped, and when the process
    /// exits. If it is killed instead, the name stays while others use the segment; the last of them removes it.
    /// If all are killed, it is recognised as stale: by whoever creates the same name next, by the first
    /// `create` of any process, and by [`remove_stale`].
    ///
    /// # Errors
    /// [`Cause::NameTaken`] while the owner of that name lives, [`Cause::NameBusy`], [`Cause::BadName`],
    /// [`Cause::Exiting`], no memory left (with both sizes), no /dev/shm, and what `init` returns.
    pub fn create(name: &str, spec: &Spec<'_>, init: impl FnOnce(&Segment) -> Result<()>) -> Result<Segment> {
        Segment::create_named(name, spec, init, true)
    }

    fn create_named(
        name: &str,
        spec: &Spec<'_>,
        init: impl FnOnce(&Segment) -> Result<()>,
        replace: bool,
    ) -> Result<Segment> {
        static SWEPT: AtomicBool = AtomicBool::new(false);
        if !SWEPT.swap(true, Ordering::Relaxed) {
            // It is not what the caller asked for, so that it fails is not the caller's concern.
            let _ = remove_stale();
        }
        let label = format!("{} `{name}`", spec.kind);
        let fail = |cause: Cause| Error::new("create", label.as_str(), cause);
        let make = || {
            spec.check()?;
            let path = name::path(name)?;
            let (file, owner) = name::unnamed()?;
            Ok((path, owner, Segment::build(spec, name, file)?))
        };
        let (path, owner, segment) = make().map_err(fail)?;
        init(&segment)?;
        // It is known before it is there, so that an exit meanwhile removes it.
        let name = segment.0.keep_name(Name::new(path, Some(owner)).map_err(fail)?);
        let permit = || Some(open_table()).filter(|open| !open.exits).ok_or(Cause::Exiting);
        name.publish(replace, permit).map_err(fail)?;
        Ok(segment)
    }

    /// Opens a segment by name, if it is what `spec` says. Works also when its owner was killed.
    ///
    /// # Errors
    /// [`Error::is_not_found`]; [`Cause::Mismatch`], which says which of layout version, kind, kind version, type
    /// and length differs; [`Cause::NotASegment`]; [`Cause::ForeignOwner`]; [`Cause::ForeignNamespace`];
    /// [`Cause::TooManyParticipants`].
    pub fn open(name: &str, spec: &Spec<'_>) -> Result<Segment> {
        let label = format!("{} `{name}`", spec.kind);
        let open = || {
            let path = name::path(name)?;
            name::open_with(&path, Segment::map)
        };
        let segment = open().map_err(|cause| Error::new("open", label.as_str(), cause))?;
        segment.expect(spec)?;
        Ok(segment)
    }

    /// Opens the segment of that name, also one that is left of killed processes, or makes it if there is none.
    ///
    /// # Errors
    /// Those of [`create`](Segment::create) and [`open`](Segment::open).
    pub fn open_or_create(
        name: &str,
        spec: &Spec<'_>,
        mut init: impl FnMut(&Segment) -> Result<()>,
    ) -> Result<Segment> {
        loop {
            match Segment::open(name, spec) {
                Err(error) if error.is_not_found() => {}
                result => return result,
            }
            // Replaces nothing: somebody may be using it by now.
            match Segment::create_named(name, spec, &mut init, false) {
                Err(error) if matches!(error.cause(), Cause::NameTaken) => {}
                result => return result,
            }
        }
    }
}

impl Inner {
    /// Remembers the name, to be removed at the end.
    pub(super) fn keep_name(&self, name: Name) -> &Name {
        static AT_EXIT: AtomicBool = AtomicBool::new(false);
        if !AT_EXIT.swap(true, Ordering::Relaxed) {
            sys::at_exit(remove_names);
        }
        // If another thread was faster, its name is the same.
        self.name.get_or_init(|| name)
    }

    /// Removes the name: that of this process, or one of a dead owner that nobody uses any more.
    pub(super) fn give_up_name(&self) {
        if let Some(name) = self.name.get() {
            let me = self.me.load(Ordering::Relaxed);
            name.give_up(self.id, || !participant::anyone(self.mapping.slots(), me));
        }
    }
}

/// At the exit of a process nothing is dropped that lies in a static or was leaked.
extern "C" fn remove_names() {
    // A thread that runs on may hold the table for a moment; as may the one that calls this, in a signal's handler.
    for _ in 0..100 {
        if OPEN.try_lock().is_ok_and(remove_names_of) {
            return;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Whether none is left.
fn remove_names_of(mut open: MutexGuard<'_, OpenTable>) -> bool {
    open.exits = true;
    let mut all_gone = true;
    for inner in open.segments.iter().flat_map(HashMap::values).map(Weak::upgrade) {
        // Somebody is just dropping the last handle, and about to remove the name.
        let Some(inner) = inner else {
            all_gone = false;
            continue;
        };
        // It is still used by other threads, and does not leave yet. Those who exit at the same moment have to know
        // that it will, or each would leave the name to the others.
        if let Some(id) = inner.me() {
            participant::exit(inner.mapping.slots(), id);
        }
        inner.give_up_name();
        // Dropping it here would take the lock again.
        std::mem::forget(inner);
    }
    all_gone
}

/// Removes the names, of all segments of this user, that are left of processes which were all killed; says how many.
///
/// # Errors
/// No /dev/shm.
pub fn remove_stale() -> Result<usize> {
    let unused = |file: BorrowedFd<'_>| {
        Mapping::check(file).is_ok_and(|mapping| !participant::anyone(mapping.slots(), 0))
    };
    name::sweep(unused).map_err(|cause| Error::new("remove", "stale names", cause))
}
