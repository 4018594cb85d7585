//! Named attributes.

use std::any::type_name;
use std::fmt;
use std::marker::PhantomData;

use ipc_core::{Cause, Error, Result, Segment};
use serde::de::{DeserializeOwned, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::dict::Dict;
use crate::object::{Object, handle};
use crate::store::{Size, Store};

/// Named attributes that processes share, each of any serde type.
///
/// A clone, or what another process makes of a serialised handle, is a handle to the same namespace. **If a process dies**
/// in an operation, that has happened as a whole or not at all.
///
/// ```
/// use ipc_shared::Namespace;
///
/// let namespace = Namespace::new()?;
/// namespace.set("name", "bun")?;
/// namespace.set("price", &3_u32)?;
/// assert_eq!(namespace.get::<u32>("price")?, Some(3));
/// let error = namespace.get::<String>("price").unwrap_err();
/// assert!(error.to_string().contains("its type is u32, asked for was alloc::string::String"));
/// # Ok::<(), ipc_core::Error>(())
/// ```
///
/// # Errors
/// Of every operation, as for [`Dict`].
#[doc(alias = "NamespaceProxy")]
pub struct Namespace {
    pub(crate) object: Object,
    marker: PhantomData<()>,
}

handle!(Namespace);

/// The type's name, and the value's bytes.
struct Attribute {
    type_name: String,
    bytes: Vec<u8>,
}

/// The name of the type that a value is read back as: a reference is encoded as what it refers to.
fn owned_name<T: ?Sized>() -> &'static str {
    let mut name = type_name::<T>();
    while let Some(inner) = name.strip_prefix("&mut ").or_else(|| name.strip_prefix('&')) {
        name = inner;
    }
    if name == "str" { type_name::<String>() } else { name }
}

impl Namespace {
    pub(crate) fn type_name() -> String {
        "Namespace".to_owned()
    }

    pub(crate) fn from_object(object: Object) -> Result<Namespace> {
        Ok(Namespace { object, marker: PhantomData })
    }

    pub(crate) fn create_in(store: &Store) -> Result<Namespace> {
        Object::create_map(store, &Self::type_name()).and_then(Namespace::from_object)
    }

    fn create_with(name: Option<&str>) -> Result<Namespace> {
        Store::create(name, Size::default(), |store| {
            let namespace = Namespace::create_in(store)?;
            namespace.object.set_main();
            Ok(namespace)
        })
    }

    /// A namespace with memory of its own, for this process and those whom it is handed to.
    ///
    /// # Errors
    /// No memory, or no descriptor left.
    pub fn new() -> Result<Namespace> {
        Namespace::create_with(None)
    }

    /// A namespace that other programs of the same user can [`open`](Namespace::open). See [`Segment::create`] for the life
    /// of a name.
    ///
    /// # Errors
    /// As [`new`](Namespace::new); the name is taken by a living process, or no name.
    pub fn create(name: &str) -> Result<Namespace> {
        Namespace::create_with(Some(name))
    }

    /// The namespace of that name.
    ///
    /// # Errors
    /// There is none, or it is another kind of object.
    pub fn open(name: &str) -> Result<Namespace> {
        Object::main(&Store::open(name)?, &Self::type_name()).and_then(Namespace::from_object)
    }

    /// The segment that it lies in.
    pub fn segment(&self) -> &Segment {
        self.object.segment()
    }

    fn dict(&self) -> Result<Dict<String, Attribute>> {
        Dict::from_object(self.object.clone())
    }

    fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Attribute> {
        let mut bytes = Vec::new();
        self.object.encode("an attribute", value, &mut bytes)?;
        Ok(Attribute { type_name: owned_name::<T>().to_owned(), bytes })
    }

    fn decode<T: DeserializeOwned>(&self, name: &str, attribute: &Attribute) -> Result<T> {
        let wanted = type_name::<T>();
        if attribute.type_name != wanted {
            let (found, expected) = (attribute.type_name.clone(), wanted.to_owned());
            let cause = Cause::Mismatch { property: "type", found, expected };
            return Err(Error::new("read", format!("attribute `{name}`"), cause));
        }
        self.object.decode("an attribute", &attribute.bytes)
    }

    /// Gives the attribute that value, of whatever type it was before. What is borrowed is stored as what it is borrowed
    /// from, and a `str` as a `String`.
    ///
    /// # Errors
    /// See [`Namespace`].
    #[doc(alias = "__setattr__")]
    pub fn set<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        self.dict()?.insert(name.to_owned(), self.encode(value)?).map(drop)
    }

    /// The attribute's value.
    ///
    /// # Errors
    /// See [`Namespace`]; it is of another type, which is compared by its [name](std::any::type_name).
    #[doc(alias = "__getattr__")]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        self.dict()?.get(name)?.map(|attribute| self.decode(name, &attribute)).transpose()
    }

    /// Changes an attribute in one step; the new value. For `f`, all holds that is said at [`Dict::update`].
    ///
    /// # Errors
    /// See [`Namespace`]; it is of another type. The old value stays then.
    pub fn update<T: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        f: impl FnOnce(Option<T>) -> Option<T>,
    ) -> Result<Option<T>> {
        let mut result = Ok(None);
        self.dict()?.update(name, |old| {
            let new = match old.as_ref().map(|attribute| self.decode(name, attribute)).transpose() {
                Ok(value) => f(value),
                Err(error) => {
                    result = Err(error);
                    return old;
                }
            };
            match new.as_ref().map(|value| self.encode(value)).transpose() {
                Ok(attribute) => {
                    result = Ok(new);
                    attribute
                }
                Err(error) => {
                    result = Err(error);
                    old
                }
            }
        })?;
        result
    }

    /// Takes the attribute away; whether there was one.
    ///
    /// # Errors
    /// See [`Namespace`].
    #[doc(alias = "__delattr__")]
    pub fn remove(&self, name: &str) -> Result<bool> {
        self.dict()?.remove(name).map(|old| old.is_some())
    }

    /// The names of all attributes at one moment, in no order.
    ///
    /// # Errors
    /// See [`Namespace`].
    #[doc(alias = "dir")]
    pub fn names(&self) -> Result<Vec<String>> {
        self.dict()?.keys()
    }
}

impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace").field("names", &self.names().ok()).finish_non_exhaustive()
    }
}

/// Bytes that serde takes as bytes, and not one by one.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

struct OwnedBytes(Vec<u8>);

impl<'de> Deserialize<'de> for OwnedBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OwnedBytes, D::Error> {
        struct Copy;
        impl Visitor<'_> for Copy {
            type Value = OwnedBytes;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<OwnedBytes, E> {
                Ok(OwnedBytes(bytes.to_vec()))
            }
        }
        deserializer.deserialize_bytes(Copy)
    }
}

impl Serialize for Attribute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.type_name, Bytes(&self.bytes)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Attribute {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Attribute, D::Error> {
        let (type_name, OwnedBytes(bytes)) = Deserialize::deserialize(deserializer)?;
        Ok(Attribute { type_name, bytes })
    }
}
