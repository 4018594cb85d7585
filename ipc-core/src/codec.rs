//! Values to bytes and back, with the words of a value that refuses: the form in which all crates of the family send
//! values. With the feature `codec` only.
//!
//! postcard drops the text of an error that a type's own `Serialize` makes. So a value that has failed is walked through
//! once more, for the text alone. That cannot be done for a `Deserialize`, whose words are lost.

use std::fmt;

use serde_core::de::DeserializeOwned;
use serde_core::ser::{self, Serialize, Serializer};

/// Why a value has no bytes, or bytes are no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodecError(String);

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CodecError {}

impl From<CodecError> for String {
    fn from(error: CodecError) -> String {
        error.0
    }
}

/// Appends the value's bytes.
///
/// # Errors
/// In the words of the value's own `Serialize`, if it is that which refuses; the bytes are then longer by what was written
/// before.
#[inline]
pub fn encode<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
    let written = postcard::serialize_with_flavor(value, Append(bytes));
    written.map_err(|error| match value.serialize(Walk) {
        Err(Words(why)) if error == postcard::Error::SerdeSerCustom => CodecError(why),
        _ => CodecError(explain(&error)),
    })
}

/// The value at the start of the bytes, and those after it.
///
/// # Errors
/// The bytes are no value of that type.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), CodecError> {
    postcard::take_from_bytes(bytes).map_err(refused)
}

/// The value that all of the bytes stand for.
///
/// # Errors
/// As [`decode`], and for bytes that are left.
#[inline]
pub fn decode_all<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let mut deserializer = postcard::Deserializer::from_bytes(bytes);
    match T::deserialize(&mut deserializer) {
        Ok(value) => match deserializer.finalize().map_or(0, <[u8]>::len) {
            0 => Ok(value),
            left => Err(left_over(left)),
        },
        Err(error) => Err(refused(error)),
    }
}

#[cold]
fn refused(error: postcard::Error) -> CodecError {
    CodecError(explain(&error))
}

#[cold]
fn left_over(bytes: usize) -> CodecError {
    let plural = if bytes == 1 { "" } else { "s" };
    CodecError(format!("{bytes} byte{plural} more than its type reads: {ASYMMETRIC}"))
}

const ASYMMETRIC: &str = "it is written otherwise than it is read (`skip_serializing_if`, `skip_serializing`?), \
     which needs a format that describes itself, and postcard does not";

fn explain(error: &postcard::Error) -> String {
    use postcard::Error;
    match error {
        Error::WontImplement | Error::SerializeSeqLengthUnknown => {
            "its type (`untagged`, `flatten`, `serde_json::Value`?) needs a format that describes itself, and \
             postcard does not"
                .to_owned()
        }
        Error::SerdeDeCustom => "its type refused, in words that are lost".to_owned(),
        Error::SerdeSerCustom | Error::CollectStrError => error.to_string(),
        error => format!("{error}: {ASYMMETRIC}"),
    }
}

struct Append<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Append<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() <= size_of::<u64>() {
            // Most are numbers. To copy these takes longer, as that has to wait until the bytes, which were just written one
            // by one, are in the cache.
            let word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
            let len = self.0.len() + bytes.len();
            self.0.extend_from_slice(&word.to_le_bytes());
            self.0.truncate(len);
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    #[inline]
    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Writes nothing.
struct Walk;

#[derive(Debug)]
struct Words(String);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Words {}

impl ser::Error for Words {
    fn custom<T: fmt::Display>(why: T) -> Words {
        Words(why.to_string())
    }
}

type Done = Result<(), Words>;
type Name = &'static str;

macro_rules! plain {
    ($($method:ident($($argument:ty),*))*) => {
        $(fn $method(self $(, _: $argument)*) -> Done {
            Ok(())
        })*
    };
}

macro_rules! deeper {
    ($($method:ident($($argument:ty),*))*) => {
        $(fn $method(self $(, _: $argument)*) -> Result<Walk, Words> {
            Ok(Walk)
        })*
    };
}

impl Serializer for Walk {
    type Ok = ();
    type Error = Words;
    type SerializeSeq = Walk;
    type SerializeTuple = Walk;
    type SerializeTupleStruct = Walk;
    type SerializeTupleVariant = Walk;
    type SerializeMap = Walk;
    type SerializeStruct = Walk;
    type SerializeStructVariant = Walk;

    plain! {
        serialize_bool(bool) serialize_char(char) serialize_str(&str) serialize_bytes(&[u8])
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64) serialize_i128(i128)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64) serialize_u128(u128)
        serialize_f32(f32) serialize_f64(f64)
        serialize_none() serialize_unit() serialize_unit_struct(Name) serialize_unit_variant(Name, u32, Name)
    }

    deeper! {
        serialize_seq(Option<usize>) serialize_map(Option<usize>) serialize_tuple(usize)
        serialize_struct(Name, usize) serialize_struct_variant(Name, u32, Name, usize)
        serialize_tuple_struct(Name, usize) serialize_tuple_variant(Name, u32, Name, usize)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: Name, value: &T) -> Done {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: Name, _: u32, _: Name, value: &T) -> Done {
        value.serialize(self)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

macro_rules! parts {
    ($($kind:ident { $($method:ident($($argument:ty),*))* })*) => {
        $(impl ser::$kind for Walk {
            type Ok = ();
            type Error = Words;

            $(fn $method<T: Serialize + ?Sized>(&mut self $(, _: $argument)*, value: &T) -> Done {
                value.serialize(Walk)
            })*

            fn end(self) -> Done {
                Ok(())
            }
        })*
    };
}

parts! {
    SerializeSeq { serialize_element() }
    SerializeTuple { serialize_element() }
    SerializeTupleStruct { serialize_field() }
    SerializeTupleVariant { serialize_field() }
    SerializeStruct { serialize_field(Name) }
    SerializeStructVariant { serialize_field(Name) }
    SerializeMap { serialize_key() serialize_value() }
}
