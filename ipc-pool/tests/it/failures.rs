//! Tasks, values, initializers and callbacks that fail.

use std::process;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use ipc_pool::{Builder, Death, Pool, PoolError, Refusal, TaskError};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::help::{Words, end, get};

/// How a value fails, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    Error,
    Panic,
}

/// A value that fails when it is encoded.
#[derive(Debug)]
struct Stubborn(Fault);

impl Serialize for Stubborn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Fault::None => serializer.serialize_u8(0),
            Fault::Error => Err(S::Error::custom("it does not want to")),
            Fault::Panic => panic!("it cannot stand it"),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Stubborn, D::Error> {
        u8::deserialize(deserializer).map(|_| Stubborn(Fault::None))
    }
}

/// A value that fails when it is decoded.
#[derive(Debug)]
struct Fragile(Fault);

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0 as u8)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fragile, D::Error> {
        match u8::deserialize(deserializer)? {
            0 => Ok(Fragile(Fault::None)),
            1 => Err(D::Error::custom("broken")),
            _ => panic!("it went to pieces"),
        }
    }
}

fn fault(number: u8) -> Fault {
    [Fault::None, Fault::Error, Fault::Panic][usize::from(number)]
}

/// The pool does what pools do.
fn check(pool: &Pool) {
    assert_eq!(pool.map(|x: u32| x + 1, 0..10).unwrap(), (1..11).collect::<Vec<_>>());
}

#[test]
fn a_panic_is_the_error_of_its_task_with_message_place_and_stack() {
    let pool = Pool::new(1).unwrap();
    let worker = pool.workers()[0].pid();
    match pool.apply(|x: u32| assert_ne!(x, 3, "three is too many"), (3,)) {
        Err(TaskError::Panicked(panic)) => {
            assert!(panic.message.contains("three is too many"), "{panic}");
            assert!(panic.location.as_ref().unwrap().contains("failures.rs"), "{panic}");
            assert_eq!(
                panic.backtrace.is_some(),
                std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0")
            );
        }
        other => panic!("{other:?}"),
    }
    check(&pool);
    assert_eq!(pool.workers()[0].pid(), worker, "the worker goes on");
    end(&pool);
}

#[test]
fn arguments_that_cannot_be_encoded_are_refused_and_handed_back() {
    let pool = Pool::new(1).unwrap();
    for (number, words) in [(1, "it does not want to"), (2, "it cannot stand it")] {
        let refused = pool.apply_async(|_: Stubborn| (), (Stubborn(fault(number)),)).unwrap_err();
        match refused.refusal() {
            Refusal::Arguments(why) => assert!(why.contains(words), "{why}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(refused.into_args().0.0, fault(number));
        let items = [0, number, 0].map(|number| Stubborn(fault(number)));
        let results: Vec<_> = pool.imap(|_: Stubborn| (), items).unwrap().collect();
        assert!(
            matches!(&results[..], [Ok(()), Err(TaskError::Arguments(why)), Ok(())] if why.contains(words))
        );
    }
    check(&pool);
    end(&pool);
}

/// A value that has its pool do something when it is encoded.
struct Asks(Option<Arc<Pool>>);

impl Serialize for Asks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let answer = self.0.as_ref().unwrap().apply(|x: u8| x + 1, (6,)).map_err(S::Error::custom)?;
        serializer.serialize_u8(answer)
    }
}

impl<'de> Deserialize<'de> for Asks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Asks, D::Error> {
        let answer = u8::deserialize(deserializer)?;
        assert_eq!(answer, 7);
        Ok(Asks(None))
    }
}

#[test]
fn arguments_may_use_the_pool_while_they_are_encoded() {
    let pool = Arc::new(Pool::new(1).unwrap());
    for _ in 0..100 {
        assert!(pool.apply(|asks: Asks| asks.0.is_none(), (Asks(Some(Arc::clone(&pool))),)).unwrap());
    }
    end(&pool);
}

#[test]
fn arguments_that_cannot_be_decoded_are_the_error_of_their_item() {
    let pool = Pool::new(1).unwrap();
    for number in [1, 2] {
        for chunk in [1, 3] {
            let items = [0, number, 0].map(|number| Fragile(fault(number)));
            let results: Vec<_> =
                pool.each(|_: Fragile| (), items).chunk_size(chunk).imap().unwrap().collect();
            assert!(matches!(&results[..], [Ok(()), Err(TaskError::Arguments(_)), Ok(())]), "{results:?}");
        }
    }
    check(&pool);
    end(&pool);
}

#[test]
fn results_that_cannot_be_encoded_are_the_error_of_their_item() {
    let pool = Pool::new(1).unwrap();
    for (number, words) in [(1, "it does not want to"), (2, "it cannot stand it")] {
        let make = |number: u8| Stubborn(fault(number));
        let results: Vec<_> = pool
            .each(make, [0, number, 0])
            .chunk_size(3)
            .imap()
            .unwrap()
            .map(|result| result.map(drop))
            .collect();
        assert!(
            matches!(&results[..], [Ok(()), Err(TaskError::Result(why)), Ok(())] if why.contains(words)),
            "{results:?}"
        );
    }
    check(&pool);
    end(&pool);
}

#[test]
fn results_that_cannot_be_decoded_are_the_error_of_their_item() {
    let pool = Pool::new(1).unwrap();
    for number in [1, 2] {
        let make = |number: u8| Fragile(fault(number));
        let results: Vec<_> = pool
            .each(make, [0, number, 0])
            .chunk_size(3)
            .imap()
            .unwrap()
            .map(|result| result.map(drop))
            .collect();
        assert!(matches!(&results[..], [Ok(()), Err(TaskError::Result(_)), Ok(())]), "{results:?}");
        assert!(matches!(pool.apply(make, (number,)), Err(TaskError::Result(_))));
    }
    check(&pool);
    end(&pool);
}

#[test]
fn exit_and_abort_in_a_task_are_its_workers_death() {
    let pool = Pool::new(2).unwrap();
    let exit = |code: i32| -> () { process::exit(code) };
    for code in [0, 1, 255] {
        match get(&pool.apply_async(exit, (code,)).unwrap()) {
            Err(TaskError::WorkerDied { death, .. }) => assert_eq!(death, Death::Code(code)),
            other => panic!("{other:?}"),
        }
    }
    let abort = || -> () { process::abort() };
    match get(&pool.apply_async(abort, ()).unwrap()) {
        Err(TaskError::WorkerDied { death, .. }) => assert_eq!(death, Death::Signal(6)),
        other => panic!("{other:?}"),
    }
    check(&pool);
    end(&pool);
}

#[test]
fn an_initializer_that_panics_or_refuses_fails_the_pool_at_once() {
    let words = Words::new();
    let panics = |words: Words| -> () {
        words.add(0);
        panic!("no kitchen");
    };
    match Builder::new().workers(2).initializer(panics, (words.clone(),)).build() {
        Err(PoolError::InitializerPanicked(panic)) => assert_eq!(panic.message, "no kitchen"),
        other => panic!("{other:?}"),
    }
    assert!(words.get(0) <= 2, "{} workers were started", words.get(0));
    let refuses = |why: String| Err::<(), String>(why);
    match Builder::new().workers(1).initializer(refuses, ("closed".to_string(),)).build() {
        Err(PoolError::InitializerFailed(why)) => assert_eq!(why, "closed"),
        other => panic!("{other:?}"),
    }
    match Builder::new().workers(1).initializer(|_: Stubborn| (), (Stubborn(Fault::Panic),)).build() {
        Err(PoolError::InitializerFailed(why)) => assert!(why.contains("it cannot stand it"), "{why}"),
        other => panic!("{other:?}"),
    }
    match Builder::new().workers(1).initializer(|_: Fragile| (), (Fragile(Fault::Error),)).build() {
        Err(PoolError::InitializerFailed(_)) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_initializer_that_fails_later_fails_all_that_waits() {
    let words = Words::new();
    let once = |words: Words| assert_eq!(words.add(0), 0, "only once");
    let pool = Builder::new().workers(1).initializer(once, (words,)).build().unwrap();
    check(&pool);
    let exit = || -> () { process::exit(1) };
    let dies = pool.apply_async(exit, ()).unwrap();
    let waits: Vec<_> = (0..10_u32).filter_map(|x| pool.apply_async(|x: u32| x, (x,)).ok()).collect();
    assert!(matches!(get(&dies), Err(TaskError::WorkerDied { .. })));
    for result in &waits {
        match get(result) {
            Err(TaskError::Pool(error)) => assert!(matches!(*error, PoolError::InitializerPanicked(_))),
            other => panic!("{other:?}"),
        }
    }
    let refused = loop {
        if let Err(refused) = pool.apply_async(|| (), ()) {
            break refused;
        }
    };
    assert!(matches!(refused.refusal(), Refusal::Pool(_)));
    end(&pool);
}

#[test]
fn workers_that_die_before_they_are_ready_again_and_again_are_recognised() {
    let words = Words::new();
    let aborts = |words: Words| -> () {
        words.add(0);
        process::abort();
    };
    match Builder::new().workers(2).initializer(aborts, (words.clone(),)).build() {
        Err(PoolError::CrashLoop { workers, last }) => {
            assert!(workers >= 8 && last.contains("SIGABRT"), "{workers} {last}");
        }
        other => panic!("{other:?}"),
    }
    assert!(words.get(0) <= 12, "{} workers were started", words.get(0));
}

/// A result whose decoding uses its pool.
#[derive(Serialize)]
struct Curious;

static CURIOUS: Mutex<Option<Arc<Pool>>> = Mutex::new(None);

impl<'de> Deserialize<'de> for Curious {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Curious, D::Error> {
        <()>::deserialize(deserializer)?;
        let pool = CURIOUS.lock().unwrap().take().unwrap();
        assert!(matches!(pool.apply(|| (), ()), Err(TaskError::WaitsForItself)));
        assert!(matches!(pool.map(|x: u32| x, 0..3), Err(TaskError::WaitsForItself)));
        let mut lazy = pool.imap(|x: u32| x, 0..3).unwrap();
        assert!(matches!(lazy.next(), Some(Err(TaskError::WaitsForItself))));
        assert!(lazy.next().is_none());
        drop(lazy);
        drop(pool.apply_async(|x: u32| x, (1,)).unwrap());
        pool.close();
        pool.join().unwrap();
        Ok(Curious)
    }
}

#[test]
fn what_decodes_a_result_has_an_error_if_it_waits_for_its_pool() {
    let words = Words::new();
    let task = |words: Words| {
        words.wait(1, 1);
        Curious
    };
    let pool = Arc::new(Pool::new(1).unwrap());
    let result = pool.apply_async(task, (words.clone(),)).unwrap();
    // The last handle goes there, too.
    *CURIOUS.lock().unwrap() = Some(pool);
    words.set(1, 1);
    assert!(get(&result).is_ok());
}

/// A result that panics when it is dropped, as it is by the last who has it.
#[derive(Serialize, Deserialize)]
struct Clinging;

impl Drop for Clinging {
    fn drop(&mut self) {
        assert!(ipc_process::parent().is_some(), "it does not let go");
    }
}

#[test]
fn a_result_that_panics_when_it_is_dropped_keeps_no_callback_from_running() {
    let pool = Pool::new(1).unwrap();
    let (go, gate) = channel::<()>();
    let wait = move |_: &Clinging| {
        let _ = gate.recv();
    };
    let call = pool.call(|| Clinging, ()).callback(wait);
    drop(call.apply_async().unwrap());
    drop(go);
    let next = pool.call(|x: u32| x, (1,)).callback(|_| {}).apply_async().unwrap();
    assert_eq!(get(&next).unwrap(), 1);
    end(&pool);
}

#[test]
fn results_of_a_failed_map_that_panic_when_they_are_dropped_harm_nobody() {
    let pool = Pool::new(1).unwrap();
    let f = |x: u32| {
        assert!(x < 3, "three is too many");
        Clinging
    };
    let error = pool.map(f, 0..4).err().unwrap();
    assert!(matches!(error, TaskError::Item { index: 3, .. }), "{error}");
    assert_eq!(pool.apply(|| 7, ()).unwrap(), 7);
    end(&pool);
}
