//! Entries come, change and go.

use ipc_crash_test::{KillTest, Outcome, Report};

use super::{Dict, Entry, HashMap, RECOVERY, Scene, Walk};

pub(super) const CASES: &[Entry] = &[
    ("dict: insert", [7, 101], insert),
    ("dict: insert the first", [131, 2503], insert_first),
    ("dict: replace in place", [7, 211], replace_in_place),
    ("dict: replace by a longer one", [43, 1009], replace_longer),
    ("dict: remove", [7, 211], remove),
    ("dict: update", [7, 211], update),
    ("dict: update, and remove", [11, 211], update_to_nothing),
    ("dict: compare and swap", [17, 401], compare_and_swap),
    ("dict: get or insert", [23, 401], get_or_insert),
    ("dict: update 2", [311, 4001], update_two),
    ("dict: update 20, with a long log", [20021, 90001], update_many),
    ("dict: insert 4, and tables grow", [127, 2503], grow),
    ("dict: insert 4, and tables are rebuilt without those removed", [113, 2503], rehash),
    ("dict: clear", [1931, 6007], clear),
    ("dict: retain", [1291, 20011], retain),
    ("dict: pop_item", [17, 401], pop_item),
    ("dict: get", [7, 211], get),
    ("dict: items", [233, 5003], items),
    ("dict: delete", [1931, 8009], delete),
    ("memory: insert, and a new slab", [43, 1009], new_slab),
    ("memory: insert a large one", [2053, 20011], insert_large),
    ("memory: replace a large one", [15149, 60013], replace_large),
    ("memory: remove a large one, whose memory is given back", [2621, 20011], remove_large),
    ("memory: created", [2053, 40009], create),
    ("recovery of a killed insert", [127, 307], recover_insert),
    ("recovery of a killed replace", [307, 1009], recover_replace),
    ("recovery of a killed update 2", [941, 6007], recover_two),
    ("recovery of a killed growth", [127, 1501], recover_growth),
    ("recovery of a killed insert, and a new slab", [239, 1009], recover_new_slab),
    ("recovery of a killed update 5 with a long log", [4951, 6007], recover_five),
];

type Words = Dict<String, String>;
type Model = HashMap<String, String>;
type Change = fn(&Words);

fn text(key: u32) -> String {
    "value ".repeat(key as usize % 5) + &key.to_string()
}

/// A dictionary of so many entries.
fn filled(count: u32) -> Scene<Words> {
    let dict = Dict::new().unwrap();
    dict.extend((0..count).map(|key| (key.to_string(), text(key)))).unwrap();
    Scene::new(dict)
}

fn few() -> Scene<Words> {
    filled(5)
}

fn model(dict: &Words) -> Model {
    dict.items().unwrap_or_else(|error| panic!("damaged: {error}")).into_iter().collect()
}

/// All is as before the change, or as after it.
fn check(setup: fn() -> Scene<Words>, change: Change) -> impl Fn(&Scene<Words>, Outcome) {
    let scene = setup();
    let before = model(&scene.lock);
    change(&scene.lock);
    let after = model(&scene.lock);
    move |scene, outcome| {
        let dict = &scene.lock;
        let len = dict.len().unwrap_or_else(|error| panic!("damaged: {error}"));
        let found = model(dict);
        assert_eq!(len, found.len(), "wrong length");
        assert!(found == after || found == before && outcome != Outcome::Completed, "torn: {found:?}");
        dict.check().unwrap_or_else(|error| panic!("damaged: {error}"));
        works(dict);
    }
}

fn works(dict: &Words) {
    for key in ["0", "1", "new", "7000"] {
        dict.insert(key.into(), "again".into()).unwrap();
        assert_eq!(dict.get(key).unwrap().as_deref(), Some("again"), "wrong value");
    }
    dict.clear().unwrap();
    dict.check().unwrap_or_else(|error| panic!("damaged afterwards: {error}"));
}

fn test(walk: Walk, setup: fn() -> Scene<Words>, change: Change) -> KillTest<'static, Scene<Words>> {
    walk.of(setup).victim(move |scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| change(&scene.lock));
    })
}

fn run(walk: Walk, setup: fn() -> Scene<Words>, change: Change) -> Report {
    test(walk, setup, change).check(check(setup, change)).run()
}

fn put(dict: &Words, key: u32, value: &str) {
    dict.insert(key.to_string(), value.to_owned()).unwrap();
}

fn insert(walk: Walk) -> Report {
    run(walk, || filled(200), |dict| put(dict, 1000, "new"))
}

fn insert_first(walk: Walk) -> Report {
    run(walk, || filled(0), |dict| put(dict, 1000, "new"))
}

fn replace_in_place(walk: Walk) -> Report {
    run(walk, few, |dict| put(dict, 1, "VALUE 1"))
}

fn replace_longer(walk: Walk) -> Report {
    run(walk, || filled(200), |dict| put(dict, 1, &text(4).repeat(5)))
}

fn remove(walk: Walk) -> Report {
    run(walk, few, |dict| _ = dict.remove("3").unwrap())
}

fn update(walk: Walk) -> Report {
    run(walk, few, |dict| _ = dict.update("3", |old| old.map(|old| old.to_uppercase())).unwrap())
}

fn update_to_nothing(walk: Walk) -> Report {
    run(walk, few, |dict| _ = dict.update("3", |_| None).unwrap())
}

fn compare_and_swap(walk: Walk) -> Report {
    run(walk, few, |dict| assert!(dict.compare_and_swap("1", Some(&text(1)), Some(text(7))).unwrap()))
}

fn get_or_insert(walk: Walk) -> Report {
    run(walk, few, |dict| _ = dict.get_or_insert_with("new".into(), || text(7)).unwrap())
}

fn two(dict: &Words) {
    let swap = |values: &mut [Option<String>]| values.swap(0, 1);
    dict.update_many(&["1", "4"], swap).unwrap();
}

fn update_two(walk: Walk) -> Report {
    run(walk, few, two)
}

fn update_many(walk: Walk) -> Report {
    let change = |dict: &Words| {
        let keys: Vec<String> = (0..20).map(|key| key.to_string()).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let double = |values: &mut [Option<String>]| {
            values
                .iter_mut()
                .for_each(|value| *value = Some(value.take().unwrap_or_default() + "and something more"));
        };
        dict.update_many(&keys, double).unwrap();
    };
    run(walk, || filled(200), change)
}

/// A dictionary of which some part has a full table.
fn full() -> Scene<Words> {
    filled(384)
}

/// The same, and then only 4 entries are left: where many others were, their slots still count.
fn emptied() -> Scene<Words> {
    let scene = full();
    (4..384).for_each(|key| _ = scene.lock.remove(&key.to_string()).unwrap());
    scene
}

/// Into tables of 8 slots, of which 6 can be used: some of these become others. Each insert is a step of its own.
fn fill(walk: Walk, setup: fn() -> Scene<Words>) -> Report {
    let before = model(&setup().lock);
    let check = move |scene: &Scene<Words>, outcome: Outcome| {
        let found = model(&scene.lock);
        let new = (1000..1004).take_while(|key| found.contains_key(&key.to_string())).count();
        assert!(outcome != Outcome::Completed || new == 4, "torn: {new}");
        assert_eq!(found.len(), before.len() + new, "wrong length");
        assert!(before.iter().all(|(key, value)| found[key] == *value), "torn");
        scene.lock.check().unwrap_or_else(|error| panic!("damaged: {error}"));
        works(&scene.lock);
    };
    test(walk, setup, |dict| (1000..1004).for_each(|key| put(dict, key, "new"))).check(check).run()
}

fn grow(walk: Walk) -> Report {
    fill(walk, full)
}

fn rehash(walk: Walk) -> Report {
    fill(walk, emptied)
}

fn clear(walk: Walk) -> Report {
    run(walk, few, |dict| dict.clear().unwrap())
}

fn retain(walk: Walk) -> Report {
    let check = |scene: &Scene<Words>, _: Outcome| {
        let found = model(&scene.lock);
        let is_sound = |key: u32| found.get(&key.to_string()).is_some_and(|value| *value == text(key));
        assert!(
            (0..5).all(|key| is_sound(key) || key % 2 == 0 && !found.contains_key(&key.to_string())),
            "torn"
        );
        scene.lock.check().unwrap_or_else(|error| panic!("damaged: {error}"));
        works(&scene.lock);
    };
    let odd = |dict: &Words| dict.retain(|key, _| key.parse::<u32>().unwrap() % 2 == 1).unwrap();
    test(walk, few, odd).check(check).run()
}

fn pop_item(walk: Walk) -> Report {
    run(walk, || filled(1), |dict| assert!(dict.pop_item().unwrap().is_some()))
}

fn get(walk: Walk) -> Report {
    run(walk, few, |dict| assert_eq!(dict.get("3").unwrap(), Some(text(3))))
}

fn items(walk: Walk) -> Report {
    run(walk, few, |dict| assert_eq!(dict.items().unwrap().len(), 5))
}

fn delete(walk: Walk) -> Report {
    let check = |scene: &Scene<Words>, outcome: Outcome| {
        match scene.lock.get("3") {
            Ok(found) => assert!(found == Some(text(3)) && outcome != Outcome::Completed, "torn: {found:?}"),
            Err(_) => assert_eq!(scene.lock.stats().unwrap().objects, 0, "wrong number"),
        }
        scene.lock.check().unwrap_or_else(|error| panic!("damaged: {error}"));
    };
    test(walk, few, |dict| dict.clone().delete().unwrap()).check(check).run()
}

fn new_slab(walk: Walk) -> Report {
    run(walk, few, |dict| put(dict, 1, &"x".repeat(1000)))
}

const LARGE: usize = 300_000;

fn insert_large(walk: Walk) -> Report {
    run(walk, few, |dict| put(dict, 1, &"x".repeat(10_000)))
}

fn replace_large(walk: Walk) -> Report {
    let setup = || {
        let scene = few();
        put(&scene.lock, 1, &"x".repeat(10_000));
        scene
    };
    run(walk, setup, |dict| put(dict, 1, &"y".repeat(20_000)))
}

fn remove_large(walk: Walk) -> Report {
    let setup = || {
        let scene = few();
        put(&scene.lock, 1, &"x".repeat(LARGE));
        scene
    };
    // The value is not copied out: that would be most of the way.
    run(walk, setup, |dict| dict.clear().unwrap())
}

fn create(walk: Walk) -> Report {
    let victim = |_: &Words| drop(Words::new().unwrap());
    run(walk, few, victim)
}

/// Another process repairs what the victim left, and is killed while doing so: it takes the locks of those keys.
fn recover(walk: Walk, setup: fn() -> Scene<Words>, change: Change, keys: &'static [&str]) -> Report {
    let test = test(walk, setup, change).check(check(setup, change)).recoverer(move |scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| scene.lock.update_many(keys, |_| ()).unwrap());
    });
    test.recovery_stride(walk.stride * RECOVERY).run()
}

fn recover_insert(walk: Walk) -> Report {
    recover(walk, || filled(200), |dict| put(dict, 1000, "new"), &["1000"])
}

fn recover_replace(walk: Walk) -> Report {
    recover(walk, few, |dict| put(dict, 1, &text(4).repeat(9)), &["1"])
}

fn recover_two(walk: Walk) -> Report {
    recover(walk, few, two, &["4", "1"])
}

fn recover_growth(walk: Walk) -> Report {
    recover(walk, full, |dict| put(dict, 1000, "new"), &["1000"])
}

fn recover_new_slab(walk: Walk) -> Report {
    recover(walk, few, |dict| put(dict, 1, &"x".repeat(1000)), &["1"])
}

/// Values of 16 words, all of which change where they are.
fn five() -> Scene<Words> {
    let scene = few();
    (0..5).for_each(|key| put(&scene.lock, key, &"x".repeat(120)));
    scene
}

fn recover_five(walk: Walk) -> Report {
    let change = |dict: &Words| {
        let keys = ["0", "1", "2", "3", "4"];
        dict.update_many(&keys, |values| values.fill(Some("y".repeat(120)))).unwrap();
    };
    recover(walk, five, change, &["2", "4"])
}
