//! Names, parents and children.

use std::fs;
use std::io::{PipeReader, PipeWriter, Read};
use std::process::Command;

use ipc_core::Fd;
use ipc_process::{Builder, active_children, current, parent, spawn};

use crate::common::{alone, hear, join, pipe, run, tell, wait_for_end};

#[test]
fn the_first_process_is_the_main_process() {
    assert_eq!((current().name(), current().pid()), ("MainProcess", std::process::id()));
    assert!(!current().is_daemon() && parent().is_none());
}

#[test]
fn a_child_knows_itself_and_its_parent() {
    let f = || {
        let (me, parent) = (current(), parent().unwrap());
        assert!(parent.is_alive());
        assert_eq!(std::os::unix::process::parent_id(), parent.pid());
        (me.name().to_owned(), me.pid(), me.is_daemon(), parent.name().to_owned(), parent.pid())
    };
    let mut child = spawn(f, ()).unwrap();
    let known = (child.name().to_owned(), child.pid(), false, "MainProcess".to_owned(), std::process::id());
    assert_eq!(join(&mut child).unwrap(), known);
    let mut child = Builder::new().name("ü\0 \n").daemon(true).spawn(f, ()).unwrap();
    assert_eq!((child.name(), child.is_daemon()), ("ü\0 \n", true));
    let known = ("ü\0 \n".to_owned(), child.pid(), true, "MainProcess".to_owned(), std::process::id());
    assert_eq!(join(&mut child).unwrap(), known);
}

#[test]
fn names_are_made_from_the_order_of_starts() {
    alone(|| {
        let name = || {
            let mut child = spawn(|| current().name().to_owned(), ()).unwrap();
            let name = join(&mut child).unwrap();
            assert_eq!(name, child.name());
            name
        };
        let me = current().name();
        assert!(me.starts_with("Process-"));
        assert_eq!([name(), name()], [format!("{me}:1"), format!("{me}:2")]);
        let named = Builder::new().name("named").spawn(name, ());
        assert_eq!(join(&mut named.unwrap()).unwrap(), format!("{me}:3:1"));
    });
}

#[test]
fn the_system_shows_the_name() {
    let builder = Builder::new().name("a name of many bytes");
    let mut child = builder.spawn(|| fs::read_to_string("/proc/self/comm").unwrap(), ()).unwrap();
    assert_eq!(join(&mut child).unwrap(), "a name of many \n");
}

#[test]
fn a_child_has_the_arguments_of_its_parent() {
    let mut child = spawn(|| std::env::args().collect::<Vec<_>>(), ()).unwrap();
    assert_eq!(join(&mut child).unwrap(), Vec::from_iter(std::env::args()));
    let grandchild = || join(&mut spawn(|| std::env::args().collect::<Vec<_>>(), ()).unwrap()).unwrap();
    assert_eq!(join(&mut spawn(grandchild, ()).unwrap()).unwrap(), Vec::from_iter(std::env::args()));
}

#[test]
fn a_child_can_have_another_environment_and_directory() {
    let f = || (std::env::var("COLOUR").unwrap(), std::env::current_dir().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let builder = Builder::new().env("COLOUR", "green").current_dir(directory.path());
    let seen = join(&mut builder.spawn(f, ()).unwrap()).unwrap();
    assert_eq!(seen, ("green".to_owned(), directory.path().canonicalize().unwrap()));
}

#[test]
fn programs_that_a_child_starts_are_not_taken_for_children() {
    let mut child = spawn(|| run(&mut Command::new("env")), ()).unwrap();
    let environment = join(&mut child).unwrap();
    assert!(environment.contains("PATH=") && !environment.contains("IPC_PROCESS"), "{environment}");
}

#[test]
fn children_have_children() {
    fn depth(left: u32) -> u32 {
        if left == 0 { 0 } else { 1 + join(&mut spawn(depth, (left - 1,)).unwrap()).unwrap() }
    }
    assert_eq!(join(&mut spawn(depth, (5,)).unwrap()).unwrap(), 5);
}

#[test]
fn a_child_sees_the_end_of_its_killed_parent() {
    fn middle(mut report: Fd<PipeWriter>, hold: Fd<PipeReader>) {
        let watch = |mut report: Fd<PipeWriter>| {
            let parent = parent().unwrap();
            assert!(parent.is_alive());
            tell(&mut report, parent.pid());
            parent.wait();
            assert!(!parent.is_alive() && parent.wait_timeout(std::time::Duration::ZERO));
            tell(&mut report, std::os::unix::process::parent_id());
        };
        let writer = Fd(report.0.try_clone().unwrap());
        let _child = spawn(watch, (writer,)).unwrap();
        tell(&mut report, 0);
        wait_for_end(hold);
    }
    let (mut report, writer) = pipe();
    let (hold, _held) = pipe();
    let mut middle = spawn(middle, (writer, hold)).unwrap();
    let first = [hear(&mut report).unwrap(), hear(&mut report).unwrap()];
    assert!(first.contains(&0) && first.contains(&middle.pid()));
    middle.kill().unwrap();
    assert_ne!(hear(&mut report).unwrap(), middle.pid());
    assert_eq!(hear(&mut report), None);
    join(&mut middle).unwrap_err();
}

#[test]
fn active_children_are_those_that_live_in_the_order_of_their_starts() {
    alone(|| {
        assert!(active_children().is_empty());
        let (reader, writer) = pipe();
        let mut children: Vec<_> =
            (0..5).map(|_| spawn(wait_for_end, (Fd(reader.0.try_clone().unwrap()),)).unwrap()).collect();
        let pids = || Vec::from_iter(active_children().iter().map(|child| child.pid()));
        assert_eq!(pids(), Vec::from_iter(children.iter().map(|child| child.pid())));
        let mut killed = children.remove(2);
        killed.kill().unwrap();
        join(&mut killed).unwrap_err();
        assert_eq!(pids(), Vec::from_iter(children.iter().map(|child| child.pid())));
        drop(writer);
        for child in &mut children {
            join(child).unwrap();
        }
        assert!(active_children().is_empty());
    });
}

#[test]
fn a_childs_input_is_empty() {
    let read = || std::io::stdin().lock().read_to_end(&mut Vec::new()).unwrap();
    assert_eq!(join(&mut spawn(read, ()).unwrap()).unwrap(), 0);
}

#[test]
fn writing_to_nobody_is_an_error_and_no_signal() {
    let write = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        std::io::Write::write_all(&mut { writer }, b"?").unwrap_err().kind() == std::io::ErrorKind::BrokenPipe
    };
    assert!(join(&mut spawn(write, ()).unwrap()).unwrap());
}
