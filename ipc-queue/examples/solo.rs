//! Temporary.
use ipc_queue::Queue;
use std::time::Instant;
fn main() {
    let q = Queue::<[u8]>::bounded(1024).unwrap();
    let m = [7u8; 64];
    let mut b = [0u8; 64];
    for _ in 0..3 {
        let t = Instant::now();
        for _ in 0..5000 {
            for _ in 0..1000 {
                q.put_bytes(&m).unwrap();
            }
            for _ in 0..1000 {
                q.get_bytes_into(&mut b).unwrap();
            }
        }
        println!("put+get {:.1} ns", t.elapsed().as_nanos() as f64 / 5e6);
        let t = Instant::now();
        for _ in 0..5000 {
            q.put_all_bytes((0..1000).map(|_| &m)).unwrap();
            q.get_many_bytes(1000, |x| {
                x.read_at(0, &mut b);
            })
            .unwrap();
        }
        println!("batch put+get {:.1} ns", t.elapsed().as_nanos() as f64 / 5e6);
        let (tx, rx) = crossbeam_channel::bounded::<[u8; 64]>(1024);
        let t = Instant::now();
        for _ in 0..5000 {
            for _ in 0..1000 {
                tx.send(m).unwrap();
            }
            for _ in 0..1000 {
                b = std::hint::black_box(rx.recv().unwrap());
            }
        }
        println!("crossbeam {:.1} ns", t.elapsed().as_nanos() as f64 / 5e6);
    }
    std::hint::black_box(b);
    let q = Queue::bounded(1024).unwrap();
    let t = Instant::now();
    for _ in 0..5000 {
        for i in 0..1000u64 {
            q.put((i, 1.5, "hello".to_string())).unwrap();
        }
        for _ in 0..1000 {
            q.get().unwrap();
        }
    }
    println!("typed put+get {:.1} ns", t.elapsed().as_nanos() as f64 / 5e6);
    let p = q.producer().unwrap();
    let c = q.consumer().unwrap();
    let t = Instant::now();
    for _ in 0..5000 {
        for i in 0..1000u64 {
            p.put((i, 1.5, "hello".to_string())).unwrap();
        }
        for _ in 0..1000 {
            c.get().unwrap();
        }
    }
    println!("roles typed put+get {:.1} ns", t.elapsed().as_nanos() as f64 / 5e6);
}
