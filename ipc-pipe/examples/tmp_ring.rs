//! x
use std::time::Instant;
fn main() {
    let n = 1_500_000u32;
    for round in 0..3 {
        for ring in [16usize << 10, 64 << 10, 128 << 10, 256 << 10, 1 << 20] {
            let (s, r) = ipc_pipe::Builder::new().ring(ring).one_way::<[u8]>().unwrap();
            let t = Instant::now();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let b = [7u8; 64];
                    for _ in 0..n {
                        s.send_bytes(&b).unwrap();
                    }
                });
                let mut b = [0u8; 64];
                for _ in 0..n {
                    r.recv_bytes_into(&mut b).unwrap();
                }
            });
            println!("{round} ring {ring} {:.1} M/s", n as f64 / t.elapsed().as_secs_f64() / 1e6);
        }
        let q = ipc_queue::Queue::<[u8]>::bounded(1024).unwrap();
        let t = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let b = [7u8; 64];
                for _ in 0..n {
                    q.put_bytes(&b).unwrap();
                }
            });
            let mut b = [0u8; 64];
            for _ in 0..n {
                q.get_bytes_into(&mut b).unwrap();
            }
        });
        println!("{round} queue {:.1} M/s", n as f64 / t.elapsed().as_secs_f64() / 1e6);
    }
}
