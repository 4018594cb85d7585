//! The path of a listener: whose it is, and when it goes.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::thread;

use ipc_core::Cause;
use ipc_crash_test::alone::{Gate, alone, fork, fork_and_stay};
use ipc_pipe::{Client, Listener};

use super::{TestPath, works};

fn bind(path: PathBuf) -> Result<Listener<u32>, ipc_core::Error> {
    Listener::bind(path)
}

/// A path that a killed listener has left.
fn stale(path: PathBuf) {
    let owner = fork_and_stay(|| std::mem::forget(bind(path.clone()).unwrap()));
    owner.kill();
    assert!(path.exists());
}

#[test]
fn a_path_is_for_its_user_alone_from_its_first_moment() {
    alone(|| {
        // Nothing is taken away by that.
        rustix::process::umask(rustix::fs::Mode::empty());
        let path = TestPath::new();
        thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let seen = std::iter::repeat_with(|| fs::symlink_metadata(path.path()));
                seen.flatten().map(|meta| meta.mode() & 0o777).take(2000).collect::<Vec<_>>()
            });
            while !watch.is_finished() {
                drop(bind(path.path()).unwrap());
            }
            let modes = watch.join().unwrap();
            assert!(modes.iter().all(|&mode| mode == 0o600), "{modes:?}");
        });
    });
}

#[test]
fn a_path_goes_with_its_listener() {
    let path = TestPath::new();
    let listener = bind(path.path()).unwrap();
    assert!(path.path().exists());
    drop(listener);
    assert!(!path.path().exists());
}

#[test]
fn a_path_goes_with_its_process() {
    let path = TestPath::new();
    let mut child = ipc_process::spawn(
        |path: PathBuf| {
            std::mem::forget(bind(path.clone()).unwrap());
            assert!(path.exists());
        },
        (path.path(),),
    )
    .unwrap();
    child.join().unwrap();
    assert!(!path.path().exists());
}

#[test]
fn a_stale_path_is_replaced() {
    alone(|| {
        let path = TestPath::new();
        stale(path.path());
        let listener = bind(path.path()).unwrap();
        works(&listener, &Client::new(path.path()));
    });
}

#[test]
fn a_living_path_is_in_use_and_its_listener_does_not_notice() {
    let path = TestPath::new();
    let listener = bind(path.path()).unwrap();
    for _ in 0..3 {
        let error = bind(path.path()).unwrap_err();
        assert!(matches!(error.cause(), Cause::NameTaken), "{error}");
    }
    assert!(matches!(listener.try_accept(), Err(ipc_pipe::TryAcceptError::Empty)));
    works(&listener, &Client::new(path.path()));
}

#[test]
fn a_foreign_listener_is_in_use() {
    let path = TestPath::new();
    let foreign = UnixListener::bind(path.path()).unwrap();
    assert!(matches!(bind(path.path()).unwrap_err().cause(), Cause::NameTaken));
    drop(foreign);
    // It leaves its path behind.
    bind(path.path()).unwrap();
}

#[test]
fn a_stopped_listener_is_in_use() {
    alone(|| {
        let path = TestPath::new();
        let owner = fork_and_stay(|| std::mem::forget(bind(path.path()).unwrap()));
        owner.stop();
        assert!(matches!(bind(path.path()).unwrap_err().cause(), Cause::NameTaken));
    });
}

#[test]
fn something_else_at_the_path_is_left_alone() {
    let path = TestPath::new();
    fs::write(path.path(), "text").unwrap();
    let error = bind(path.path()).unwrap_err();
    assert!(error.to_string().contains("something else than a socket"), "{error}");
    assert_eq!(fs::read_to_string(path.path()).unwrap(), "text");

    fs::remove_file(path.path()).unwrap();
    std::os::unix::fs::symlink("/nowhere", path.path()).unwrap();
    bind(path.path()).unwrap_err();
    assert!(fs::symlink_metadata(path.path()).unwrap().is_symlink());
}

#[test]
fn a_path_that_is_somebody_elses_by_now_is_left_alone() {
    let path = TestPath::new();
    let first = bind(path.path()).unwrap();
    fs::remove_file(path.path()).unwrap();
    let second = bind(path.path()).unwrap();
    drop(first);
    works(&second, &Client::new(path.path()));
}

#[test]
fn a_forked_child_leaves_the_path_to_its_owner() {
    alone(|| {
        let path = TestPath::new();
        let listener = bind(path.path()).unwrap();
        let mut slot = Some(listener);
        fork(|| drop(slot.take())).join();
        assert!(path.path().exists());
        works(slot.as_ref().unwrap(), &Client::new(path.path()));
    });
}

#[test]
fn of_many_who_want_a_stale_path_one_has_it() {
    alone(|| {
        let path = TestPath::new();
        for _ in 0..20 {
            stale(path.path());
            let (start, done, leave) = (Gate::new(), Gate::new(), Gate::new());
            let results = tempfile::tempdir().unwrap();
            let children: Vec<_> = (0..4)
                .map(|number| {
                    fork(|| {
                        start.pass();
                        let bound = bind(path.path());
                        if let Err(error) = &bound {
                            assert!(matches!(error.cause(), Cause::NameTaken), "{error}");
                        } else {
                            fs::write(results.path().join(number.to_string()), "").unwrap();
                        }
                        done.open();
                        leave.pass();
                        drop(bound);
                    })
                })
                .collect();
            (0..4).for_each(|_| start.open());
            (0..4).for_each(|_| done.pass());
            assert_eq!(fs::read_dir(results.path()).unwrap().count(), 1);
            (0..4).for_each(|_| leave.open());
            children.into_iter().for_each(|child| child.join());
            assert!(!path.path().exists());
        }
    });
}

/// It may be just about to replace a stale path.
#[test]
fn nobody_binds_while_somebody_else_is_at_it_in_that_directory() {
    use rustix::fs::{FlockOperation, flock};
    let path = TestPath::new();
    let directory = fs::File::open(path.path().parent().unwrap()).unwrap();
    flock(&directory, FlockOperation::LockExclusive).unwrap();
    let error = bind(path.path()).unwrap_err();
    assert!(matches!(error.cause(), Cause::NameBusy), "{error}");
    flock(&directory, FlockOperation::Unlock).unwrap();
    bind(path.path()).unwrap();
}

#[test]
fn a_path_in_no_directory_is_an_error() {
    let path = TestPath::new();
    let error = bind(path.path().join("deeper")).unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[test]
fn a_path_can_be_opened_to_others() {
    let path = TestPath::new();
    let listener = bind(path.path()).unwrap();
    fs::set_permissions(path.path(), fs::Permissions::from_mode(0o666)).unwrap();
    works(&listener, &Client::new(path.path()));
}
