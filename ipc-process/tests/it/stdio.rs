//! Parents without standard input, output and error.

use std::fs;
use std::path::PathBuf;

use ipc_core::{Blob, Segment, Spec};
use ipc_process::{Builder, spawn};

use crate::common::{alone, join};

/// What the standard descriptors lead to.
fn standard() -> Vec<Option<PathBuf>> {
    (0..3).map(|fd| fs::read_link(format!("/proc/self/fd/{fd}")).ok()).collect()
}

fn close_standard() {
    // SAFETY: whatever uses these descriptors gets an error from here on, as this is about.
    assert_eq!(unsafe { libc::syscall(libc::SYS_close_range, 0, 2, 0) }, 0);
}

#[test]
fn nothing_is_written_into_what_would_take_the_place_of_a_closed_output() {
    alone(|| {
        close_standard();
        let segment = Segment::anonymous(&Spec::new("kept", 1).len(100)).unwrap();
        let blob = Blob::new(&[7; 50_000]).unwrap();
        let f = |segment: Segment, blob: Blob| {
            println!("to nobody");
            eprintln!("to nobody");
            let caught = std::panic::catch_unwind(|| panic!("to nobody")).is_err();
            (standard(), segment, blob, caught)
        };
        let mut children: Vec<_> =
            (0..3).map(|_| spawn(f, (segment.clone(), blob.clone())).unwrap()).collect();
        println!("to nobody");
        eprintln!("to nobody");
        assert_eq!(standard(), [None, None, None]);
        for child in &mut children {
            let (childs, its_segment, its_blob, caught) = join(child).unwrap();
            assert_eq!(childs, [(); 3].map(|()| Some(PathBuf::from("/dev/null"))));
            assert_eq!((its_segment.len(), its_blob == blob, caught), (100, true, true));
        }
        let mut panics = spawn(|| -> () { panic!("to nobody") }, ()).unwrap();
        assert_eq!(join(&mut panics).unwrap_err().panic().unwrap().message, "to nobody");
        let mut daemon = Builder::new().daemon(true).spawn(standard, ()).unwrap();
        assert!(join(&mut daemon).unwrap().iter().all(Option::is_some));
        assert_eq!(standard(), [None, None, None]);
    });
}

#[test]
fn output_goes_where_the_builder_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name| directory.path().join(name);
    let file = |name| fs::File::create(path(name)).unwrap();
    let builder = Builder::new().stdout(file("out")).stderr(file("err"));
    let print = || {
        // Without the end of a line: what is buffered is written at the exit.
        print!("out");
        eprint!("err");
    };
    join(&mut builder.spawn(print, ()).unwrap()).unwrap();
    assert_eq!(fs::read_to_string(path("out")).unwrap(), "out");
    assert_eq!(fs::read_to_string(path("err")).unwrap(), "err");
}
