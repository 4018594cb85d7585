//! x
use std::time::Instant;
fn main() {
    let n = 2_000_000u32;
    let q = ipc_queue::Queue::<[u8]>::unbounded().unwrap();
    let (s, r) = ipc_pipe::one_way::<[u8]>().unwrap();
    let (ts, tr) = ipc_pipe::one_way::<(u64, f64, String)>().unwrap();
    let tq = ipc_queue::Queue::<(u64, f64, String)>::unbounded().unwrap();
    let mut b = [7u8; 64];
    for _ in 0..2 {
        let t = Instant::now();
        for _ in 0..n {
            q.put_bytes(&b).unwrap();
            q.get_bytes_into(&mut b).unwrap();
        }
        println!("queue bytes {:?}", t.elapsed() / n);
        let t = Instant::now();
        for _ in 0..n {
            s.send_bytes(&b).unwrap();
            r.recv_bytes_into(&mut b).unwrap();
        }
        println!("pipe bytes {:?}", t.elapsed() / n);
        let t = Instant::now();
        for i in 0..n {
            tq.put((i as u64, 1.5, "a short name".to_string())).unwrap();
            tq.get().unwrap();
        }
        println!("queue typed {:?}", t.elapsed() / n);
        let t = Instant::now();
        for i in 0..n {
            ts.send((i as u64, 1.5, "a short name".to_string())).unwrap();
            tr.recv().unwrap();
        }
        println!("pipe typed {:?}", t.elapsed() / n);
        let t = Instant::now();
        for _ in 0..n {
            std::hint::black_box(ipc_core::monotonic_coarse());
        }
        println!("coarse {:?}", t.elapsed() / n);
    }
}
