//! Temporary.
use ipc_queue::Queue;
use std::time::Instant;
const N: u64 = 5_000_000;
fn produce(q: Queue<[u8]>, n: u64) {
    let mut m = [7u8; 64];
    for i in 0..n {
        m[..8].copy_from_slice(&i.to_le_bytes());
        q.put_bytes(&m).unwrap();
    }
}
fn produce_batch(q: Queue<[u8]>, n: u64) {
    let m = [[7u8; 64]; 64];
    for _ in 0..n / 64 {
        q.put_all_bytes(&m).unwrap();
    }
}
fn consume(q: Queue<[u8]>, n: u64) -> u64 {
    let mut b = [0u8; 64];
    let mut sum = 0u64;
    for _ in 0..n {
        q.get_bytes_into(&mut b).unwrap();
        sum = sum.wrapping_add(u64::from_le_bytes(b[..8].try_into().unwrap()));
    }
    sum
}
fn produce_t(q: Queue<(u64, f64, String)>, n: u64) {
    for i in 0..n {
        q.put((i, 1.5, "hello".to_string())).unwrap();
    }
}
fn main() {
    for (p, c) in [(1, 1), (2, 2), (4, 4)] {
        for _ in 0..3 {
            let q = Queue::<[u8]>::bounded(1024).unwrap();
            let t = Instant::now();
            let mut ps: Vec<_> =
                (0..p).map(|_| ipc_process::spawn(produce, (q.clone(), N / p)).unwrap()).collect();
            let mut cs: Vec<_> =
                (0..c).map(|_| ipc_process::spawn(consume, (q.clone(), N / c)).unwrap()).collect();
            for x in &mut ps {
                x.join().unwrap();
            }
            for x in &mut cs {
                x.join().unwrap();
            }
            println!("{p}x{c} 64 B: {:.2} M/s", N as f64 / t.elapsed().as_secs_f64() / 1e6);
        }
        for _ in 0..3 {
            let (tx, rx) = crossbeam_channel::bounded::<[u8; 64]>(1024);
            let t = Instant::now();
            std::thread::scope(|s| {
                for _ in 0..p {
                    let tx = tx.clone();
                    s.spawn(move || {
                        let mut m = [7u8; 64];
                        for i in 0..N / p {
                            m[..8].copy_from_slice(&i.to_le_bytes());
                            tx.send(m).unwrap();
                        }
                    });
                }
                for _ in 0..c {
                    let rx = rx.clone();
                    s.spawn(move || {
                        let mut sum = 0u64;
                        for _ in 0..N / c {
                            let b = rx.recv().unwrap();
                            sum = sum.wrapping_add(u64::from_le_bytes(b[..8].try_into().unwrap()));
                        }
                        std::hint::black_box(sum);
                    });
                }
            });
            println!("{p}x{c} crossbeam: {:.2} M/s", N as f64 / t.elapsed().as_secs_f64() / 1e6);
        }
    }
    for _ in 0..3 {
        let q = Queue::<[u8]>::bounded(1024).unwrap();
        let t = Instant::now();
        let mut p = ipc_process::spawn(produce_batch, (q.clone(), N)).unwrap();
        let mut got = 0;
        let mut b = [0u8; 64];
        while got < N / 64 * 64 {
            got += q
                .get_many_bytes(64, |x| {
                    x.read_at(0, &mut b);
                })
                .unwrap() as u64;
        }
        p.join().unwrap();
        println!("batch: {:.2} M/s", N as f64 / t.elapsed().as_secs_f64() / 1e6);
    }
    for _ in 0..3 {
        let q = Queue::bounded(1024).unwrap();
        let t = Instant::now();
        let mut p = ipc_process::spawn(produce_t, (q.clone(), N)).unwrap();
        for _ in 0..N {
            q.get().unwrap();
        }
        p.join().unwrap();
        println!("typed: {:.2} M/s", N as f64 / t.elapsed().as_secs_f64() / 1e6);
    }
}
