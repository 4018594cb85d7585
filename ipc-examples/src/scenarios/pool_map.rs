//! A function for each of many items: at once or as they come, in order or not, with one argument or several.
//!
//! In Python:
//!
//! ```python
//! pool.map(square, range(1000))
//! list(pool.imap(square, range(1000), chunksize=10))
//! set(pool.imap_unordered(square, range(1000), chunksize=10))
//! pool.starmap(multiply, zip(range(1000), range(1000)))
//! ```
//!
//! The same here, with chunks that find their size by themselves. Python reads the whole input of `imap` at once; here
//! it is pulled as results are fetched, so that it may have no end.
//!
//! Prints the first results of each.

use ipc_pool::Pool;

use super::Outcome;

const ITEMS: u64 = 1000;

fn square(x: u64) -> u64 {
    x * x
}

fn multiply(a: u64, b: u64) -> u64 {
    a * b
}

pub(crate) fn run() -> Outcome {
    let serial: Vec<u64> = (0..ITEMS).map(square).collect();
    let show = |what: &str, results: &[u64]| println!("{what}: {:?} ...", &results[..5]);
    let pool = Pool::new(2)?;

    let mapped = pool.map(square, 0..ITEMS)?;
    show("map", &mapped);
    assert_eq!(mapped, serial);

    let lazy = pool.imap(square, 0..ITEMS)?.collect::<Result<Vec<_>, _>>()?;
    show("imap", &lazy);
    assert_eq!(lazy, serial);

    let mut unordered =
        pool.each(square, 0..ITEMS).chunk_size(10).imap_unordered()?.collect::<Result<Vec<_>, _>>()?;
    show("imap_unordered", &unordered);
    unordered.sort_unstable();
    assert_eq!(unordered, serial);

    let pairs = pool.starmap(multiply, (0..ITEMS).zip(0..ITEMS))?;
    show("starmap", &pairs);
    assert_eq!(pairs, serial);

    let endless = pool.imap(square, 0..)?.take(ITEMS as usize).collect::<Result<Vec<_>, _>>()?;
    show("imap without an end", &endless);
    assert_eq!(endless, serial);
    Ok(())
}
