//! What can run, and what can travel.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use ipc_core::{Blob, Fd, Segment, Spec};
use ipc_process::{Runnable, spawn, spawn_runnable};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::common::{alone, descriptors, file, join, raise_descriptor_limit};

fn none() -> u32 {
    0
}

fn three(a: u32, b: &'static str, c: String) -> String {
    format!("{a}{b}{c}")
}

fn generic<T: std::fmt::Debug + Default>(value: T) -> String {
    format!("{value:?} {:?}", T::default())
}

#[test]
fn functions_of_0_to_8_arguments_run() {
    assert_eq!(join(&mut spawn(none, ()).unwrap()).unwrap(), 0);
    assert_eq!(join(&mut spawn(|a: u8| a, (1,)).unwrap()).unwrap(), 1);
    assert_eq!(join(&mut spawn(|a: u8, b: i16| i32::from(a) + i32::from(b), (1, -2)).unwrap()).unwrap(), -1);
    let mut three = spawn(|a, c| three(a, "-", c), (1, "x".to_owned())).unwrap();
    assert_eq!(join(&mut three).unwrap(), "1-x");
    let mut four = spawn(|a: f64, b: char, c: bool, d: ()| (a, b, c, d), (0.5, 'ß', true, ())).unwrap();
    assert_eq!(join(&mut four).unwrap(), (0.5, 'ß', true, ()));
    let mut five = spawn(|a: u8, b: u8, c: u8, d: u8, e: u8| [a, b, c, d, e], (1, 2, 3, 4, 5)).unwrap();
    assert_eq!(join(&mut five).unwrap(), [1, 2, 3, 4, 5]);
    let six = |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8| [a, b, c, d, e, f];
    assert_eq!(join(&mut spawn(six, (1, 2, 3, 4, 5, 6)).unwrap()).unwrap(), [1, 2, 3, 4, 5, 6]);
    let seven = |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8| [a, b, c, d, e, f, g];
    assert_eq!(join(&mut spawn(seven, (1, 2, 3, 4, 5, 6, 7)).unwrap()).unwrap(), [1, 2, 3, 4, 5, 6, 7]);
    let eight = |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8| [a, b, c, d, e, f, g, h];
    assert_eq!(join(&mut spawn(eight, (1, 2, 3, 4, 5, 6, 7, 8)).unwrap()).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn generic_functions_run_as_the_type_that_was_named() {
    assert_eq!(join(&mut spawn(generic::<u32>, (5,)).unwrap()).unwrap(), "5 0");
    assert_eq!(join(&mut spawn(generic::<String>, ("a".to_owned(),)).unwrap()).unwrap(), "\"a\" \"\"");
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle { radius: f64 },
    Path(Vec<(i32, i32)>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Drawing {
    title: Option<String>,
    shapes: BTreeMap<String, Shape>,
    file: PathBuf,
    counts: HashMap<u128, Box<[i8]>>,
}

fn round_trip<T: Serialize + DeserializeOwned + Clone + PartialEq + std::fmt::Debug + 'static>(value: T) {
    let mut child = spawn(|value: T| value, (value.clone(),)).unwrap();
    assert_eq!(join(&mut child).unwrap(), value);
}

#[test]
fn structs_enums_and_maps_arrive_as_they_were() {
    let shapes = [
        ("a".to_owned(), Shape::Point),
        ("b".to_owned(), Shape::Circle { radius: -0.0 }),
        ("c".to_owned(), Shape::Path(vec![(1, i32::MIN), (3, 4)])),
    ];
    let counts = [(u128::MAX, Box::from([-1_i8, 2])), (0, Box::default())];
    round_trip(Drawing { title: None, shapes: shapes.into(), file: "/tmp/ü".into(), counts: counts.into() });
    round_trip((String::new(), Vec::<Shape>::new(), Some(()), Err::<(), _>(Shape::Point)));
}

#[derive(Serialize, Deserialize)]
struct Counter<T> {
    from: T,
    steps: usize,
}

impl<T: Serialize + DeserializeOwned + std::ops::Add<Output = T> + Copy + 'static> Runnable for Counter<T> {
    type Output = T;

    fn run(self) -> T {
        (0..self.steps).fold(self.from, |sum, _| sum + self.from)
    }
}

#[test]
fn a_runnable_type_arrives_with_its_fields() {
    let mut child = spawn_runnable(Counter { from: 2.5, steps: 3 }).unwrap();
    assert_eq!(join(&mut child).unwrap(), 10.0);
}

#[test]
fn handles_travel_inside_of_arguments_and_results() {
    #[derive(Serialize, Deserialize)]
    struct Handles {
        log: Option<Fd<File>>,
        counter: Vec<Segment>,
        blob: HashMap<String, Blob>,
    }

    let segment = Segment::anonymous(&Spec::new("counter", 1).len(8)).unwrap();
    let arguments = Handles {
        log: Some(Fd(file(""))),
        counter: vec![segment.clone(), segment.clone()],
        blob: [("words".to_owned(), Blob::new(b"many words").unwrap())].into(),
    };
    let mut child = spawn(
        |mut handles: Handles| {
            handles.log.as_mut().unwrap().0.write_all(&handles.blob["words"]).unwrap();
            for segment in &handles.counter {
                segment.at::<AtomicU64>(0).unwrap().fetch_add(21, Ordering::Relaxed);
            }
            let made_there = Segment::anonymous(&Spec::new("made-there", 1).len(8)).unwrap();
            made_there.at::<AtomicU64>(0).unwrap().store(7, Ordering::Relaxed);
            handles.counter.push(made_there);
            handles.blob.insert("answer".to_owned(), Blob::new(&[9; 100_000]).unwrap());
            handles
        },
        (arguments,),
    )
    .unwrap();
    let result = join(&mut child).unwrap();
    assert_eq!(segment.at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), 42);
    assert_eq!(result.counter[2].at::<AtomicU64>(0).unwrap().load(Ordering::Relaxed), 7);
    assert_eq!(&result.blob["words"][..], b"many words");
    assert_eq!(&result.blob["answer"][..], [9; 100_000]);
    let (mut log, mut text) = (result.log.unwrap().0, String::new());
    log.rewind().unwrap();
    log.read_to_string(&mut text).unwrap();
    assert_eq!(text, "many words");
}

#[test]
fn a_connection_is_served_by_the_child_that_gets_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let serve = |mut stream: Fd<TcpStream>| {
        let mut line = [0; 5];
        stream.0.read_exact(&mut line).unwrap();
        line.reverse();
        stream.0.write_all(&line).unwrap();
    };
    let mut child = spawn(serve, (Fd(listener.accept().unwrap().0),)).unwrap();
    client.write_all(b"olleh").unwrap();
    let mut answer = String::new();
    // To the end: the parent's copy of the server's side was given up with the arguments.
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(answer, "hello");
    join(&mut child).unwrap();
}

#[test]
fn more_handles_than_one_message_takes_arrive_in_order() {
    alone(|| {
        raise_descriptor_limit();
        let before = descriptors();
        let files: Vec<_> = (0..600).map(|number| Fd(file(&number.to_string()))).collect();
        let back = |files: Vec<Fd<File>>| files.into_iter().rev().collect::<Vec<_>>();
        let files = join(&mut spawn(back, (files,)).unwrap()).unwrap();
        for (mut file, number) in files.into_iter().zip((0..600).rev()) {
            let mut text = String::new();
            file.0.rewind().unwrap();
            file.0.read_to_string(&mut text).unwrap();
            assert_eq!(text, number.to_string());
        }
        assert_eq!(descriptors(), before);
    });
}

const LARGE: usize = 100 << 20;

#[test]
fn a_large_vector_arrives_whole_in_both_directions() {
    let mut bytes = vec![0_u8; LARGE];
    let places = [0, 1, 4095, LARGE / 2, LARGE - 1];
    for (place, mark) in places.into_iter().zip(1..) {
        bytes[place] = mark;
    }
    let f = |bytes: Vec<u8>, places: [usize; 5]| {
        let marks = places.map(|place| bytes[place]);
        let others = bytes.iter().filter(|&&byte| byte == 0).count();
        (bytes.len(), marks, others, vec![7_u8; LARGE / 4])
    };
    let (len, marks, others, back) = join(&mut spawn(f, (bytes, places)).unwrap()).unwrap();
    assert_eq!((len, marks, others), (LARGE, [1, 2, 3, 4, 5], LARGE - 5));
    assert!(back.len() == LARGE / 4 && back.iter().all(|&byte| byte == 7));
}

#[test]
fn a_large_blob_arrives_whole_in_both_directions() {
    let blob = Blob::new(&vec![3; LARGE]).unwrap();
    let mut child = spawn(
        |blob: Blob| {
            assert!(blob.iter().all(|&byte| byte == 3));
            Blob::new(&vec![4; blob.len() + 1]).unwrap()
        },
        (blob,),
    )
    .unwrap();
    let blob = join(&mut child).unwrap();
    assert_eq!(blob.len(), LARGE + 1);
    assert!(blob.iter().all(|&byte| byte == 4));
}

#[test]
fn many_threads_can_spawn_at_once() {
    thread::scope(|scope| {
        for number in 0..16_u32 {
            scope.spawn(move || {
                for round in 0..20_u32 {
                    let blob = Blob::new(&number.to_ne_bytes()).unwrap();
                    let mut child = spawn(|blob: Blob, round: u32| (blob, round), (blob, round)).unwrap();
                    let (blob, same) = join(&mut child).unwrap();
                    assert_eq!((&blob[..], same), (&number.to_ne_bytes()[..], round));
                }
            });
        }
    });
}
