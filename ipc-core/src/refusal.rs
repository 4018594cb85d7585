//! Errors of verbs, for the crates of the family: outcomes that a program acts on, each with the value that was not taken,
//! and `Fault` for the rest.

/// Declares them.
#[doc(hidden)]
#[macro_export]
macro_rules! refusals {
    (@inner $name:ident $($with_value:ident)+) => {
        impl<T> $name<T> {
            /// The value that was not taken.
            pub fn into_inner(self) -> T {
                match self {
                    $($name::$with_value(value) => value,)+
                    $name::Fault(value, _) => value,
                }
            }
        }
    };
    ($($(#[$doc:meta])* $name:ident $(<$value:ident>)? {
        $($(#[$variant_doc:meta])* $variant:ident $(($held:ty))? => $text:literal,)+
    })+) => { $(
        $(#[$doc])*
        #[non_exhaustive]
        pub enum $name $(<$value>)? {
            $($(#[$variant_doc])* $variant $(($held))?,)+
            /// Something else is wrong, and says what.
            Fault($($value,)? $crate::Error),
        }

        impl $(<$value>)? std::fmt::Debug for $name $(<$value>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $($name::$variant { .. } => f.write_str(stringify!($variant)),)+
                    $name::Fault(.., error) => f.debug_tuple("Fault").field(error).finish(),
                }
            }
        }

        impl $(<$value>)? std::fmt::Display for $name $(<$value>)? {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $($name::$variant { .. } => f.write_str($text),)+
                    $name::Fault(.., error) => std::fmt::Display::fmt(error, f),
                }
            }
        }

        impl $(<$value>)? std::error::Error for $name $(<$value>)? {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                match self {
                    $name::Fault(.., error) => std::error::Error::source(error),
                    _ => None,
                }
            }
        }
    )+ };
}
