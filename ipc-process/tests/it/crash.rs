//! Killed anywhere.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

use ipc_core::{Blob, Fd};
use ipc_process::{Builder, Failure, active_children, spawn};

use crate::common::{alone, descriptors, file, has_children, join, raise_descriptor_limit, threads};

/// Neither sleeps nor yields, so that short times differ.
fn spin(time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        spin_loop();
    }
}

/// Every place of a child's life is hit, from its exec over its arguments to its result and its exit.
#[test]
fn killed_at_any_time_a_child_has_a_result_or_none_and_nobody_hangs() {
    alone(|| {
        let before = (descriptors(), threads());
        let f = |large: Blob, small: Blob| (large.len() + small.len(), large, vec![5_u8; 40_000]);
        let blobs = (Blob::new(&[1; 300_000]).unwrap(), Blob::new(b"small").unwrap());
        let start = Instant::now();
        join(&mut spawn(f, blobs.clone()).unwrap()).unwrap();
        // Some go beyond the time that a whole life takes.
        let step = start.elapsed() * 2 / 400;
        let (mut returned, mut killed) = (0, 0);
        for round in 0..400 {
            let mut child = spawn(f, blobs.clone()).unwrap();
            spin(step * round);
            child.kill().unwrap();
            match join(&mut child) {
                Ok((300_005, large, result)) => {
                    assert_eq!((large == blobs.0, result), (true, vec![5; 40_000]));
                    returned += 1;
                }
                Ok(other) => panic!("{}", other.0),
                Err(error) => {
                    assert_eq!(error.failure(), &Failure::Killed { signal: 9 }, "{error}");
                    killed += 1;
                }
            }
        }
        assert!(returned > 0 && killed > 0, "{returned} returned, {killed} were killed");
        drop(blobs);
        assert!(!has_children());
        assert_eq!((descriptors(), threads()), before);
    });
}

#[test]
fn killed_with_more_handles_under_way_than_one_message_takes_nothing_is_left() {
    alone(|| {
        raise_descriptor_limit();
        let before = descriptors();
        for round in 0..20 {
            let files: Vec<_> = (0..300).map(|_| Fd(file(""))).collect();
            let mut child = spawn(|files: Vec<Fd<std::fs::File>>| files, (files,)).unwrap();
            spin(Duration::from_micros(150) * round);
            child.kill().unwrap();
            if let Ok(files) = join(&mut child) {
                assert_eq!(files.len(), 300);
            }
        }
        assert!(!has_children());
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn children_that_are_killed_and_never_joined_leave_nothing() {
    alone(|| {
        let before = (descriptors(), threads());
        for round in 0..100_u32 {
            let builder = Builder::new().daemon(round % 2 == 0);
            let child = builder.spawn(|blob: Blob| blob, (Blob::new(&[1; 20_000]).unwrap(),)).unwrap();
            spin(Duration::from_micros(20) * round);
            child.kill().unwrap();
        }
        while !active_children().is_empty() {
            std::thread::yield_now();
        }
        assert!(!has_children());
        assert_eq!((descriptors(), threads()), before);
    });
}
