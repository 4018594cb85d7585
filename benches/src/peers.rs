//! What other crates, and Python, do with the same work.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::process::Command;
use std::time::{Duration, Instant};

use cloudtoid_interprocess::{Options, Publisher, Subscriber};
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcOneShotServer, IpcReceiver, IpcSender};
use ipc_core::monotonic;
use ipc_process::spawn;

use crate::stream::{CAPACITY, Message, message, number};

/// Arrays of that size through crossbeam's bounded channel, from so many threads to so many.
pub(crate) fn crossbeam<const SIZE: usize>(sides: u64, count: u64) -> Duration {
    let (sender, receiver) = crossbeam_channel::bounded::<[u8; SIZE]>(CAPACITY);
    let start = std::sync::Barrier::new(2 * sides as usize);
    let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..sides {
            let (sender, receiver, start) = (sender.clone(), receiver.clone(), &start);
            threads.push(scope.spawn(move || {
                let mut item = [7; SIZE];
                start.wait();
                let begin = Instant::now();
                for index in 0..count / sides {
                    item[..8].copy_from_slice(&index.to_le_bytes());
                    sender.send(item).expect("somebody receives");
                }
                (begin, Instant::now())
            }));
            threads.push(scope.spawn(move || {
                start.wait();
                let begin = Instant::now();
                for index in 0..count / sides {
                    let item = receiver.recv().expect("somebody sends");
                    let number = u64::from_le_bytes(item[..8].try_into().expect("8 bytes"));
                    assert!(sides > 1 || number == index);
                    black_box(&item);
                }
                (begin, Instant::now())
            }));
        }
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let begin = spans.iter().map(|span| span.0).min().expect("somebody works");
    let end = spans.iter().map(|span| span.1).max().expect("somebody works");
    end - begin
}

/// Arrays of 64 bytes through rtrb's ring, from one thread to another, both spinning.
pub(crate) fn rtrb(count: u64) -> Duration {
    let (mut producer, mut consumer) = rtrb::RingBuffer::<[u8; 64]>::new(CAPACITY);
    let start = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut item = [7; 64];
            start.wait();
            for index in 0..count {
                item[..8].copy_from_slice(&index.to_le_bytes());
                while producer.push(item).is_err() {
                    std::hint::spin_loop();
                }
            }
        });
        start.wait();
        let begin = Instant::now();
        for index in 0..count {
            let item = loop {
                match consumer.pop() {
                    Ok(item) => break item,
                    Err(_) => std::hint::spin_loop(),
                }
            };
            assert_eq!(u64::from_le_bytes(item[..8].try_into().expect("8 bytes")), index);
        }
        begin.elapsed()
    })
}

fn options() -> Options {
    Options::new(format!("ipc-benches-{}", std::process::id()), 128 * CAPACITY)
}

fn publish(name: String, size: usize, count: u64) {
    let publisher = Publisher::open(&Options::new(name, 128 * CAPACITY)).expect("it opens");
    let mut item = vec![7; size];
    for index in 0..count {
        item[..8].copy_from_slice(&index.to_le_bytes());
        while publisher.try_send(&item).is_err() {
            std::hint::spin_loop();
        }
    }
}

/// Items of that size through cloudtoid's queue, from one process to another, both polling.
pub(crate) fn cloudtoid(size: usize, count: u64) -> Duration {
    let name = format!("ipc-benches-{}", std::process::id());
    let subscriber = Subscriber::open(&options()).expect("it opens");
    let mut publisher = spawn(publish, (name, size, count)).expect("it starts");
    let mut item = vec![0; size];
    let mut begin = monotonic();
    for index in 0..count {
        while subscriber.try_recv_into(&mut item).expect("it works").is_none() {
            std::hint::spin_loop();
        }
        if index == 0 {
            begin = monotonic();
        }
        assert_eq!(u64::from_le_bytes(item[..8].try_into().expect("8 bytes")), index);
    }
    let time = monotonic() - begin;
    publisher.join().expect("it returns");
    time
}

fn send(server: String, count: u64) {
    let to_parent: IpcSender<IpcReceiver<Message>> = IpcSender::connect(server).expect("it is there");
    let (sender, receiver) = ipc::channel().expect("there is a socket");
    to_parent.send(receiver).expect("it listens");
    (0..count).for_each(|number| sender.send(message(number)).expect("it receives"));
}

/// Typed messages through ipc-channel, from one process to another.
pub(crate) fn ipc_channel(count: u64) -> Duration {
    let (server, name) = IpcOneShotServer::<IpcReceiver<Message>>::new().expect("there is a socket");
    let mut sender = spawn(send, (name, count)).expect("it starts");
    let (_, receiver) = server.accept().expect("it connects");
    let begin = Instant::now();
    for number in 0..count {
        assert_eq!(receiver.recv().expect("it comes").number, number);
    }
    let time = begin.elapsed();
    sender.join().expect("it returns");
    time
}

fn send_bytes(server: String, count: u64) {
    let to_parent: IpcSender<IpcBytesReceiver> = IpcSender::connect(server).expect("it is there");
    let (sender, receiver) = ipc::bytes_channel().expect("there is a socket");
    to_parent.send(receiver).expect("it listens");
    let mut bytes = [7; 64];
    for index in 0..count {
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        sender.send(&bytes).expect("it receives");
    }
}

/// Messages of 64 bytes through ipc-channel, from one process to another.
pub(crate) fn ipc_channel_bytes(count: u64) -> Duration {
    let (server, name) = IpcOneShotServer::<IpcBytesReceiver>::new().expect("there is a socket");
    let mut sender = spawn(send_bytes, (name, count)).expect("it starts");
    let (_, receiver) = server.accept().expect("it connects");
    let begin = Instant::now();
    for index in 0..count {
        assert_eq!(number(&receiver.recv().expect("it comes")), index);
    }
    let time = begin.elapsed();
    sender.join().expect("it returns");
    time
}

pub(crate) fn has_python() -> bool {
    Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Runs a program that prints seconds, with a number as its argument.
fn python(program: &str, count: u64) -> Duration {
    let output = Command::new("python3").args(["-c", program, &count.to_string()]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_secs_f64(text.trim().parse().expect("it prints seconds"))
}

/// As many messages of 64 bytes through Python's pipe, from one process to another.
pub(crate) fn python_pipe(count: u64) -> Duration {
    const PROGRAM: &str = "
import multiprocessing, sys, time
def put(c, n):
    for i in range(n): c.send_bytes(b'7' * 64)
if __name__ == '__main__':
    multiprocessing.set_start_method('fork')
    n = int(sys.argv[1])
    r, w = multiprocessing.Pipe(False)
    p = multiprocessing.Process(target=put, args=(w, n))
    p.start()
    assert len(r.recv_bytes()) == 64
    begin = time.monotonic()
    for i in range(1, n): assert len(r.recv_bytes()) == 64
    print(time.monotonic() - begin)
    p.join()
";
    python(PROGRAM, count)
}

/// As many typed messages through Python's queue, from one process to another.
pub(crate) fn python_queue(count: u64) -> Duration {
    const PROGRAM: &str = "
import multiprocessing, sys, time
def put(q, n):
    for i in range(n): q.put((i, 1.5, 'a short name'))
if __name__ == '__main__':
    multiprocessing.set_start_method('fork')
    n = int(sys.argv[1])
    q = multiprocessing.Queue(1024)
    p = multiprocessing.Process(target=put, args=(q, n))
    p.start()
    assert q.get()[0] == 0
    begin = time.monotonic()
    for i in range(1, n): assert q.get()[0] == i
    print(time.monotonic() - begin)
    p.join()
";
    python(PROGRAM, count)
}

/// A table of LMDB in memory, without syncing.
pub(crate) struct Lmdb {
    env: heed::Env,
    table: heed::Database<heed::types::Str, heed::types::U64<heed::byteorder::NativeEndian>>,
    _directory: tempfile::TempDir,
}

impl Lmdb {
    pub(crate) fn new(keys: &[String]) -> Lmdb {
        let directory = tempfile::tempdir_in("/dev/shm").expect("there is memory");
        let mut options = heed::EnvOpenOptions::new();
        options.map_size(1 << 30);
        // SAFETY: nobody else opens this directory, and a crash may leave what it likes.
        unsafe { options.flags(heed::EnvFlags::NO_SYNC | heed::EnvFlags::NO_META_SYNC) };
        // SAFETY: as above.
        let env = unsafe { options.open(directory.path()) }.expect("it opens");
        let mut all = env.write_txn().expect("it works");
        let table = env.create_database(&mut all, None).expect("it works");
        for (key, value) in keys.iter().zip(0..) {
            table.put(&mut all, key.as_str(), &value).expect("it works");
        }
        all.commit().expect("it works");
        Lmdb { env, table, _directory: directory }
    }

    /// Each key in a transaction of its own.
    pub(crate) fn get(&self, keys: &[String]) -> Duration {
        crate::case::time(|| {
            for key in keys {
                let read = self.env.read_txn().expect("it works");
                black_box(self.table.get(&read, key.as_str()).expect("it works"));
            }
        })
    }

    /// Each key in a transaction of its own.
    pub(crate) fn insert(&self, keys: &[String]) -> Duration {
        crate::case::time(|| {
            for (key, value) in keys.iter().zip(7..) {
                let mut write = self.env.write_txn().expect("it works");
                self.table.put(&mut write, key.as_str(), &value).expect("it works");
                write.commit().expect("it works");
            }
        })
    }
}

/// Python's manager: so many gets, inserts, and updates under a lock, by another process than the server.
pub(crate) fn python_dict(count: u64) -> Duration {
    const PROGRAM: &str = "
import multiprocessing, sys, time
if __name__ == '__main__':
    n = int(sys.argv[1])
    with multiprocessing.Manager() as manager:
        d, lock = manager.dict(), manager.Lock()
        keys = ['key%08d' % i for i in range(n)]
        d.update({key: i for i, key in enumerate(keys)})
        begin = time.monotonic()
        for key in keys: d[key]
        for key in keys: d[key] = 7
        for key in keys:
            with lock: d[key] += 1
        print(time.monotonic() - begin)
";
    let output = Command::new("python3").args(["-c", PROGRAM, &count.to_string()]).output().expect("it runs");
    let text = String::from_utf8_lossy(&output.stdout);
    Duration::from_secs_f64(text.trim().parse().expect("it prints seconds"))
}
