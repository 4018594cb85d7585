//! How long the operations take. `cargo run --release -p ipc-shared --example shared_speed`
use ipc_shared::Dict;
use std::time::Instant;
fn main() {
    let keys: Vec<String> = (0..200_000_u64).map(|key| format!("key{:08}", key * 7919 % 200_000)).collect();
    let time = |name: &str, count: usize, f: &mut dyn FnMut()| {
        let begin = Instant::now();
        f();
        println!("{name}: {:.0} ns", begin.elapsed().as_nanos() as f64 / count as f64);
    };
    let rounds: u32 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3);
    let dict: Dict<String, u64> = Dict::new().unwrap();
    time("insert new", keys.len(), &mut || {
        keys.iter().zip(0..).for_each(|(key, value)| {
            dict.insert(key.clone(), value).unwrap();
        })
    });
    for _ in 0..rounds {
        time("insert old", keys.len(), &mut || {
            keys.iter().zip(7..).for_each(|(key, value)| {
                dict.insert(key.clone(), value).unwrap();
            })
        });
        time("get", keys.len(), &mut || {
            keys.iter().for_each(|key| {
                dict.get(key).unwrap().unwrap();
            })
        });
        time("update", keys.len(), &mut || {
            keys.iter().for_each(|key| {
                dict.update(key, |old| old.map(|old| old + 1)).unwrap();
            })
        });
    }
    println!("{:?} {} bytes an entry", dict.stats().unwrap(), dict.stats().unwrap().memory() / 200_000);
    let map = parking_lot_map();
    time("std mutex map insert", keys.len(), &mut || {
        keys.iter().zip(0..).for_each(|(key, value)| {
            map.lock().unwrap().insert(key.clone(), value);
        })
    });
    time("std mutex map get", keys.len(), &mut || {
        keys.iter().for_each(|key| {
            std::hint::black_box(map.lock().unwrap().get(key).copied().unwrap());
        })
    });
    time("std mutex map insert old", keys.len(), &mut || {
        keys.iter().zip(0..).for_each(|(key, value)| {
            map.lock().unwrap().insert(key.clone(), value);
        })
    });
    if rounds > 3 {
        return;
    }
    time("clear", keys.len(), &mut || dict.clear().unwrap());
}
fn parking_lot_map() -> std::sync::Mutex<std::collections::HashMap<String, u64>> {
    Default::default()
}
