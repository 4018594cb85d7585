//! Arguments and results that do not make it.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::Stdio;

use ipc_core::{Blob, Fd};
use ipc_process::{Builder, Failure, Reason, Runnable, current, spawn, spawn_runnable};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{alone, descriptors, file, has_children, join};

/// Can be encoded or decoded, but not both.
#[derive(Debug)]
struct Stubborn<const ENCODES: bool>;

impl<const ENCODES: bool> Serialize for Stubborn<ENCODES> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if ENCODES { serializer.serialize_unit() } else { Err(S::Error::custom("it would rather stay")) }
    }
}

impl<'de, const ENCODES: bool> Deserialize<'de> for Stubborn<ENCODES> {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("it would rather not come"))
    }
}

type Stays = Stubborn<false>;
type Leaves = Stubborn<true>;

#[test]
fn arguments_that_cannot_be_encoded_start_nothing_and_come_back() {
    alone(|| {
        let before = descriptors();
        let arguments = (Fd(file("")), Blob::new(b"kept").unwrap(), [(1, Some(Stays {}))]);
        let f = |_: Fd<std::fs::File>, blob: Blob, _: [(u32, Option<Stays>); 1]| blob;
        let error = Builder::new().name("never").spawn(f, arguments).unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot start process `never`: its arguments cannot be serialised: it would rather stay"
        );
        assert!(matches!(error.reason(), Reason::Arguments(why) if why == "it would rather stay"));
        assert!(!has_children());
        let (file, blob, _) = error.into_args();
        assert_eq!(&blob[..], b"kept");
        drop((file, blob));
        assert_eq!(descriptors(), before);
        assert_eq!(join(&mut spawn(|| 7, ()).unwrap()).unwrap(), 7);
    });
}

#[test]
fn the_reason_is_told_wherever_in_the_arguments_it_lies() {
    let path = || PathBuf::from(OsString::from_vec(vec![0xff]));
    let reason = |error: &dyn std::error::Error| {
        let text = error.to_string();
        assert!(text.ends_with("path contains invalid UTF-8 characters"), "{text}");
    };
    #[derive(Debug, Serialize, Deserialize)]
    enum Place {
        Tuple(u8, PathBuf),
        Struct { path: PathBuf },
        New(Box<Place>),
    }
    reason(&spawn(|_: PathBuf| (), (path(),)).unwrap_err());
    reason(&spawn(|_: Place| (), (Place::Tuple(1, path()),)).unwrap_err());
    reason(&spawn(|_: Place| (), (Place::New(Box::new(Place::Struct { path: path() })),)).unwrap_err());
    reason(&spawn(|_: Vec<Option<PathBuf>>| (), (vec![None, Some(path())],)).unwrap_err());
    reason(&spawn(|_: HashMap<u8, PathBuf>| (), (HashMap::from([(1, path())]),)).unwrap_err());
    reason(&spawn(|_: HashMap<PathBuf, u8>| (), (HashMap::from([(path(), 1)]),)).unwrap_err());
}

#[test]
fn a_value_that_cannot_be_encoded_comes_back() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Task(u32, Stays);
    impl Runnable for Task {
        type Output = ();
        fn run(self) {}
    }
    assert_eq!(spawn_runnable(Task(5, Stubborn)).unwrap_err().into_args().0, 5);
}

#[test]
fn arguments_that_the_child_cannot_decode_are_a_join_error() {
    let mut child = spawn(|_: u32, _: Leaves| 7, (1, Stubborn)).unwrap();
    let error = join(&mut child).unwrap_err();
    assert!(matches!(error.failure(), Failure::Arguments(_)), "{error}");
    assert_eq!(child.exit_code(), Some(126));
}

#[test]
fn a_panic_while_arguments_are_decoded_is_a_panic() {
    #[derive(Debug, Serialize)]
    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Panics, D::Error> {
            panic!("while decoding")
        }
    }
    let mut child = Builder::new().stderr(Stdio::null()).spawn(|_: Panics| (), (Panics,)).unwrap();
    assert_eq!(join(&mut child).unwrap_err().panic().unwrap().message, "while decoding");
}

#[test]
fn a_result_that_cannot_be_encoded_is_a_join_error() {
    let mut child = spawn(|| vec![Stubborn::<false>], ()).unwrap();
    let error = join(&mut child).unwrap_err();
    assert_eq!(error.failure(), &Failure::Result("it would rather stay".to_owned()));
    assert!(error.to_string().ends_with(" has a result that cannot be passed on: it would rather stay"));
    assert_eq!(child.exit_code(), Some(0));
}

#[test]
fn a_result_that_cannot_be_decoded_is_a_join_error() {
    alone(|| {
        let before = descriptors();
        let mut child = spawn(|| (Blob::new(b"lost").unwrap(), Stubborn::<true>), ()).unwrap();
        let error = join(&mut child).unwrap_err();
        assert!(matches!(error.failure(), Failure::Result(_)), "{error}");
        drop(child);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_panic_while_the_result_is_encoded_is_a_panic() {
    #[derive(Debug, Deserialize)]
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("while encoding")
        }
    }
    let mut child = Builder::new().stderr(Stdio::null()).spawn(|| Panics, ()).unwrap();
    assert_eq!(join(&mut child).unwrap_err().panic().unwrap().message, "while encoding");
}

#[test]
fn a_panic_while_the_result_is_decoded_is_a_join_error() {
    #[derive(Debug, Serialize)]
    struct Panics;
    impl<'de> Deserialize<'de> for Panics {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Panics, D::Error> {
            panic!("while decoding")
        }
    }
    alone(|| {
        let before = descriptors();
        let mut child = spawn(|| (Blob::new(b"lost").unwrap(), Panics), ()).unwrap();
        let error = join(&mut child).unwrap_err();
        assert_eq!(
            error.failure(),
            &Failure::Result("a panic while it was decoded: while decoding".to_owned())
        );
        drop(child);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_result_whose_drop_panics_in_the_child_is_kept() {
    #[derive(Debug, Serialize, Deserialize)]
    struct Bomb(u32);
    impl Drop for Bomb {
        fn drop(&mut self) {
            if current().name() == "bomber" {
                panic!("while dropping");
            }
        }
    }
    let builder = Builder::new().name("bomber").stderr(Stdio::null());
    let mut child = builder.spawn(|| Bomb(7), ()).unwrap();
    assert_eq!(join(&mut child).unwrap().0, 7);
    assert_eq!(child.exit_code(), Some(101));
}

/// A value that is encoded as more than is decoded, or the other way round, as some attributes of serde have it.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Skips {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    first: Option<u8>,
    last: u8,
}

#[derive(Debug, Serialize, Deserialize)]
struct Flat {
    #[serde(flatten)]
    inner: HashMap<String, u8>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
}

#[test]
fn bytes_that_are_left_over_are_an_error() {
    /// Writes two numbers and reads one.
    #[derive(Debug)]
    struct Longer;
    impl Serialize for Longer {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            (1_u8, 2_u8).serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Longer {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Longer, D::Error> {
            u8::deserialize(deserializer).map(|_| Longer)
        }
    }
    let why = "1 byte more than its type reads: it is written otherwise than it is read";
    let error = join(&mut spawn(|_: Longer| (), (Longer,)).unwrap()).unwrap_err();
    assert!(matches!(error.failure(), Failure::Arguments(text) if text.starts_with(why)), "{error}");
    let error = join(&mut spawn(|| Longer, ()).unwrap()).unwrap_err();
    assert!(matches!(error.failure(), Failure::Result(text) if text.starts_with(why)), "{error}");
}

#[test]
fn types_that_need_a_format_which_describes_itself_are_refused_in_these_words() {
    let words = |error: &dyn std::error::Error| {
        let text = error.to_string();
        assert!(text.contains("a format that describes itself"), "{text}");
    };
    words(&join(&mut spawn(|_: Untagged| (), (Untagged::Number(1),)).unwrap()).unwrap_err());
    words(&join(&mut spawn(|| Untagged::Number(1), ()).unwrap()).unwrap_err());
    words(&spawn(|_: Flat| (), (Flat { inner: HashMap::from([("a".to_owned(), 1)]) },)).unwrap_err());
    // What was skipped shows as an end that comes too early, if nothing stands behind it.
    words(&join(&mut spawn(|_: Skips| (), (Skips { first: None, last: 0 },)).unwrap()).unwrap_err());
}

#[test]
fn a_handle_outside_of_a_transfer_is_an_error() {
    let f = |blob: Blob| postcard::to_allocvec(&blob).is_err();
    let blob = Blob::new(b"here").unwrap();
    assert!(f(blob.clone()));
    assert!(join(&mut spawn(f, (blob,)).unwrap()).unwrap());
}

#[test]
fn arguments_are_dropped_here_when_they_have_been_sent() {
    alone(|| {
        let before = descriptors();
        let (reader, writer) = crate::common::pipe();
        let mut child = spawn(|_: Fd<std::io::PipeWriter>| (), (writer,)).unwrap();
        // The writer of the child was the last one.
        crate::common::wait_for_end(reader);
        join(&mut child).unwrap();
        drop(child);
        assert_eq!(descriptors(), before);
    });
}
