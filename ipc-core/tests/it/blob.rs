use std::io::Write;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use ipc_core::Blob;
use ipc_core::transfer::{self, Parcel};
use rustix::io::Errno;

use crate::help::{alone, fork, memfd, received};

fn over(parcel: Parcel) -> Parcel {
    let (here, there) = transfer::channel().unwrap();
    parcel.send(&here).unwrap();
    Parcel::receive(&there).unwrap().unwrap()
}

#[test]
fn nobody_can_change_it_through_any_descriptor() {
    let blob = Blob::new(b"fixed").unwrap();
    let parcel = over(Parcel::pack(|| postcard::to_allocvec(&blob)).unwrap());
    let other: Blob = parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
    let link = format!("/proc/self/fd/{}", blob.as_fd().as_raw_fd());
    let reopened = std::fs::File::options().read(true).write(true).open(link).unwrap();
    for fd in [blob.as_fd(), other.as_fd(), reopened.as_fd()] {
        assert_eq!(rustix::io::pwrite(fd, b"x", 0), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(fd, 1), Err(Errno::PERM));
        assert_eq!(rustix::fs::ftruncate(fd, 100), Err(Errno::PERM));
        use rustix::mm::{MapFlags, ProtFlags, mmap};
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address of the kernel's choice; it fails.
        let mapped = unsafe { mmap(ptr::null_mut(), 5, protection, MapFlags::SHARED, fd, 0) };
        assert_eq!(mapped, Err(Errno::PERM));
        use rustix::fs::{FallocateFlags, fallocate};
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        assert_eq!(fallocate(fd, hole, 0, 5), Err(Errno::PERM));
    }
    assert_eq!(&blob[..], b"fixed");
    assert_eq!(blob, other);
}

#[test]
fn it_may_be_empty() {
    alone(|| {
        let blob = Blob::new(b"").unwrap();
        assert!(blob.is_empty());
        let parcel = over(Parcel::pack(|| postcard::to_allocvec(&blob)).unwrap());
        let other: Blob = parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
        assert_eq!(&other[..], b"");
    });
}

#[test]
fn a_hundred_megabytes_arrive_in_another_process_with_one_descriptor() {
    alone(|| {
        let bytes: Vec<u8> = (0..100_u32 << 20).map(|i| (i ^ i >> 11) as u8).collect();
        let (here, there) = transfer::channel().unwrap();
        let child = fork(|| {
            let blob = Blob::new(&bytes).unwrap();
            let parcel = Parcel::pack(|| postcard::to_allocvec(&(&blob, &blob.clone()))).unwrap();
            assert_eq!(parcel.handles(), 1);
            parcel.send(&here).unwrap();
        });
        // Its memory outlives the one who made it.
        child.join();
        let parcel = Parcel::receive(&there).unwrap().unwrap();
        let (first, second): (Blob, Blob) = parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
        assert!(first[..] == bytes[..]);
        assert!(first == second);
    });
}

#[test]
fn memory_that_somebody_could_change_is_refused() {
    use rustix::fs::{SealFlags, fcntl_add_seals};
    let fd = memfd(b"bytes", false);
    assert!(received::<Blob>(fd).unwrap_err().contains("not sealed"));
    // Sealed against shrinking, but not against writing.
    let fd = memfd(b"bytes", true);
    assert!(received::<Blob>(fd).unwrap_err().contains("not sealed"));
    let fd = memfd(b"bytes", false);
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::FUTURE_WRITE).unwrap();
    assert!(received::<Blob>(fd).unwrap_err().contains("not sealed"));
    let fd = memfd(b"bytes", false);
    fcntl_add_seals(&fd, SealFlags::SHRINK | SealFlags::WRITE).unwrap();
    assert_eq!(&received::<Blob>(fd).unwrap()[..], b"bytes");
}

#[test]
fn what_is_no_memory_at_all_is_refused() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"bytes").unwrap();
    assert!(received::<Blob>(file.into()).is_err());
    let (reader, _writer) = std::io::pipe().unwrap();
    assert!(received::<Blob>(reader.into()).is_err());
    assert!(received::<Blob>(std::fs::File::open("/dev/zero").unwrap().into()).is_err());
    assert!(received::<Blob>(std::fs::File::open("/").unwrap().into()).is_err());
}
