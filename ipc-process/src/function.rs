//! What can run in another process.
#![allow(unsafe_code)]

use serde::Serialize;
use serde::de::DeserializeOwned;

/// A function item, or a closure that captures nothing, of 0 to 8 arguments.
///
/// Implemented for all of them; there is nothing to implement. The arguments stand in a tuple: `(a, b)`, `(a,)`,
/// `()`. A child is a fresh process, so what a closure captured would not be there: pass it as an argument. What
/// a function pointer points to is only known at run time: name the function instead. Both are errors at compile
/// time. (A captured `Copy` value of a type without bytes cannot be told from none; it is made anew in the child.)
///
/// ```compile_fail
/// let outside = 5;
/// ipc_process::spawn(move |x: u32| x + outside, (1,)); // `outside` has to be an argument
/// ```
/// ```compile_fail
/// let outside = String::from("what a closure owns");
/// ipc_process::spawn(move |x: u32| format!("{outside}{x}"), (1,));
/// ```
/// ```compile_fail
/// let pointer: fn(u32) -> u32 = |x| x;
/// ipc_process::spawn(pointer, (1,)); // the closure itself would do
/// ```
/// ```compile_fail
/// ipc_process::spawn(|x: &str| x.len(), ("what is borrowed",)); // a parameter owns what it has: `String`
/// ```
/// To borrowed parameters and results the compiler says "implementation of `Deserialize` is not general enough".
///
/// ```compile_fail
/// ipc_process::spawn(|x: u32| x, 1); // the arguments stand in a tuple: (1,)
/// ```
/// ```compile_fail
/// ipc_process::spawn(|x: u32| std::rc::Rc::new(x), (1,)); // a result has to be a serde value
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot run in another process with the arguments `{Args}`",
    label = "not a function of these arguments",
    note = "pass a function, or a closure that captures nothing, and its 0 to 8 arguments as a tuple: `(a, b)`, `(a,)` or `()`",
    note = "arguments are owned: `String`, and not `&str`",
    note = "what a closure would capture has to be an argument, and the types of a closure's parameters have to be written out"
)]
pub trait Function<Args>: Copy + Send + Sync + 'static {
    /// What it returns.
    type Output;

    /// Calls it.
    fn call(self, args: Args) -> Self::Output;
}

macro_rules! functions {
    ($($name:ident)*) => {
        #[diagnostic::do_not_recommend]
        impl<Func, Output, $($name),*> Function<($($name,)*)> for Func
        where
            Func: Fn($($name),*) -> Output + Copy + Send + Sync + 'static,
        {
            type Output = Output;

            fn call(self, args: ($($name,)*)) -> Output {
                #[allow(non_snake_case, reason = "one name for the type and the value")]
                let ($($name,)*) = args;
                self($($name),*)
            }
        }
    };
}

functions!();
functions!(A);
functions!(A B);
functions!(A B C);
functions!(A B C D);
functions!(A B C D E);
functions!(A B C D E F);
functions!(A B C D E F G);
functions!(A B C D E F G H);

/// A type that can be sent to another process and run there: the other way to say what a child does.
///
/// ```
/// use ipc_process::Runnable;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Greeter {
///     name: String,
/// }
///
/// impl Runnable for Greeter {
///     type Output = String;
///     fn run(self) -> String {
///         format!("hello {}", self.name)
///     }
/// }
///
/// let mut child = ipc_process::spawn_runnable(Greeter { name: "bun".into() })?;
/// assert_eq!(child.join()?, "hello bun");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "Process.run")]
pub trait Runnable: Serialize + DeserializeOwned + 'static {
    /// What [`run`](Runnable::run) returns, and [`join`](crate::Child::join) gives to the parent.
    type Output: Serialize + DeserializeOwned;

    /// What the child does.
    fn run(self) -> Self::Output;
}

/// A value of a type that has only one, as the child has no other way to get it.
///
/// # Safety
/// This process, or the one that it was started by, has been given a value of that type.
pub unsafe fn conjure<F: Function<Args>, Args>() -> F {
    const { assert_captures_nothing::<F>() };
    // SAFETY: F has no bytes, so there is nothing to initialise, and it is Copy, so that its values are not counted: there
    // has been one, as the caller says. A function item or a closure without captures promises no more.
    unsafe { std::mem::transmute_copy(&()) }
}

/// Refuses, at compile time, functions that are more than their type.
const fn assert_captures_nothing<F>() {
    assert!(
        size_of::<F>() == 0,
        "a function that runs in another process cannot capture variables or be a function pointer: \
         pass what it needs as arguments, and name the function itself"
    );
}
