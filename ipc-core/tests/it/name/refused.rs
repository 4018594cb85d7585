//! What is not the segment that was asked for: refused, and left alone.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use ipc_core::{Cause, Segment, Spec, remove_stale};

use crate::help::{alone, bytes_of, exists, path, spec, unique};

use super::{create, nothing, open};

#[test]
fn the_property_that_differs_is_named() {
    alone(|| {
        let name = unique("differs");
        let made = Spec::new("queue", 3).type_name("u64").len(100);
        let segment = Segment::create(&name, &made, nothing).unwrap();
        let property = |spec: Spec<'_>| {
            for error in [
                Segment::open(&name, &spec).unwrap_err(),
                Segment::open_or_create(&name, &spec, nothing).unwrap_err(),
            ] {
                let Cause::Mismatch { property, found, expected } = error.cause() else { panic!("{error}") };
                let text = error.to_string();
                assert!(text.contains(property) && text.contains(found) && text.contains(expected), "{text}");
                assert!(text.contains(&name), "{text}");
            }
            let error = Segment::open(&name, &spec).unwrap_err();
            let Cause::Mismatch { property, .. } = error.cause() else { panic!("{error}") };
            *property
        };
        assert_eq!(property(Spec::new("pipe", 3).type_name("u64").len(100)), "kind");
        assert_eq!(property(Spec::new("queue", 2).type_name("u64").len(100)), "kind version");
        assert_eq!(property(Spec::new("queue", 3).type_name("i64").len(100)), "type");
        assert_eq!(property(Spec::new("queue", 3).type_name("u64").len(101)), "length");

        // Made by another version of this library. The layout's version stands behind the magic.
        let other = unique("version");
        let mut bytes = bytes_of(&segment);
        bytes[8] = 99;
        fs::write(path(&other), bytes).unwrap();
        fs::set_permissions(path(&other), fs::Permissions::from_mode(0o600)).unwrap();
        let error = Segment::open(&other, &made).unwrap_err();
        let Cause::Mismatch { property, .. } = error.cause() else { panic!("{error}") };
        assert_eq!(*property, "layout version");
        fs::remove_file(path(&other)).unwrap();
    });
}

#[test]
fn bad_names_are_refused() {
    for name in ["", "a/b", "..", "../x", "/x", "ü", "a b", "x\0", "*", &"x".repeat(201)] {
        if name == ".." {
            // Harmless behind the prefix.
            continue;
        }
        for error in [create(name).unwrap_err(), open(name).unwrap_err()] {
            assert!(matches!(error.cause(), Cause::BadName), "{name}: {error}");
        }
    }
    let longest = format!("{:x<200}", unique("longest"));
    let segment = create(&longest).unwrap();
    assert!(exists(&longest));
    drop(segment);
    assert!(!exists(&longest));
}

#[test]
fn what_is_not_ours_is_refused_and_left_alone() {
    alone(|| {
        let name = unique("foreign");
        let path = path(&name);
        let refused = |what: &str| {
            let before = fs::symlink_metadata(&path).unwrap();
            let open_or_create = Segment::open_or_create(&name, &spec(), nothing).unwrap_err();
            for error in [create(&name).unwrap_err(), open(&name).unwrap_err(), open_or_create] {
                assert!(
                    !matches!(error.cause(), Cause::NameTaken) && !error.is_not_found(),
                    "{what}: {error}"
                );
            }
            let _ = remove_stale();
            let after = fs::symlink_metadata(&path).expect(what);
            assert_eq!((before.ino(), before.len()), (after.ino(), after.len()), "{what}");
        };
        for text in ["", "short", &"an ordinary file ".repeat(1000)] {
            fs::write(&path, text).unwrap();
            refused("an ordinary file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            refused("a private file");
            fs::remove_file(&path).unwrap();
        }

        fs::create_dir(&path).unwrap();
        refused("a directory");
        fs::remove_dir(&path).unwrap();

        let target = create(&unique("target")).unwrap();
        std::os::unix::fs::symlink(crate::help::path(&unique("target")), &path).unwrap();
        refused("a link to a good segment");
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/nonexistent", &path).unwrap();
        refused_dangling(&name);
        fs::remove_file(&path).unwrap();
        drop(target);

        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        refused("a pipe");
        fs::remove_file(&path).unwrap();
    });
}

fn refused_dangling(name: &str) {
    assert!(create(name).is_err());
    assert!(open(name).is_err());
    assert!(exists(name));
}

#[test]
fn a_named_file_that_others_may_write_is_refused() {
    alone(|| {
        let name = unique("mode");
        let mut bytes = bytes_of(&create(&name).unwrap());
        // No participants: this process stands there.
        bytes[512..].fill(0);
        fs::write(path(&name), bytes).unwrap();
        for mode in [0o660, 0o606, 0o640, 0o604] {
            fs::set_permissions(path(&name), fs::Permissions::from_mode(mode)).unwrap();
            assert!(matches!(open(&name).unwrap_err().cause(), Cause::NotSealed));
        }
        fs::set_permissions(path(&name), fs::Permissions::from_mode(0o600)).unwrap();
        drop(open(&name).unwrap());
        assert!(!exists(&name), "nobody owned it, so the last user removed it");
    });
}

#[test]
fn a_named_file_of_another_user_is_refused() {
    alone(|| {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let name = unique("other-user");
        let bytes = bytes_of(&create(&name).unwrap());
        fs::write(path(&name), bytes).unwrap();
        std::os::unix::fs::chown(path(&name), Some(12345), None).unwrap();
        for error in [create(&name).unwrap_err(), open(&name).unwrap_err()] {
            assert!(matches!(error.cause(), Cause::ForeignOwner { uid: 12345 }), "{error}");
        }
        let _ = remove_stale();
        fs::remove_file(path(&name)).unwrap();
    });
}

#[test]
fn a_named_file_that_was_cut_off_is_refused() {
    alone(|| {
        let name = unique("short");
        let bytes = bytes_of(&create(&name).unwrap());
        for len in [0, 8, 511, 512, 600, bytes.len() - 1] {
            fs::write(path(&name), &bytes[..len]).unwrap();
            fs::set_permissions(path(&name), fs::Permissions::from_mode(0o600)).unwrap();
            let error = open(&name).unwrap_err();
            assert!(matches!(error.cause(), Cause::NotASegment | Cause::Damaged { .. }), "{error}");
            fs::remove_file(path(&name)).unwrap();
        }
    });
}
