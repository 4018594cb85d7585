//! Nothing is left of a child that has ended.

use ipc_core::{Blob, Fd};
use ipc_process::{active_children, spawn};

use crate::common::{
    alone, descriptors, has_children, has_zombie, join, pipe, raise_descriptor_limit, threads, wait_for,
    wait_for_end,
};

#[test]
fn a_join_leaves_nothing() {
    alone(|| {
        let before = descriptors();
        join(&mut spawn(|| Blob::new(&[1; 100]).unwrap(), ()).unwrap()).unwrap();
        assert_eq!((descriptors(), has_children()), (before, false));
        let killed = || -> () {
            loop {
                std::thread::park();
            }
        };
        let mut child = spawn(killed, ()).unwrap();
        child.kill().unwrap();
        join(&mut child).unwrap_err();
        drop(child);
        assert_eq!((descriptors(), has_children()), (before, false));
    });
}

#[test]
fn active_children_leaves_no_zombie() {
    alone(|| {
        let (before, child) = (descriptors(), spawn(|| (), ()).unwrap());
        wait_for(&child);
        assert!(has_zombie());
        assert!(active_children().is_empty());
        assert!(!has_children());
        assert!(!child.is_alive());
        drop(child);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn the_next_start_leaves_no_zombie() {
    alone(|| {
        let ended: Vec<_> = (0..5).map(|_| spawn(|| 7, ()).unwrap()).collect();
        ended.iter().for_each(wait_for);
        assert!(has_zombie());
        let (reader, writer) = pipe();
        let mut child = spawn(wait_for_end, (reader,)).unwrap();
        assert!(!has_zombie());
        drop(writer);
        join(&mut child).unwrap();
        for mut child in ended {
            assert_eq!(join(&mut child).unwrap(), 7, "it was reaped, but its result is kept");
        }
        assert!(!has_children());
    });
}

#[test]
fn asking_for_the_exit_code_leaves_no_zombie() {
    alone(|| {
        let mut child = spawn(|| 7, ()).unwrap();
        wait_for(&child);
        assert_eq!(child.exit_code(), Some(0));
        assert!(!has_children());
        assert_eq!(join(&mut child).unwrap(), 7);
    });
}

#[test]
fn dropped_handles_leave_nothing() {
    alone(|| {
        let before = (descriptors(), threads());
        for _ in 0..20 {
            drop(spawn(|| Blob::new(&[1; 100_000]).unwrap(), ()).unwrap());
        }
        let ended = spawn(|| (), ()).unwrap();
        wait_for(&ended);
        drop(ended);
        for process in active_children() {
            wait_for(&process);
        }
        assert!(active_children().is_empty());
        assert!(!has_children());
        assert_eq!((descriptors(), threads()), before);
    });
}

#[test]
fn dropping_the_handle_of_an_ended_child_takes_the_zombie() {
    alone(|| {
        let before = descriptors();
        let child = spawn(|| (), ()).unwrap();
        wait_for(&child);
        drop(child);
        assert_eq!((descriptors(), has_children()), (before, false));
    });
}

#[test]
fn five_hundred_children_live_at_once_without_a_thread_for_them() {
    alone(|| {
        raise_descriptor_limit();
        let before = (descriptors(), threads());
        let (reader, writer) = pipe();
        let mut children: Vec<_> = (0..500_u32)
            .map(|number| {
                let f = |reader, number| {
                    wait_for_end(reader);
                    number
                };
                spawn(f, (Fd(reader.0.try_clone().unwrap()), number)).unwrap()
            })
            .collect();
        assert_eq!(active_children().len(), 500);
        assert_eq!(threads(), before.1);
        drop((reader, writer));
        for (child, number) in children.iter_mut().zip(0..) {
            assert_eq!(join(child).unwrap(), number);
        }
        drop(children);
        assert!(!has_children());
        assert_eq!((descriptors(), threads()), before);
    });
}
