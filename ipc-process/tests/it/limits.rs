//! The system says no.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ipc_core::{Blob, Error};
use ipc_process::{Builder, Failure, Reason, SpawnError, active_children, spawn};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::common::{alone, descriptors, has_children, helper, is_helper, join, run};

fn system<Args>(error: &SpawnError<Args>) -> &Error {
    match error.reason() {
        Reason::System(error) => error,
        reason => panic!("{reason:?}"),
    }
}

#[test]
fn without_descriptors_nothing_starts_and_nothing_leaks() {
    alone(|| {
        let limit = getrlimit(Resource::Nofile);
        let before = descriptors();
        let mut arguments = (Blob::new(b"kept").unwrap(), 7);
        let mut refused = 0;
        // One after the other, each descriptor that a start needs is the one that cannot be had.
        for current in 3.. {
            setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit }).unwrap();
            let result = spawn(|blob: Blob, seven: u32| (blob.len(), seven), arguments);
            setrlimit(Resource::Nofile, limit).unwrap();
            match result {
                Ok(mut child) => {
                    match join(&mut child) {
                        Ok(result) => assert_eq!(result, (4, 7)),
                        // The child has the same limit, and may need more.
                        Err(error) => assert!(!matches!(error.failure(), Failure::Panicked(_)), "{error}"),
                    }
                    break;
                }
                Err(error) => {
                    match error.reason() {
                        Reason::Arguments(why) => assert!(why.contains("Too many open files"), "{why}"),
                        _ => {
                            let error = system(&error);
                            assert!(error.to_string().contains("oo many"), "{error}");
                            assert_ne!(error.operation(), "watch", "it was started, and ended for this");
                        }
                    }
                    refused += 1;
                    arguments = error.into_args();
                }
            }
            assert!(!has_children());
            assert_eq!(descriptors(), before + 1, "the blob is here, and nothing else");
        }
        assert!(refused > 2, "{refused}");
        assert!(active_children().is_empty());
        assert_eq!(descriptors(), before);
        assert_eq!(join(&mut spawn(|| 7, ()).unwrap()).unwrap(), 7);
    });
}

#[test]
fn at_the_limit_of_processes_nothing_starts_and_the_arguments_come_back() {
    alone(|| {
        if rustix::process::geteuid().is_root() {
            // SAFETY: this only changes whose rights this process has. Nobody's, from here on.
            assert_eq!(unsafe { libc::setgid(65534) }, 0);
            // SAFETY: as above.
            assert_eq!(unsafe { libc::setuid(65534) }, 0);
        }
        let limit = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(0), ..limit }).unwrap();
        let before = descriptors();
        let error = spawn(|text: String| text, ("kept".to_owned(),)).unwrap_err();
        assert_eq!(system(&error).os().unwrap().kind(), ErrorKind::WouldBlock, "{error}");
        assert_eq!(error.into_args().0, "kept");
        assert_eq!(descriptors(), before);
        assert!(!has_children());
        setrlimit(Resource::Nproc, limit).unwrap();
        assert_eq!(join(&mut spawn(|| 7, ()).unwrap()).unwrap(), 7);
    });
}

/// Runs the ignored test of that name from a copy of this program, which it may treat as it likes.
fn in_a_copy(name: &str, run_it: impl FnOnce(&Path, Command)) {
    let directory = tempfile::tempdir().unwrap();
    let copy = directory.path().join("copy");
    fs::copy("/proc/self/exe", &copy).unwrap();
    run_it(&copy, helper(&copy, name));
}

fn copy() -> PathBuf {
    std::env::current_exe().unwrap()
}

#[test]
fn a_program_whose_file_was_deleted_has_children() {
    in_a_copy("limits::helper_deleted", |_, mut command| drop(run(&mut command)));
}

#[test]
#[ignore = "run by another test"]
fn helper_deleted() {
    if is_helper("limits::helper_deleted") {
        fs::remove_file(copy()).unwrap();
        let grandchild = || join(&mut spawn(|| 7, ()).unwrap()).unwrap();
        assert_eq!(join(&mut spawn(grandchild, ()).unwrap()).unwrap(), 7);
    }
}

#[test]
fn a_program_whose_file_was_replaced_has_children_of_its_own_kind() {
    in_a_copy("limits::helper_replaced", |_, mut command| drop(run(&mut command)));
}

#[test]
#[ignore = "run by another test"]
fn helper_replaced() {
    if is_helper("limits::helper_replaced") {
        let path = copy();
        fs::write(path.with_extension("new"), "#!/bin/false\n").unwrap();
        fs::rename(path.with_extension("new"), path).unwrap();
        assert_eq!(join(&mut spawn(|| 7, ()).unwrap()).unwrap(), 7);
    }
}

#[test]
fn a_program_that_may_not_be_executed_any_more_cannot_start() {
    in_a_copy("limits::helper_forbidden", |_, mut command| drop(run(&mut command)));
}

#[test]
#[ignore = "run by another test"]
fn helper_forbidden() {
    if is_helper("limits::helper_forbidden") {
        let allow = |mode| fs::set_permissions(copy(), fs::Permissions::from_mode(mode)).unwrap();
        let before = descriptors();
        allow(0o600);
        let error = spawn(|text: String| text, ("kept".to_owned(),)).unwrap_err();
        assert_eq!(system(&error).os().unwrap().kind(), ErrorKind::PermissionDenied, "{error}");
        assert_eq!(error.into_args().0, "kept");
        assert_eq!(descriptors(), before);
        assert!(!has_children());
        allow(0o700);
        assert_eq!(join(&mut spawn(|| 7, ()).unwrap()).unwrap(), 7);
    }
}

#[test]
fn a_program_started_as_an_argument_of_the_loader_is_told_so() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let loader = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).find(|path| {
        Path::new(path).file_name().is_some_and(|name| name.to_string_lossy().starts_with("ld-"))
    });
    let Some(loader) = loader else { return };
    in_a_copy("limits::helper_loaded", |copy, command| {
        let mut by_hand = Command::new(loader);
        by_hand.arg(copy).args(command.get_args());
        by_hand.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        run(&mut by_hand);
    });
}

#[test]
#[ignore = "run by another test"]
fn helper_loaded() {
    if is_helper("limits::helper_loaded") {
        let error = spawn(|| 7, ()).unwrap_err();
        assert_eq!(system(&error).os().unwrap().kind(), ErrorKind::Unsupported, "{error}");
        assert!(!has_children());
    }
}

#[test]
#[cfg(target_env = "gnu")]
fn a_child_that_ends_in_the_loader_is_a_join_error() {
    // The loader prints a list and exits.
    let builder = Builder::new().env("LD_DEBUG", "help").stdout(Stdio::null());
    let mut child = builder.spawn(|| 7, ()).unwrap();
    assert_eq!(join(&mut child).unwrap_err().failure(), &Failure::Exited { code: 0 });
}

#[test]
fn a_directory_that_is_not_there_is_an_error() {
    let error = Builder::new().current_dir("/nonexistent").spawn(|| 7, ()).unwrap_err();
    assert_eq!(system(&error).os().unwrap().kind(), ErrorKind::NotFound);
}
