//! What happens before main.

use std::os::fd::OwnedFd;
use std::process::{Command, Output, Stdio};

use ipc_core::transfer::{self, Parcel};

use crate::common::{helper, is_helper};

const MARK: &str = "IPC_PROCESS_CHILD";

fn marked(value: &str, input: impl Into<Stdio>) -> Output {
    let mut command = helper("/proc/self/exe", "program::helper_main");
    command.env(MARK, value).stdin(input).output().unwrap()
}

#[test]
#[ignore = "run by another test"]
fn helper_main() {
    if is_helper("program::helper_main") {
        println!("main runs");
    }
}

#[test]
fn a_mark_that_no_parent_made_is_an_error_and_not_a_child() {
    let file = tempfile::tempfile().unwrap();
    for input in [Stdio::null(), Stdio::piped(), file.into()] {
        let output = marked(env!("CARGO_PKG_VERSION"), input);
        assert_eq!(output.status.code(), Some(126));
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("IPC_PROCESS_CHILD is set, but standard input does not lead to a parent"));
        assert!(!String::from_utf8(output.stdout).unwrap().contains("main runs"));
    }
}

#[test]
fn the_mark_of_another_version_is_left_to_it() {
    let output = marked("0.0.0", Stdio::null());
    assert!(String::from_utf8(output.stdout).unwrap().contains("main runs"));
}

fn fed(parcel: Option<Parcel>) -> (OwnedFd, Output) {
    let (here, there) = transfer::channel().unwrap();
    if let Some(parcel) = parcel {
        parcel.send(&here).unwrap();
    }
    (here, marked(env!("CARGO_PKG_VERSION"), there))
}

#[test]
fn bytes_that_no_parent_sends_are_refused_and_reported() {
    let of = |bytes: &[u8]| Parcel::pack(|| Ok::<_, ()>(bytes.to_vec())).unwrap();
    let long: Vec<u8> = (0..50_000_u32).map(|i| (i * i) as u8).collect();
    let bad = [&[][..], &[0], &[0xff; 16], &[1; 200], &[0x80; 1000], &long];
    for parcel in bad.iter().map(|bytes| Some(of(bytes))).chain([None]) {
        let (channel, output) = fed(parcel);
        assert_eq!(output.status.code(), Some(126), "{output:?}");
        assert!(Parcel::receive(&channel).unwrap().is_some(), "it says why");
    }
}

#[test]
fn a_parent_that_is_gone_before_the_child_looks_is_no_trouble() {
    let (here, there) = transfer::channel().unwrap();
    drop(here);
    assert_eq!(marked(env!("CARGO_PKG_VERSION"), there).status.code(), Some(126));
    let mut command = Command::new("/proc/self/exe");
    assert!(command.arg("--list").stdin(Stdio::null()).output().unwrap().status.success());
}
