//! What other crates do with the same work.
#![allow(unsafe_code)]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cloudtoid_interprocess::{Options, Publisher, Subscriber};
use iceoryx2::prelude::{
    BackpressureStrategy, Config, FileName, Node, NodeBuilder, Path as Root, PortFactory as _,
    SemanticString as _, ipc_threadsafe,
};
use iceoryx2::service::port_factory::publish_subscribe::PortFactory;
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcOneShotServer, IpcReceiver, IpcSender};
use ipc_core::monotonic;
use ipc_lock::Event;
use ipc_process::spawn;

use crate::cpus::Cpus;
use crate::stream::{CAPACITY, Message, message, number, sum};

/// Arrays of that size through crossbeam's bounded channel, from so many threads to so many.
pub(crate) fn crossbeam<const SIZE: usize>(cpus: Cpus, sides: u64, count: u64) -> Duration {
    let (sender, receiver) = crossbeam_channel::bounded::<[u8; SIZE]>(CAPACITY);
    let start = std::sync::Barrier::new(2 * sides as usize);
    let spans: Vec<(Instant, Instant)> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for _ in 0..sides {
            let (sender, receiver, start) = (sender.clone(), receiver.clone(), &start);
            threads.push(scope.spawn(move || {
                let mut item = [7; SIZE];
                cpus.pin(0);
                start.wait();
                let begin = Instant::now();
                for index in 0..count / sides {
                    item[..8].copy_from_slice(&index.to_le_bytes());
                    sender.send(item).expect("somebody receives");
                }
                (begin, Instant::now())
            }));
            threads.push(scope.spawn(move || {
                cpus.pin(1);
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

fn options(name: &str) -> Options {
    Options::new(name, 128 * CAPACITY)
}

fn publish(name: String, cpus: Cpus, size: usize, count: u64) {
    cpus.pin(0);
    let publisher = Publisher::open(&options(&name)).expect("it opens");
    let mut item = vec![7; size];
    for index in 0..count {
        item[..8].copy_from_slice(&index.to_le_bytes());
        while publisher.try_send(&item).is_err() {
            std::hint::spin_loop();
        }
    }
}

/// Items of that size through cloudtoid's queue, from one process to another, both polling.
pub(crate) fn cloudtoid(cpus: Cpus, size: usize, count: u64) -> Duration {
    let name = format!("ipc-benches-{}", std::process::id());
    let args = (name.clone(), cpus, size, count);
    let receive = move || subscribe(&name, cpus, size, count);
    std::thread::scope(|scope| {
        // Not this thread: it is to stay where it is.
        let receiver = scope.spawn(receive);
        let mut publisher = spawn(publish, args).expect("it starts");
        publisher.join().expect("it returns");
        receiver.join().expect("no panic")
    })
}

fn subscribe(name: &str, cpus: Cpus, size: usize, count: u64) -> Duration {
    cpus.pin(1);
    let subscriber = Subscriber::open(&options(name)).expect("it opens");
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
    monotonic() - begin
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

/// What begins the names of its files in shared memory, of which it leaves one.
fn prefix(process: u32) -> String {
    format!("ipc-benches-{process}-")
}

/// Its other files lie in that directory, which goes with the case.
fn node(process: u32, directory: &Path) -> Node<ipc_threadsafe::Service> {
    let mut config = Config::default();
    config.global.prefix = FileName::new(prefix(process).as_bytes()).expect("it is a name");
    config.global.set_root_path(&Root::new(directory.as_os_str().as_encoded_bytes()).expect("it is a path"));
    NodeBuilder::new().config(&config).create().expect("it is made")
}

/// A service that throws nothing away: who publishes waits.
fn service(node: &Node<ipc_threadsafe::Service>) -> PortFactory<ipc_threadsafe::Service, [u8], ()> {
    let name = "bench".try_into().expect("it is a name");
    let service = node.service_builder(&name).publish_subscribe::<[u8]>();
    let service = service.enable_safe_overflow(false).subscriber_max_buffer_size(CAPACITY).history_size(0);
    service.open_or_create().expect("it opens")
}

fn publish_loaned(parent: u32, directory: PathBuf, connected: Event, size: usize, count: u64) {
    let node = node(parent, &directory);
    let service = service(&node);
    let publisher = service.publisher_builder().initial_max_slice_len(size).max_loaned_samples(1);
    let publisher = publisher.backpressure_strategy(BackpressureStrategy::RetryUntilDelivered);
    let publisher = publisher.create().expect("it is made");
    let item = vec![7; size];
    for index in 0..=count {
        let sample = publisher.loan_slice_uninit(size).expect("there is memory");
        let mut sample = sample.write_from_slice(&item);
        sample.payload_mut()[..8].copy_from_slice(&index.to_le_bytes());
        sample.send().expect("it is delivered");
        if index == 0 {
            // Who has not received yet is not waited for: the others would be thrown away.
            connected.wait();
        }
    }
    // What is on its way goes with the publisher.
    while service.dynamic_config().number_of_subscribers() > 0 {
        std::thread::yield_now();
    }
}

/// Items of that size through iceoryx2, written in place in one process and read there in another, both polling.
pub(crate) fn iceoryx(size: usize, count: u64) -> Duration {
    let directory = tempfile::tempdir().expect("there is a directory");
    let process = std::process::id();
    let node = node(process, directory.path());
    let service = service(&node);
    let subscriber = service.subscriber_builder().buffer_size(if size > 4096 { 2 } else { CAPACITY });
    let subscriber = subscriber.create().expect("it is made");
    let connected = Event::new().expect("there is memory");
    let args = (process, directory.path().to_owned(), connected.clone(), size, count);
    let mut publisher = spawn(publish_loaned, args).expect("it starts");
    let mut read = 0_u64;
    let mut receive = |index| {
        let sample = loop {
            match subscriber.receive().expect("it works") {
                Some(sample) => break sample,
                None => std::hint::spin_loop(),
            }
        };
        read = read.wrapping_add(sum(sample.payload()));
        assert_eq!((sample.payload().len(), number(sample.payload())), (size, index));
    };
    receive(0);
    connected.set();
    let begin = monotonic();
    (1..=count).for_each(receive);
    let time = monotonic() - begin;
    black_box(read);
    drop(subscriber);
    publisher.join().expect("it returns");
    drop((service, node));
    for file in std::fs::read_dir("/dev/shm").expect("it is there").flatten() {
        if file.file_name().to_string_lossy().starts_with(&prefix(process)) {
            std::fs::remove_file(file.path()).expect("it is there");
        }
    }
    time
}

fn send_to_ring(path: String, count: u64) {
    let sender = ipmpsc::Sender::new(ipmpsc::SharedRingBuffer::open(&path).expect("it opens"));
    let mut item = [7_u8; 64];
    for index in 0..count {
        item[..8].copy_from_slice(&index.to_le_bytes());
        sender.send(&item.as_slice()).expect("somebody receives");
    }
}

/// Items of 64 bytes through ipmpsc, from one process to another.
pub(crate) fn ipmpsc(count: u64) -> Duration {
    let (path, ring) = ipmpsc::SharedRingBuffer::create_temp(128 * CAPACITY as u32).expect("there is memory");
    let mut receiver = ipmpsc::Receiver::new(ring);
    let mut sender = spawn(send_to_ring, (path, count)).expect("it starts");
    let mut begin = monotonic();
    for index in 0..count {
        let mut context = receiver.zero_copy_context();
        let item: &[u8] = context.recv().expect("somebody sends");
        if index == 0 {
            begin = monotonic();
        }
        assert!(item.len() == 64 && number(item) == index);
    }
    let time = monotonic() - begin;
    sender.join().expect("it returns");
    time
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
