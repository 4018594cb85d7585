//! What all handles have in common: a layout in a segment, with data behind it.
#![allow(unsafe_code)]

use std::io;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use ipc_core::{Cause, Error, Place, Result, Segment, SharedLayout, Spec};

use crate::layout::{CAPACITY, VERSION};
use crate::party;
use crate::shareable::Shareable;

/// A layout that a segment of its own is made for.
pub(crate) trait Layout: SharedLayout {
    /// What the segment's kind is called.
    const KIND: &'static str;
}

/// Where a lock is to lie.
#[derive(Clone, Copy)]
pub(crate) enum Home<'a> {
    /// In a segment of its own, with a name if there is one.
    Own(Option<&'a str>),
    /// In another's segment, from that offset on.
    In(&'a Segment, u64),
}

impl<'a> Home<'a> {
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Home::Own(name) => name,
            Home::In(..) => None,
        }
    }
}

/// In another's segment, so many bytes stand before the `L`: the first eight say what it is.
const TAG: u64 = 64;

/// An `L` at the start of a segment of its own, or somewhere in another's, and a `T` behind it.
pub(crate) struct Object<L, T = ()> {
    place: Place<L>,
    data: NonNull<T>,
}

impl<L: Layout, T: Shareable> Object<L, T> {
    const OFFSET: usize = {
        assert!(align_of::<T>() <= 64, "data behind a lock can be aligned to 64 bytes at most");
        size_of::<L>().next_multiple_of(64)
    };

    fn type_name() -> String {
        format!("{} of {} bytes", std::any::type_name::<T>(), size_of::<T>())
    }

    fn with_spec<R>(f: impl FnOnce(&Spec<'_>) -> R) -> R {
        let type_name = Self::type_name();
        let spec = Spec::new(L::KIND, VERSION).len((Self::OFFSET + size_of::<T>()) as u64);
        f(&spec.type_name(&type_name).participants(CAPACITY as u32))
    }

    /// What stands before one in another's segment.
    fn tag() -> u64 {
        // FNV-1a.
        let text = format!("{} {VERSION} {}", L::KIND, Self::type_name());
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    }

    /// How many bytes one takes in another's segment.
    pub(crate) fn len_in() -> usize {
        TAG as usize + Self::OFFSET + size_of::<T>()
    }

    /// Makes one. `init` sees zeroes behind `L`'s atomics.
    pub(crate) fn make(home: Home<'_>, value: T, init: impl FnOnce(&L)) -> Result<Object<L, T>> {
        match home {
            Home::Own(None) => {
                let segment = Self::with_spec(Segment::anonymous)?;
                Self::fill(&segment, 0, value, init)
            }
            Home::Own(Some(name)) => Self::create(name, value, init),
            Home::In(segment, offset) => {
                Self::check_home(segment, offset)?;
                let object = Self::fill(segment, offset + TAG, value, init)?;
                segment.at::<AtomicU64>(offset)?.store(Self::tag(), Ordering::Release);
                Ok(object)
            }
        }
    }

    /// One with a name, which must be free.
    fn create(name: &str, value: T, init: impl FnOnce(&L)) -> Result<Object<L, T>> {
        let mut object = None;
        Self::with_spec(|spec| {
            Segment::create(name, spec, |segment| {
                object = Some(Self::fill(segment, 0, value, init)?);
                Ok(())
            })
        })?;
        Ok(object.expect("filled before it was published"))
    }

    /// Counts are kept for so many processes, in memory that is aligned to 64 bytes.
    fn check_home(segment: &Segment, offset: u64) -> Result<()> {
        if segment.capacity() > CAPACITY || !offset.is_multiple_of(64) || offset == 0 {
            let why = "it needs an offset of a multiple of 64, and a segment for at most 1024 processes";
            let cause = io::Error::new(io::ErrorKind::InvalidInput, why);
            return Err(Error::new("place a lock in", segment.label(), cause));
        }
        Ok(())
    }

    /// The one of that name.
    pub(crate) fn open(name: &str) -> Result<Object<L, T>> {
        Self::with_spec(|spec| Segment::open(name, spec)).and_then(|segment| Self::at(&segment, 0))
    }

    /// The one at that offset of a segment, which was handed over; 0 for a segment of its own.
    pub(crate) fn receive(segment: &Segment, offset: u64) -> Result<Object<L, T>> {
        if offset == 0 {
            Self::with_spec(|spec| segment.expect(spec))?;
            return Self::at(segment, 0);
        }
        Self::check_home(segment, offset)?;
        if segment.at::<AtomicU64>(offset)?.load(Ordering::Acquire) != Self::tag() {
            let expected = format!("{} {}", L::KIND, Self::type_name());
            let cause = Cause::Mismatch { property: "type", found: "another".to_owned(), expected };
            return Err(Error::new("open a lock in", segment.label(), cause));
        }
        Self::at(segment, offset + TAG)
    }

    fn fill(segment: &Segment, offset: u64, value: T, init: impl FnOnce(&L)) -> Result<Object<L, T>> {
        let object = Self::at(segment, offset)?;
        // SAFETY: `at` checked the range; the memory is fresh, or its user has seen to it that nobody else can reach it.
        unsafe { object.data.write(value) };
        init(&object);
        Ok(object)
    }

    fn at(segment: &Segment, offset: u64) -> Result<Object<L, T>> {
        let data = segment.bytes(offset.saturating_add(Self::OFFSET as u64), size_of::<T>())?;
        let data = NonNull::new(data.cast()).expect("a mapping is never at 0");
        Ok(Object { place: Place::new(segment, offset)?, data })
    }
}

impl<L: SharedLayout, T> Object<L, T> {
    /// Where in the segment it lies; 0 in one of its own.
    #[inline]
    pub(crate) fn offset(&self) -> u64 {
        self.place.offset().saturating_sub(TAG)
    }

    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        self.place.segment()
    }

    /// The segment, and the identity of this process in it.
    #[inline]
    pub(crate) fn identity(&self) -> (&Segment, u32) {
        let segment = self.segment();
        (segment, party::identity(segment).id().word())
    }

    /// The data: mapped and aligned for as long as `self` lives. Who may look at it is the lock's business.
    #[inline]
    pub(crate) fn data(&self) -> *mut T {
        self.data.as_ptr()
    }
}

impl<L: SharedLayout, T> Deref for Object<L, T> {
    type Target = L;

    #[inline]
    fn deref(&self) -> &L {
        &self.place
    }
}

impl<L, T> Clone for Object<L, T> {
    fn clone(&self) -> Object<L, T> {
        Object { place: self.place.clone(), data: self.data }
    }
}

// SAFETY: the pointer goes to memory of the segment, which `place` keeps mapped, whatever thread looks at it. It is
// only followed by the holder of a lock, so that the data moves between threads as if it were sent: Shareable is Send.
unsafe impl<L: SharedLayout, T: Shareable> Send for Object<L, T> {}
// SAFETY: as above; a shared Object gives no access to the data by itself.
unsafe impl<L: SharedLayout, T: Shareable> Sync for Object<L, T> {}

/// That an object cannot be made so.
pub(crate) fn refused(kind: &str, name: Option<&str>, why: &str) -> Error {
    let object = name.map_or(kind.to_owned(), |name| format!("{kind} `{name}`"));
    Error::new("create", object, io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// The parts of a handle that do not depend on what it is a handle to.
macro_rules! handle {
    ($name:ident $(<$data:ident>)?, $layout:ty, $kind:literal) => {
        impl $crate::object::Layout for $layout {
            const KIND: &'static str = $kind;
        }

        impl$(<$data: $crate::Shareable>)? $name$(<$data>)? {
            $(
                #[doc = concat!("A ", $kind, " without a name, for this process and those whom it is handed to.")]
                ///
                /// # Errors
                /// No memory, or no descriptor left.
                pub fn new(value: $data) -> ipc_core::Result<Self> {
                    let home = $crate::object::Home::Own(None);
                    $crate::object::Object::make(home, value, |_| ()).map(Self::from_object)
                }

                #[doc = concat!("A ", $kind, " that other programs of the same user can [`open`](Self::open). See")]
                /// [`ipc_core::Segment::create`].
                ///
                /// # Errors
                /// The name is taken by a living process, or no name; no memory left.
                pub fn create(name: &str, value: $data) -> ipc_core::Result<Self> {
                    let home = $crate::object::Home::Own(Some(name));
                    $crate::object::Object::make(home, value, |_| ()).map(Self::from_object)
                }

                #[doc = concat!("A ", $kind, " in another's segment, from that offset on: see [`raw`](crate::raw).")]
                ///
                /// # Errors
                /// As [`open_in`](Self::open_in).
                pub fn new_in(
                    segment: &ipc_core::Segment,
                    offset: u64,
                    value: $data,
                ) -> ipc_core::Result<Self> {
                    let home = $crate::object::Home::In(segment, offset);
                    $crate::object::Object::make(home, value, |_| ()).map(Self::from_object)
                }
            )?

            #[doc = concat!("The ", $kind, " of that name.")]
            ///
            /// # Errors
            /// There is none, or it has another kind, version or type of data; the error says which.
            pub fn open(name: &str) -> ipc_core::Result<Self> {
                $crate::object::Object::open(name).map(Self::from_object)
            }

            #[doc = concat!("The ", $kind, " that was made at that offset of another's segment.")]
            ///
            /// # Errors
            /// An offset that is 0, no multiple of 64, or too large; a segment for more than 1,024 processes; something else
            /// lies there.
            pub fn open_in(segment: &ipc_core::Segment, offset: u64) -> ipc_core::Result<Self> {
                if offset == 0 {
                    return Err($crate::object::refused($kind, None, "another's segment does not begin with it"));
                }
                $crate::object::Object::receive(segment, offset).map(Self::from_object)
            }

            /// How many bytes one takes in another's segment.
            pub fn len_in() -> usize {
                $crate::object::Object::<$layout $(, $data)?>::len_in()
            }

            /// Where in its segment it lies; 0 if that is its own.
            pub fn offset(&self) -> u64 {
                self.object.offset()
            }

            /// The segment that it lives in.
            pub fn segment(&self) -> &ipc_core::Segment {
                self.object.segment()
            }
        }

        impl$(<$data: $crate::Shareable>)? Clone for $name$(<$data>)? {
            fn clone(&self) -> Self {
                Self::from_object(self.object.clone())
            }
        }

        impl$(<$data: $crate::Shareable>)? serde_core::Serialize for $name$(<$data>)? {
            fn serialize<S: serde_core::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                (self.segment(), self.offset()).serialize(serializer)
            }
        }

        impl<'de $(, $data: $crate::Shareable)?> serde_core::Deserialize<'de> for $name$(<$data>)? {
            fn deserialize<D: serde_core::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (segment, offset) = <(ipc_core::Segment, u64)>::deserialize(deserializer)?;
                let object = $crate::object::Object::receive(&segment, offset);
                let object = object.map_err(serde_core::de::Error::custom)?;
                Ok($name::from_object(object))
            }
        }
    };
}
pub(crate) use handle;
