//! How long the operations of a dictionary take, and how much memory an entry takes.
//!
//! `cargo run --release -p ipc-shared --example shared_speed -- 10000000`: with so many entries, 200,000 by default.

use std::error::Error;
use std::time::Instant;

use ipc_shared::Dict;

fn main() -> Result<(), Box<dyn Error>> {
    let count: u64 = std::env::args().nth(1).map_or(Ok(200_000), |text| text.parse())?;
    let dict: Dict<String, u64> = Dict::new()?;
    // In no order.
    let key = |number: u64| format!("key{:08}", number * 7919 % count);
    let time = |what: &str, operation: &dyn Fn(u64) -> ipc_core::Result<()>| -> ipc_core::Result<()> {
        let begin = Instant::now();
        (0..count).try_for_each(operation)?;
        println!("{what:>8}: {:.0} ns", begin.elapsed().as_nanos() as f64 / count as f64);
        Ok(())
    };
    time("insert", &|number| dict.insert(key(number), number).map(drop))?;
    time("get", &|number| dict.get(&key(number)).map(drop))?;
    time("replace", &|number| dict.insert(key(number), number + 7).map(drop))?;
    time("update", &|number| dict.update(&key(number), |old| old.map(|old| old + 1)).map(drop))?;
    let stats = dict.stats()?;
    println!("{} bytes of memory an entry; {stats:?}", stats.memory() / count);
    let begin = Instant::now();
    dict.check()?;
    println!("   check: {:.1?}", begin.elapsed());
    time("remove", &|number| dict.remove(&key(number)).map(drop))?;
    assert!(dict.is_empty()?);
    Ok(())
}
