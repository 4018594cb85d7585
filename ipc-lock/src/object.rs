//! What all handles have in common: a layout in a segment, with data behind it.
#![allow(unsafe_code)]

use std::io;
use std::ops::Deref;
use std::ptr::NonNull;

use ipc_core::{Error, Place, Result, Segment, SharedLayout, Spec};

use crate::layout::{CAPACITY, VERSION};
use crate::party;
use crate::shareable::Shareable;

/// A layout that a segment of its own is made for.
pub(crate) trait Layout: SharedLayout {
    /// What the segment's kind is called.
    const KIND: &'static str;
}

/// An `L` at the start of a segment, and a `T` behind it.
pub(crate) struct Object<L, T = ()> {
    place: Place<L>,
    data: NonNull<T>,
}

impl<L: Layout, T: Shareable> Object<L, T> {
    const OFFSET: usize = {
        assert!(align_of::<T>() <= 64, "data behind a lock can be aligned to 64 bytes at most");
        size_of::<L>().next_multiple_of(64)
    };

    fn with_spec<R>(f: impl FnOnce(&Spec<'_>) -> R) -> R {
        let type_name = format!("{} of {} bytes", std::any::type_name::<T>(), size_of::<T>());
        let spec = Spec::new(L::KIND, VERSION).len((Self::OFFSET + size_of::<T>()) as u64);
        f(&spec.type_name(&type_name).participants(CAPACITY as u32))
    }

    /// One without a name. `init` sees zeroes behind `L`'s atomics.
    pub(crate) fn new(value: T, init: impl FnOnce(&L)) -> Result<Object<L, T>> {
        let segment = Self::with_spec(Segment::anonymous)?;
        Self::fill(&segment, value, init)
    }

    /// One with a name, which must be free.
    pub(crate) fn create(name: &str, value: T, init: impl FnOnce(&L)) -> Result<Object<L, T>> {
        let mut object = None;
        Self::with_spec(|spec| {
            Segment::create(name, spec, |segment| {
                object = Some(Self::fill(segment, value, init)?);
                Ok(())
            })
        })?;
        Ok(object.expect("filled before it was published"))
    }

    /// The one of that name.
    pub(crate) fn open(name: &str) -> Result<Object<L, T>> {
        Self::with_spec(|spec| Segment::open(name, spec)).and_then(|segment| Self::at(&segment))
    }

    /// One that was handed over.
    pub(crate) fn receive(segment: &Segment) -> Result<Object<L, T>> {
        Self::with_spec(|spec| segment.expect(spec))?;
        Self::at(segment)
    }

    fn fill(segment: &Segment, value: T, init: impl FnOnce(&L)) -> Result<Object<L, T>> {
        let object = Self::at(segment)?;
        // SAFETY: `at` checked the range and the segment is fresh: nobody else can see it yet.
        unsafe { object.data.write(value) };
        init(&object);
        Ok(object)
    }

    fn at(segment: &Segment) -> Result<Object<L, T>> {
        let data = segment.bytes(Self::OFFSET as u64, size_of::<T>())?;
        let data = NonNull::new(data.cast()).expect("a mapping is never at 0");
        Ok(Object { place: Place::new(segment, 0)?, data })
    }
}

impl<L: SharedLayout, T> Object<L, T> {
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
                    $crate::object::Object::new(value, |_| ()).map(Self::from_object)
                }

                #[doc = concat!("A ", $kind, " that other programs of the same user can [`open`](Self::open). See")]
                /// [`ipc_core::Segment::create`].
                ///
                /// # Errors
                /// The name is taken by a living process, or no name; no memory left.
                pub fn create(name: &str, value: $data) -> ipc_core::Result<Self> {
                    $crate::object::Object::create(name, value, |_| ()).map(Self::from_object)
                }
            )?

            #[doc = concat!("The ", $kind, " of that name.")]
            ///
            /// # Errors
            /// There is none, or it has another kind, version or type of data; the error says which.
            pub fn open(name: &str) -> ipc_core::Result<Self> {
                $crate::object::Object::open(name).map(Self::from_object)
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
                self.segment().serialize(serializer)
            }
        }

        impl<'de $(, $data: $crate::Shareable)?> serde_core::Deserialize<'de> for $name$(<$data>)? {
            fn deserialize<D: serde_core::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let segment = ipc_core::Segment::deserialize(deserializer)?;
                let object = $crate::object::Object::receive(&segment).map_err(serde_core::de::Error::custom)?;
                Ok($name::from_object(object))
            }
        }
    };
}
pub(crate) use handle;
