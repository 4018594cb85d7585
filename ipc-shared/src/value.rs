//! One value.
#![allow(unsafe_code)]

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{Ordering, fence};

use ipc_core::{Identity, Result, Segment};
use ipc_lock::Shareable;

use crate::object::{Kind, Object, handle};
use crate::plain::{self, Plain, is_word};
use crate::store::{Size, Store};

/// Plain data that processes share, with a lock.
///
/// A clone, or what another process makes of a serialised handle, is a handle to the same value. Many of them lie best in
/// one [`Manager`](crate::Manager): a value of its own takes 200 KiB.
///
/// **If a process dies** while it changes the value, be it in the middle of [`update`](Value::update) or with a guard, the old
/// value stays, and the next one gets the lock. So nobody ever sees half a change.
///
/// ```
/// use ipc_shared::Value;
///
/// let position = Value::new([1.5, 2.5])?;
/// position.update(|[x, _]| *x += 1.0);
/// assert_eq!(position.get(), [2.5, 2.5]);
///
/// let count = Value::new(5_u64)?;
/// count.atomic().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
/// assert_eq!(count.get(), 6);
/// # Ok::<(), ipc_core::Error>(())
/// ```
///
/// A struct of plain data is declared with [`shareable!`](crate::shareable):
///
/// ```
/// use ipc_shared::{Value, shareable};
///
/// shareable! {
///     struct Account {
///         owner: u64,
///         balance: i64,
///     }
/// }
///
/// let account = Value::new(Account { owner: 7, balance: 100 })?;
/// account.update(|account| account.balance -= 30);
/// assert_eq!((account.get().owner, account.get().balance), (7, 70));
/// # Ok::<(), ipc_core::Error>(())
/// ```
#[doc(alias = "Synchronized")]
#[doc(alias = "RawValue")]
pub struct Value<T: Shareable> {
    pub(crate) plain: Plain<T>,
}

/// Bytes from one copy of a `T` to the other.
const fn stride<T>() -> usize {
    size_of::<T>().next_multiple_of(64)
}

handle!(Value<T: Shareable> where plain);

impl<T: Shareable> Value<T> {
    pub(crate) fn type_name() -> String {
        format!("Value<{}> of {} bytes", type_name::<T>(), size_of::<T>())
    }

    pub(crate) fn from_object(object: Object) -> Result<Value<T>> {
        Plain::at(object, |_| Self::bytes()).map(|plain| Value { plain })
    }

    const fn bytes() -> usize {
        if is_word::<T>() { 8 } else { 2 * stride::<T>() }
    }

    pub(crate) fn create_in(store: &Store, value: T) -> Result<Value<T>> {
        let fill = |data: *mut T| {
            // SAFETY: `data` has room for it, is aligned to 64, and nobody can reach it yet.
            unsafe { plain::write(&value, data) };
        };
        let plain = Plain::create(store, Kind::Value, &Self::type_name(), 0, Self::bytes(), fill)?;
        Ok(Value { plain })
    }

    fn create_with(name: Option<&str>, value: T) -> Result<Value<T>> {
        Store::create(name, Size::of(2 * Self::bytes() as u64 + (1 << 20)), |store| {
            let value = Value::create_in(store, value)?;
            value.plain.object.set_main();
            Ok(value)
        })
    }

    /// A value for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn new(value: T) -> Result<Value<T>> {
        Value::create_with(None, value)
    }

    /// A value that other programs of the same user can [`open`](Value::open). See [`Segment::create`] for the life of a
    /// name.
    ///
    /// # Errors
    /// As [`new`](Value::new); the name is taken by a living process, or no name.
    pub fn create(name: &str, value: T) -> Result<Value<T>> {
        Value::create_with(Some(name), value)
    }

    /// The value of that name.
    ///
    /// # Errors
    /// There is none, or it is another kind of object, or of another type, which is compared by name and size.
    pub fn open(name: &str) -> Result<Value<T>> {
        Object::main(&Store::open(name)?, &Self::type_name()).and_then(Value::from_object)
    }

    /// The segment that it lies in.
    pub fn segment(&self) -> &Segment {
        self.plain.object.segment()
    }

    /// The copy that is valid after so many changes.
    #[inline]
    fn copy(&self, state: u64) -> *mut T {
        self.plain.data().cast::<u8>().wrapping_add((state & 1) as usize * stride::<T>()).cast()
    }

    /// The value. Takes no lock, unless it is larger than 8 bytes and others change it all the time.
    #[inline]
    #[doc(alias = "value")]
    pub fn get(&self) -> T {
        if is_word::<T>() {
            // SAFETY: mapped and aligned: see Plain.
            return unsafe { plain::read(self.plain.data()) };
        }
        let state = &self.plain.cell.state;
        for _ in 0..10 {
            let before = state.load(Ordering::Acquire);
            // SAFETY: as above; both copies are within the data.
            let value = unsafe { plain::read(self.copy(before)) };
            fence(Ordering::Acquire);
            if state.load(Ordering::Relaxed) == before {
                return value;
            }
        }
        let guard = self.lock();
        // SAFETY: as above.
        unsafe { plain::read(&raw const *guard) }
    }

    /// Changes the value.
    #[inline]
    pub fn set(&self, value: T) {
        *self.lock() = value;
    }

    /// Changes the value in one step; what `f` returns. If `f` panics, the old value stays.
    #[inline]
    pub fn update<R>(&self, f: impl FnOnce(&mut T) -> R) -> R {
        let mut guard = self.lock();
        let result = f(&mut guard);
        drop(guard);
        result
    }

    /// Waits for the lock. What is changed through the guard is seen by others when it is dropped, all at once; nothing is
    /// changed if that happens because of a panic.
    #[inline]
    #[doc(alias = "get_lock")]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> ValueGuard<'_, T> {
        // A dead owner has changed all or nothing.
        let (me, _) = self.plain.lock();
        self.guard(me)
    }

    /// The lock, if nobody has it.
    pub fn try_lock(&self) -> Option<ValueGuard<'_, T>> {
        self.plain.try_lock().map(|(me, _)| self.guard(me))
    }

    #[inline]
    fn guard<'a>(&'a self, me: Identity<'a>) -> ValueGuard<'a, T> {
        let mut guard =
            ValueGuard { value: self, me, word: MaybeUninit::uninit(), changed: false, thread: PhantomData };
        if is_word::<T>() {
            // SAFETY: mapped and aligned: see Plain.
            guard.word.write(unsafe { plain::read(self.plain.data()) });
        }
        guard
    }
}

/// The value is locked until this is dropped, which only the thread that locked it can do.
#[doc(alias = "release")]
#[must_use = "the lock is released when the guard is dropped"]
pub struct ValueGuard<'a, T: Shareable> {
    value: &'a Value<T>,
    /// Who locked it: a forked child has a copy of the guard, but not the lock.
    me: Identity<'a>,
    /// The value, if it is written by one store.
    word: MaybeUninit<T>,
    /// Whether there is something to be written.
    changed: bool,
    /// Not for other threads.
    thread: PhantomData<*const ()>,
}

impl<T: Shareable> ValueGuard<'_, T> {
    fn state(&self) -> u64 {
        self.value.plain.cell.state.load(Ordering::Relaxed)
    }
}

impl<T: Shareable> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        if is_word::<T>() {
            // SAFETY: written when the guard was made.
            return unsafe { self.word.assume_init_ref() };
        }
        let copy = self.value.copy(self.state() + u64::from(self.changed));
        // SAFETY: mapped and aligned. The lock is held, so that nobody who keeps to it writes to either copy; whatever one
        // who does not may write is a value of a Shareable.
        unsafe { &*copy }
    }
}

impl<T: Shareable> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        if is_word::<T>() {
            self.changed = true;
            // SAFETY: written when the guard was made.
            return unsafe { self.word.assume_init_mut() };
        }
        let state = self.state();
        let spare = self.value.copy(state + 1);
        if !self.changed {
            self.changed = true;
            fence(Ordering::Release);
            // SAFETY: both copies are mapped and aligned, and the lock is held.
            let old = unsafe { plain::read(self.value.copy(state)) };
            // SAFETY: as above; nobody reads the spare copy, or finds out that it changed meanwhile.
            unsafe { plain::write(&old, spare) };
        }
        // SAFETY: as for `deref`, and the guard is borrowed exclusively.
        unsafe { &mut *spare }
    }
}

impl<T: Shareable> Drop for ValueGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if !self.me.is_current() {
            return;
        }
        if self.changed && !std::thread::panicking() {
            let cell = &self.value.plain.cell;
            if is_word::<T>() {
                // SAFETY: written when the guard was made.
                let word = unsafe { self.word.assume_init_ref() };
                // SAFETY: mapped and aligned: see Plain.
                unsafe { plain::write(word, self.value.plain.data()) };
            } else {
                cell.state.store(self.state().wrapping_add(1), Ordering::Release);
            }
        }
        self.value.plain.cell.lock.unlock();
    }
}

macro_rules! atomics {
    ($($plain:ty: $atomic:ident)*) => { $(
        impl Value<$plain> {
            /// The value as an atomic, for changes without the lock. Who changes it under the lock does not notice them.
            #[inline]
            pub fn atomic(&self) -> &std::sync::atomic::$atomic {
                // SAFETY: mapped and aligned for as long as `self` lives, and only ever accessed by atomic operations of
                // this size.
                unsafe { &*self.plain.data().cast() }
            }
        }
    )* };
}
atomics!(u8: AtomicU8 u16: AtomicU16 u32: AtomicU32 u64: AtomicU64 usize: AtomicUsize);
atomics!(i8: AtomicI8 i16: AtomicI16 i32: AtomicI32 i64: AtomicI64 isize: AtomicIsize);

impl<T: Shareable + fmt::Debug> fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Value").field(&self.get()).finish()
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
