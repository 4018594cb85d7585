//! Many values of a type, one behind the other.
#![allow(unsafe_code)]

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::slice;

use ipc_core::{Identity, Result, Segment};
use ipc_lock::Shareable;
use ipc_lock::raw::Acquired;

use crate::error::IndexError;
use crate::layout::DOMAINS;
use crate::memory;
use crate::object::{Kind, Object, handle};
use crate::plain::{self, Plain, is_word};
use crate::store::{Size, Store};

/// Plain data that processes share: a fixed number of elements, with a lock.
///
/// A clone, or what another process makes of a serialised handle, is a handle to the same array.
///
/// **If a process dies** with the guard, the next one gets the lock and is told, since what it was writing may be half
/// done. What is done by one call ([`set`](Array::set), [`update`](Array::update), [`update_all`](Array::update_all),
/// [`fill`](Array::fill), [`sort`](Array::sort)) is done as a whole or not at all.
///
/// ```
/// use ipc_shared::Array;
///
/// let array = Array::new(&[11, 22, 33, 44])?;
/// array.set(0, 100)?;
/// for element in array.lock().unwrap().iter_mut() {
///     *element += 1;
/// }
/// assert_eq!(array.to_vec(), [101, 23, 34, 45]);
/// assert_eq!(array.get(9).unwrap_err().to_string(), "index 9 is out of range: there are 4 elements");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "SynchronizedArray")]
#[doc(alias = "RawArray")]
#[doc(alias = "ShareableList")]
pub struct Array<T: Shareable> {
    pub(crate) plain: Plain<T>,
    len: usize,
}

handle!(Array<T: Shareable> where plain, len);

impl<T: Shareable> Array<T> {
    pub(crate) fn type_name() -> String {
        format!("Array<{}> of {} bytes each", type_name::<T>(), size_of::<T>())
    }

    pub(crate) fn from_object(object: Object) -> Result<Array<T>> {
        let mut len = 0;
        let plain = Plain::at(object, |state| {
            // One that is too long for the segment is refused there.
            len = state as usize;
            len.saturating_mul(size_of::<T>())
        })?;
        Ok(Array { plain, len })
    }

    pub(crate) fn create_in(store: &Store, values: &[T]) -> Result<Array<T>>
    where
        T: Copy,
    {
        let fill = |data: *mut T| {
            // SAFETY: `data` has room for all of them, is aligned to 64, and nobody can reach it yet.
            unsafe { data.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        };
        let (len, bytes) = (values.len(), size_of_val(values));
        let plain = Plain::create(store, Kind::Array, &Self::type_name(), len as u64, bytes, fill)?;
        Ok(Array { plain, len })
    }

    fn create_with(name: Option<&str>, values: &[T]) -> Result<Array<T>>
    where
        T: Copy,
    {
        // The log of a change of all of it has twice as many bytes.
        let bytes = 8 * size_of_val(values) as u64 + (1 << 20);
        Store::create(name, Size::of(bytes), |store| {
            let array = Array::create_in(store, values)?;
            array.plain.object.set_main();
            Ok(array)
        })
    }

    /// An array of those elements, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left; more than 4 GiB.
    pub fn new(values: &[T]) -> Result<Array<T>>
    where
        T: Copy,
    {
        Array::create_with(None, values)
    }

    /// An array of so many elements, all of whose bytes are 0.
    ///
    /// # Errors
    /// As [`new`](Array::new).
    pub fn zeroed(len: usize) -> Result<Array<T>>
    where
        T: Copy,
    {
        // SAFETY: any bytes are a value of a Shareable.
        let zero = unsafe { MaybeUninit::<T>::zeroed().assume_init() };
        Array::new(&vec![zero; len])
    }

    /// An array that other programs of the same user can [`open`](Array::open). See [`Segment::create`] for the life of a
    /// name.
    ///
    /// # Errors
    /// As [`new`](Array::new); the name is taken by a living process, or no name.
    pub fn create(name: &str, values: &[T]) -> Result<Array<T>>
    where
        T: Copy,
    {
        Array::create_with(Some(name), values)
    }

    /// The array of that name.
    ///
    /// # Errors
    /// There is none, or it is another kind of object, or of another type, which is compared by name and size.
    pub fn open(name: &str) -> Result<Array<T>> {
        Object::main(&Store::open(name)?, &Self::type_name()).and_then(Array::from_object)
    }

    /// The segment that it lies in.
    pub fn segment(&self) -> &Segment {
        self.plain.object.segment()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn element(&self, index: usize) -> Result<*mut T, IndexError> {
        if index < self.len {
            Ok(self.plain.data().wrapping_add(index))
        } else {
            Err(IndexError { index, len: self.len })
        }
    }

    /// Waits for the lock.
    ///
    /// # Errors
    /// [`OwnerDied`], with the guard inside: what the dead process was changing may be half done.
    #[inline]
    #[doc(alias = "get_lock")]
    #[doc(alias = "acquire")]
    pub fn lock(&self) -> Result<ArrayGuard<'_, T>, OwnerDied<'_, T>> {
        let (me, acquired) = self.plain.lock();
        self.acquired(me, acquired)
    }

    fn acquired<'a>(
        &'a self,
        me: Identity<'a>,
        acquired: Acquired,
    ) -> Result<ArrayGuard<'a, T>, OwnerDied<'a, T>> {
        let guard = ArrayGuard { array: self, me, thread: PhantomData };
        match acquired {
            Acquired::Clean => Ok(guard),
            Acquired::OwnerDied => {
                // It may have died in `update_all`, after its changes were committed. To take the lock is to make them.
                drop(self.plain.object.store.begin(1 << self.domain()));
                Err(OwnerDied(guard))
            }
        }
    }

    fn locked(&self) -> ArrayGuard<'_, T> {
        self.lock().unwrap_or_else(OwnerDied::into_inner)
    }

    /// Whose log is used.
    fn domain(&self) -> usize {
        (self.plain.object.at / 64) as usize % DOMAINS
    }
}

impl<T: Shareable + Copy> Array<T> {
    /// The element at that index.
    ///
    /// # Errors
    /// There are not so many.
    #[inline]
    #[doc(alias = "__getitem__")]
    pub fn get(&self, index: usize) -> Result<T, IndexError> {
        let element = self.element(index)?;
        if is_word::<T>() {
            // SAFETY: within the array, mapped and aligned.
            return Ok(unsafe { plain::read(element) });
        }
        Ok(self.locked()[index])
    }

    /// Changes an element.
    ///
    /// # Errors
    /// There are not so many; no memory left for the log of a change of more than 8 bytes.
    #[inline]
    #[doc(alias = "__setitem__")]
    pub fn set(&self, index: usize, value: T) -> Result<()> {
        self.update(index, |element| *element = value)
    }

    /// Changes an element in one step; what `f` returns. If `f` panics, the old one stays.
    ///
    /// # Errors
    /// As [`set`](Array::set).
    #[inline]
    pub fn update<R>(&self, index: usize, f: impl FnOnce(&mut T) -> R) -> Result<R> {
        let element = self.element(index).map_err(|error| self.fault(error))?;
        let guard = self.locked();
        let mut value = guard[index];
        let result = f(&mut value);
        if is_word::<T>() {
            // SAFETY: within the array, mapped and aligned, and the lock is held.
            unsafe { plain::write(&value, element) };
        } else {
            self.write_back(index, slice::from_ref(&value))?;
        }
        drop(guard);
        Ok(result)
    }

    /// A copy of all elements, as they are at one moment.
    pub fn to_vec(&self) -> Vec<T> {
        self.locked().to_vec()
    }

    /// Changes any elements in one step; what `f` returns. If `f` panics or this process is killed, all stay as they were.
    ///
    /// # Errors
    /// No memory left for the log of the changes; nothing has changed then.
    pub fn update_all<R>(&self, f: impl FnOnce(&mut [T]) -> R) -> Result<R> {
        let guard = self.locked();
        let mut values = guard.to_vec();
        let result = f(&mut values);
        self.write_back(0, &values)?;
        drop(guard);
        Ok(result)
    }

    /// Gives all elements that value.
    ///
    /// # Errors
    /// As [`update_all`](Array::update_all).
    pub fn fill(&self, value: T) -> Result<()> {
        self.update_all(|values| values.fill(value))
    }

    /// Puts the elements in their order; floats, which have none, by `update_all(|all| all.sort_by(f64::total_cmp))`.
    ///
    /// # Errors
    /// As [`update_all`](Array::update_all).
    pub fn sort(&self) -> Result<()>
    where
        T: Ord,
    {
        self.update_all(<[T]>::sort_unstable)
    }

    /// Writes elements from that index on, by a log. The lock is held.
    fn write_back(&self, index: usize, values: &[T]) -> Result<()> {
        let object = &self.plain.object;
        let start = self.plain.data_at() + (index * size_of::<T>()) as u64;
        // The words that the elements touch: with what stands before and behind them.
        let (first, last) = (start / 8 * 8, (start + size_of_val(values) as u64).next_multiple_of(8));
        let (skip, len) = ((start - first) as usize, (last - first) as usize);
        let mut bytes = Vec::new();
        memory::read(object.segment(), first, 0, len, &mut bytes)?;
        // SAFETY: any bytes of a Shareable may be read, padding aside, of which it does not matter what it is.
        let new = unsafe { slice::from_raw_parts(values.as_ptr().cast::<u8>(), size_of_val(values)) };
        bytes[skip..skip + new.len()].copy_from_slice(new);
        let mut transaction = object.store.begin(1 << self.domain())?;
        for (position, word) in (first..).step_by(8).zip(bytes.chunks(8).map(memory::word_of)) {
            if transaction.get(position)? != word {
                transaction.set(position, word);
            }
        }
        transaction.commit()
    }

    #[cold]
    fn fault(&self, error: IndexError) -> ipc_core::Error {
        self.plain.object.store.error("change an array of", std::io::Error::other(error).into())
    }
}

/// The array is locked until this is dropped, which only the thread that locked it can do. It is a slice of the elements.
#[doc(alias = "release")]
#[must_use = "the lock is released when the guard is dropped"]
pub struct ArrayGuard<'a, T: Shareable> {
    array: &'a Array<T>,
    /// Who locked it: a forked child has a copy of the guard, but not the lock.
    me: Identity<'a>,
    /// Not for other threads.
    thread: PhantomData<*const ()>,
}

/// The previous owner died with the guard of an [`Array`]. **The lock is held now**, and the guard is inside.
#[must_use = "the lock is held, and released when this is dropped"]
pub struct OwnerDied<'a, T: Shareable>(ArrayGuard<'a, T>);

impl<'a, T: Shareable> OwnerDied<'a, T> {
    /// The guard.
    pub fn into_inner(self) -> ArrayGuard<'a, T> {
        self.0
    }
}

impl<T: Shareable> Deref for ArrayGuard<'_, T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: mapped, aligned, and as long as was checked when the handle was made. The lock is held, so that nobody who
        // keeps to it writes; whatever one who does not may write is a value of a Shareable.
        unsafe { slice::from_raw_parts(self.array.plain.data(), self.array.len) }
    }
}

impl<T: Shareable> DerefMut for ArrayGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`, and the guard is borrowed exclusively.
        unsafe { slice::from_raw_parts_mut(self.array.plain.data(), self.array.len) }
    }
}

impl<T: Shareable> Drop for ArrayGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        if self.me.is_current() {
            self.array.plain.cell.lock.unlock();
        }
    }
}

macro_rules! atomics {
    ($($plain:ty: $atomic:ident)*) => { $(
        impl Array<$plain> {
            /// The elements as atomics, for changes without the lock. Who changes them under the lock does not notice
            /// these.
            #[inline]
            pub fn atomics(&self) -> &[std::sync::atomic::$atomic] {
                // SAFETY: mapped, aligned and as long as was checked, for as long as `self` lives.
                unsafe { slice::from_raw_parts(self.plain.data().cast(), self.len) }
            }
        }
    )* };
}
atomics!(u8: AtomicU8 u16: AtomicU16 u32: AtomicU32 u64: AtomicU64 usize: AtomicUsize);
atomics!(i8: AtomicI8 i16: AtomicI16 i32: AtomicI32 i64: AtomicI64 isize: AtomicIsize);

impl<T: Shareable> fmt::Debug for Array<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Array").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<T: Shareable + fmt::Debug> fmt::Debug for ArrayGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: Shareable> fmt::Debug for OwnerDied<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnerDied(..)")
    }
}

impl<T: Shareable> fmt::Display for OwnerDied<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the previous owner died with the lock, which is held now: `into_inner` gives the guard")
    }
}

impl<T: Shareable> std::error::Error for OwnerDied<'_, T> {}
