//! How cost grows: with more processes, larger messages and more entries.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use ipc_lock::Barrier;
use ipc_pool::{Builder, Pool};
use ipc_process::spawn;
use ipc_queue::Queue;
use ipc_shared::Dict;

use crate::case::time;
use crate::cpus::Cpus;
use crate::output::{Data, Machine};
use crate::plot::{self, Chart, Line};
use crate::stream::{self, Span, together, whole};
use crate::{shared, versus};

const PROCESSES: [u32; 4] = [1, 2, 4, 8];
const ITEMS: u64 = 1_000_000;
/// Entries that are looked up and changed of a dictionary of any size.
const SAMPLE: u64 = 200_000;

/// Measures, prints tables, and draws pictures into the folder, if there is one.
pub(crate) fn run(quick: bool, output: Option<&Path>) -> Result<(), Box<dyn Error>> {
    let machine = Machine::this();
    println!("{machine}\n");
    let rounds = if quick { 1 } else { 5 };
    let by_processes = [queues(rounds), dicts(rounds), pools(rounds)];
    by_processes.iter().for_each(|chart| println!("{}", chart.table()));
    let by_entries = entries(if quick { 1_000_000 } else { 10_000_000 });
    by_entries.iter().for_each(|chart| println!("{}", chart.table()));
    if let Some(folder) = output {
        let results = by_processes.iter().chain(&by_entries).collect();
        Data { machine, is_quick: quick, results }.write(folder, "scaling.json")?;
        plot::draw(&folder.join("scaling-processes.svg"), &by_processes)?;
        plot::draw(&folder.join("scaling-entries.svg"), &by_entries)?;
    }
    versus::run(quick, output)
}

/// The median of some rounds with each number of processes: in a second, of what there is `count` of in a round.
fn over_processes(
    label: &'static str,
    least: u32,
    count: f64,
    rounds: usize,
    measure: impl Fn(u32) -> Duration,
) -> Line {
    let rate = |processes| {
        let times = (0..rounds).map(|_| measure(processes).as_secs_f64()).collect();
        (f64::from(processes), count / plot::median(times))
    };
    Line { label, points: PROCESSES.into_iter().filter(|&number| number >= least).map(rate).collect() }
}

fn chart(title: &'static str, y: &'static str, lines: Vec<Line>) -> Chart {
    Chart { title, x: "processes", y, name: |processes| format!("{processes:.0}"), lines }
}

fn put_and_get(queue: Queue<[u8]>, start: Barrier, count: u64) -> Span {
    let mut item = [7; 64];
    together(&start, || {
        for _ in 0..count {
            queue.put_bytes(&item).expect("nobody closes it");
            assert_eq!(queue.get_bytes_into(&mut item).expect("nobody closes it"), 64);
        }
    })
}

/// Each of so many processes puts an item and gets one, in turns.
fn in_turns(processes: u32) -> Duration {
    let queue = Queue::<[u8]>::bounded(stream::CAPACITY).expect("there is memory");
    let start = Barrier::new(processes).expect("there is memory");
    let count = ITEMS / u64::from(processes);
    let child = |_| spawn(put_and_get, (queue.clone(), start.clone(), count)).expect("it starts");
    whole((0..processes).map(child).collect())
}

fn queues(rounds: usize) -> Chart {
    let millions = ITEMS as f64 / 1e6;
    let sides = |processes| stream::bytes(Cpus::Any, u64::from(processes / 2), 64, ITEMS);
    chart(
        "one queue, 64 bytes",
        "million items a second",
        vec![
            over_processes("half put, half get", 2, millions, rounds, sides),
            over_processes("each puts and gets", 1, millions, rounds, in_turns),
        ],
    )
}

fn dicts(rounds: usize) -> Chart {
    let dict = [shared::dict(&shared::keys())];
    let together = |work| {
        let dict = &dict;
        move |processes| shared::together(dict, u64::from(processes), work)
    };
    let millions = (shared::PASSES * shared::COUNT) as f64 / 1e6;
    chart(
        "one dictionary, 200,000 entries",
        "million operations a second",
        vec![
            over_processes("get", 1, millions, rounds, together(shared::Work::Get)),
            over_processes("update, own keys", 1, millions, rounds, together(shared::Work::Update)),
        ],
    )
}

/// Takes some ten microseconds.
fn work(seed: u64) -> u64 {
    (0..10_000).fold(seed, |sum, step| black_box(sum.wrapping_mul(31).wrapping_add(step)))
}

fn pools(rounds: usize) -> Chart {
    const TASKS: u64 = 20_000;
    let pool = |processes: u32| -> Pool {
        let pool = Builder::new().workers(processes as usize).build().expect("workers start");
        // Each has started.
        (0..10).for_each(|_| drop(pool.map(|x: u64| x, 0..1000)));
        pool
    };
    let map = |f: fn(&Pool)| {
        move |processes| {
            let pool = pool(processes);
            time(|| f(&pool))
        }
    };
    let small = |pool: &Pool| drop(pool.map(|x: u64| x * x, 0..ITEMS / 5).expect("it returns"));
    let large = |pool: &Pool| drop(pool.map(work, 0..TASKS).expect("it returns"));
    chart(
        "map of a pool",
        "items a second",
        vec![
            over_processes("next to no work", 1, (ITEMS / 5) as f64, rounds, map(small)),
            over_processes("10 us of work each", 1, TASKS as f64, rounds, map(large)),
        ],
    )
}

fn key(number: u64) -> String {
    format!("key{number:09}")
}

/// A dictionary that grows to so many entries: what each costs.
fn entries(most: u64) -> [Chart; 2] {
    let mut lines = ["insert", "get", "update"].map(|label| Line { label, points: Vec::new() });
    let mut memory = Line { label: "all memory", points: Vec::new() };
    let dict = Dict::<String, u64>::new().expect("there is memory");
    let (mut len, mut next) = (0, 1000);
    while next <= most {
        let mut add = |line: usize, time: Duration, count: u64| {
            lines[line].points.push((next as f64, time.as_secs_f64() * 1e9 / count as f64));
        };
        let insert = |number| assert_eq!(dict.insert(key(number), number).expect("there is memory"), None);
        add(0, time(|| (len..next).for_each(insert)), next - len);
        // In no order, all over the dictionary.
        let sample: Vec<u64> =
            (0..SAMPLE).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15) % next).collect();
        let keys: Vec<String> = sample.iter().map(|&number| key(number)).collect();
        let got =
            |(key, number): (&String, &u64)| assert_eq!(dict.get(key).expect("it works"), Some(*number));
        add(1, time(|| keys.iter().zip(&sample).for_each(got)), SAMPLE);
        let update = |key: &String| _ = dict.update(key, |old| old).expect("it works");
        add(2, time(|| keys.iter().for_each(update)), SAMPLE);
        let bytes = dict.stats().expect("it works").memory();
        memory.points.push((next as f64, bytes as f64 / next as f64));
        (len, next) = (next, next * 10);
    }
    let name = |entries: f64| match entries as u64 {
        entries @ 0..1_000_000 => format!("{} k", entries / 1000),
        entries => format!("{} M", entries / 1_000_000),
    };
    let chart = |title, y, lines| Chart { title, x: "entries", y, name, lines };
    [
        chart("a dictionary that grows: time", "nanoseconds each", lines.into()),
        chart("a dictionary that grows: memory", "bytes for each entry", vec![memory]),
    ]
}
