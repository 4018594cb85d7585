//! What may lie behind a lock in shared memory.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic;

/// Plain data: valid whatever its bytes are, and meaning the same in every process.
///
/// Implemented for the integers, the floats, atomics, `()`, and for arrays, tuples and `Cell`s of such types. For a struct of
/// your own use [`shareable!`](crate::shareable). Not for `bool`, `char` and enums, of which some bytes are no value,
/// and not for anything with a pointer, a reference or a drop.
///
/// # Safety
/// - Every bit pattern is a valid value, padding aside.
/// - It holds no pointer, reference or handle.
/// - It needs no drop.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot lie in memory that processes share",
    label = "not plain data",
    note = "plain data is numbers, atomics, arrays and tuples of them, and structs declared with `ipc_lock::shareable!`",
    note = "a `bool` or an enum is a `u8` there; what has a pointer, such as `String` or `Vec`, cannot be shared in place"
)]
pub unsafe trait Shareable: Send + 'static {}

macro_rules! plain {
    ($($name:ty)*) => { $(
        // SAFETY: numbers, of which every bit pattern is one.
        unsafe impl Shareable for $name {}
    )* };
}
plain!(() u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);
plain!(atomic::AtomicU8 atomic::AtomicU16 atomic::AtomicU32 atomic::AtomicU64 atomic::AtomicUsize);
plain!(atomic::AtomicI8 atomic::AtomicI16 atomic::AtomicI32 atomic::AtomicI64 atomic::AtomicIsize);

// SAFETY: one such type after the other.
unsafe impl<T: Shareable, const N: usize> Shareable for [T; N] {}
// SAFETY: a Cell is what is in it.
unsafe impl<T: Shareable> Shareable for Cell<T> {}

macro_rules! tuples {
    ($(($($name:ident)*))*) => { $(
        // SAFETY: such types side by side.
        unsafe impl<$($name: Shareable),*> Shareable for ($($name,)*) {}
    )* };
}
tuples!((A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F));

/// Declares structs of [`Shareable`] fields that are `Shareable` themselves.
///
/// They become `repr(C)`, so that all programs agree on them, and can be copied.
///
/// ```
/// use ipc_lock::{Mutex, shareable};
///
/// shareable! {
///     /// An account of a bank.
///     #[derive(Debug, Default)]
///     pub struct Account {
///         pub owner: u64,
///         pub balance: i64,
///     }
/// }
///
/// let account = Mutex::new(Account { owner: 7, balance: 100 })?;
/// account.lock().unwrap().balance -= 30;
/// assert_eq!(account.lock().unwrap().balance, 70);
/// # Ok::<(), ipc_core::Error>(())
/// ```
///
/// ```compile_fail
/// ipc_lock::shareable! {
///     struct Bad { text: String } // points to memory of one process
/// }
/// ```
#[macro_export]
macro_rules! shareable {
    ($($(#[$attribute:meta])* $visibility:vis struct $name:ident {
        $($(#[$field_attribute:meta])* $field_visibility:vis $field:ident: $field_type:ty),* $(,)?
    })*) => { $(
        $(#[$attribute])*
        #[derive(Clone, Copy)]
        #[repr(C)]
        $visibility struct $name {
            $($(#[$field_attribute])* $field_visibility $field: $field_type),*
        }

        const _: () = {
            const fn is_shareable<T: $crate::Shareable>() {}
            $(is_shareable::<$field_type>();)*
            // SAFETY: repr(C), Copy, and every field is Shareable, which was checked in the line above.
            unsafe impl $crate::Shareable for $name {}
        };
    )* };
}
