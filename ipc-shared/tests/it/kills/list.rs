//! Elements come, change and go.

use ipc_crash_test::{Outcome, Report};
use ipc_shared::List;

use super::{Entry, Scene, Walk};

pub(super) const CASES: &[Entry] = &[
    ("list: push", [127, 307], push),
    ("list: push, and the vector grows", [257, 1009], push_and_grow),
    ("list: pop", [5, 307], pop),
    ("list: set", [47, 1009], set),
    ("list: update", [13, 1009], update),
    ("list: insert", [257, 1009], insert),
    ("list: remove", [11, 1009], remove),
    ("list: extend", [1901, 10007], extend),
    ("list: sort", [179, 10007], sort),
    ("list: reverse", [59, 10007], reverse),
    ("list: retain", [127, 10007], retain),
    ("list: get", [1, 307], get),
    ("list: clear", [53, 4001], clear),
];

type Words = List<String>;

fn run(walk: Walk, count: u32, change: fn(&Words)) -> Report {
    let setup = || {
        let list = List::new().unwrap();
        (0..count).for_each(|number| list.push(&format!("element {}", number * 7 % 10)).unwrap());
        list
    };
    let before = setup().to_vec().unwrap();
    let after = {
        let list = setup();
        change(&list);
        list.to_vec().unwrap()
    };
    let check = |scene: &Scene<Words>, outcome: Outcome| {
        let list = &scene.lock;
        let found = list.to_vec().unwrap_or_else(|error| panic!("damaged: {error}"));
        assert!(found == after || found == before && outcome != Outcome::Completed, "torn: {found:?}");
        assert_eq!(list.len().unwrap(), found.len(), "wrong length");
        list.check().unwrap_or_else(|error| panic!("damaged: {error}"));
        list.push(&"again".into()).unwrap();
        assert_eq!(list.pop().unwrap().as_deref(), Some("again"), "wrong element");
        list.clear().unwrap();
        list.check().unwrap_or_else(|error| panic!("damaged afterwards: {error}"));
    };
    let test = walk.of(|| Scene::new(setup())).victim(|scene, step| {
        scene.lock.segment().me().unwrap();
        step.run(|| change(&scene.lock));
    });
    test.check(check).run()
}

fn push(walk: Walk) -> Report {
    run(walk, 5, |list| list.push(&"new".into()).unwrap())
}

fn push_and_grow(walk: Walk) -> Report {
    run(walk, 4, |list| list.push(&"new".into()).unwrap())
}

fn pop(walk: Walk) -> Report {
    run(walk, 5, |list| assert!(list.pop().unwrap().is_some()))
}

fn set(walk: Walk) -> Report {
    run(walk, 5, |list| _ = list.set(2, &"new".repeat(20)).unwrap())
}

fn update(walk: Walk) -> Report {
    run(walk, 5, |list| list.update(2, |element| element.push('!')).unwrap())
}

fn insert(walk: Walk) -> Report {
    run(walk, 5, |list| list.insert(1, &"new".into()).unwrap())
}

fn remove(walk: Walk) -> Report {
    run(walk, 5, |list| _ = list.remove(1).unwrap())
}

fn extend(walk: Walk) -> Report {
    run(walk, 3, |list| list.extend((0..20).map(|number| number.to_string())).unwrap())
}

fn sort(walk: Walk) -> Report {
    run(walk, 9, |list| list.sort().unwrap())
}

fn reverse(walk: Walk) -> Report {
    run(walk, 5, |list| list.reverse().unwrap())
}

fn retain(walk: Walk) -> Report {
    run(walk, 5, |list| list.retain(|element| element.as_str() > "element 4").unwrap())
}

fn get(walk: Walk) -> Report {
    run(walk, 5, |list| assert!(list.get(3).unwrap().is_some()))
}

fn clear(walk: Walk) -> Report {
    run(walk, 9, |list| list.clear().unwrap())
}
