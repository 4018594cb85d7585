//! Objects of a manager come and go, have names, and lie within each other.

use ipc_crash_test::{Outcome, Report, Step};
use ipc_shared::{Dict, List, Manager, Namespace};

use super::{Entry, Scene, Walk};

pub(super) const CASES: &[Entry] = &[
    ("manager: create with a name", [2609, 40009], create_named),
    ("manager: open by its name", [127, 5003], open),
    ("manager: make a dictionary", [11, 2003], make_dict),
    ("manager: make a list", [19, 503], make_list),
    ("manager: make a value", [17, 503], make_value),
    ("manager: make a mutex", [43, 503], make_mutex),
    ("manager: bind", [89, 2003], bind),
    ("manager: find", [19, 503], find),
    ("manager: unbind", [11, 503], unbind),
    ("manager: delete a dictionary", [1831, 8009], delete_dict),
    ("manager: delete a list", [23, 2003], delete_list),
    ("namespace: set", [13, 503], set),
    ("namespace: set to another type", [29, 503], set_to_another),
    ("namespace: get", [3, 307], get),
    ("namespace: update", [13, 503], update),
    ("namespace: remove", [11, 503], remove),
    ("nested: insert a list", [97, 2003], insert_list),
    ("nested: push to a list in a dictionary", [23, 2003], push_to_list),
    ("nested: remove a list's entry", [17, 2003], remove_list),
    ("nested: delete a dictionary with a list in it", [419, 8009], delete_outer),
];

/// A manager, and some of what it has.
struct Shop {
    manager: Manager,
    stock: Dict<String, u32>,
    line: List<String>,
    attributes: Namespace,
    baskets: Dict<String, List<u32>>,
}

impl Shop {
    fn new() -> Shop {
        let manager = Manager::new().unwrap();
        let (stock, baskets) = (manager.dict().unwrap(), manager.dict().unwrap());
        let (line, attributes) = (manager.list().unwrap(), manager.namespace().unwrap());
        manager.bind("stock", &stock).unwrap();
        (0..4).for_each(|key| _ = stock.insert(key.to_string(), key).unwrap());
        line.extend(["ann", "bob"].map(String::from)).unwrap();
        attributes.set("name", &7_u8).unwrap();
        baskets.insert("ann".into(), manager.list().unwrap()).unwrap();
        Shop { manager, stock, line, attributes, baskets }
    }

    /// All that can be seen of it, once all locks were taken: before, what was committed may not have been seen yet.
    fn view(&self) -> String {
        let stats = self.manager.stats().unwrap_or_else(|error| panic!("damaged: {error}"));
        let mut names = self.manager.names().unwrap_or_else(|error| panic!("damaged: {error}"));
        let mut stock = self.stock.items().unwrap_or_default();
        let baskets = self.baskets.items().unwrap_or_default();
        let mut baskets: Vec<_> =
            baskets.into_iter().map(|(name, list)| (name, list.to_vec().unwrap())).collect();
        names.sort();
        stock.sort();
        baskets.sort();
        let attribute = self.attributes.get::<u8>("name").map_err(|_| self.attributes.get::<String>("name"));
        let line = self.line.to_vec().ok();
        let counts = (stats.objects, stats.entries);
        format!("{names:?} {stock:?} {line:?} {attribute:?} {baskets:?} {counts:?}")
    }

    fn works(&self) {
        self.manager.check().unwrap_or_else(|error| panic!("damaged: {error}"));
        let dict: Dict<String, u32> = self.manager.dict().unwrap();
        self.manager.bind("again", &dict).unwrap();
        dict.insert("again".into(), 7).unwrap();
        let found: Dict<String, u32> = self.manager.find("again").unwrap();
        assert_eq!(found.get("again").unwrap(), Some(7), "wrong value");
        assert!(self.manager.unbind("again").unwrap());
        dict.delete().unwrap();
        self.manager.check().unwrap_or_else(|error| panic!("damaged afterwards: {error}"));
    }
}

/// All is as before the change, or as after it.
fn run(walk: Walk, change: fn(&Shop)) -> Report {
    let shop = Shop::new();
    let before = shop.view();
    change(&shop);
    let after = shop.view();
    check(walk, change, move |found, outcome| {
        *found == after || *found == before && outcome != Outcome::Completed
    })
}

/// What is seen after the change is as it should be.
fn check(walk: Walk, change: fn(&Shop), is_right: impl Fn(&String, Outcome) -> bool) -> Report {
    let check = |scene: &Scene<Shop>, outcome: Outcome| {
        let found = scene.lock.view();
        assert!(is_right(&found, outcome), "torn: {found}");
        scene.lock.works();
    };
    let test = walk.of(|| Scene::new(Shop::new())).victim(|scene, step| {
        scene.lock.manager.segment().me().unwrap();
        step.run(|| change(&scene.lock));
    });
    test.check(check).run()
}

fn name() -> String {
    format!("kill-{}", std::process::id())
}

fn create_named(walk: Walk) -> Report {
    let name = name();
    let victim = |_: &Scene<()>, step: Step<'_>| step.run(|| _ = Manager::create(&name).unwrap());
    let check = |_: &Scene<()>, _: Outcome| {
        if let Ok(manager) = Manager::open(&name) {
            manager.check().unwrap_or_else(|error| panic!("damaged: {error}"));
        }
        drop(Manager::create(&name).unwrap_or_else(|error| panic!("the name is taken: {error}")));
    };
    walk.of(|| Scene::new(())).victim(victim).check(check).run()
}

fn open(walk: Walk) -> Report {
    let name = name();
    let setup = || {
        let manager = Manager::create(&name).unwrap();
        manager.bind("value", &manager.value(7_u64).unwrap()).unwrap();
        Scene::new(manager)
    };
    let victim = |_: &Scene<Manager>, step: Step<'_>| step.run(|| _ = Manager::open(&name).unwrap());
    let check = |_: &Scene<Manager>, _: Outcome| {
        let manager = Manager::open(&name).unwrap_or_else(|error| panic!("not opened: {error}"));
        assert_eq!(manager.find::<ipc_shared::Value<u64>>("value").unwrap().get(), 7, "wrong value");
        manager.check().unwrap_or_else(|error| panic!("damaged: {error}"));
    };
    walk.of(setup).victim(victim).check(check).run()
}

fn make_dict(walk: Walk) -> Report {
    run(walk, |shop| drop(shop.manager.dict::<u8, u8>().unwrap()))
}

fn make_list(walk: Walk) -> Report {
    run(walk, |shop| drop(shop.manager.list::<u8>().unwrap()))
}

fn make_value(walk: Walk) -> Report {
    run(walk, |shop| drop(shop.manager.value([1_u64; 9]).unwrap()))
}

fn make_mutex(walk: Walk) -> Report {
    run(walk, |shop| drop(shop.manager.mutex(7_u64).unwrap()))
}

fn bind(walk: Walk) -> Report {
    run(walk, |shop| shop.manager.bind("line", &shop.line).unwrap())
}

fn find(walk: Walk) -> Report {
    run(walk, |shop| drop(shop.manager.find::<Dict<String, u32>>("stock").unwrap()))
}

fn unbind(walk: Walk) -> Report {
    run(walk, |shop| assert!(shop.manager.unbind("stock").unwrap()))
}

fn delete_dict(walk: Walk) -> Report {
    run(walk, |shop| shop.stock.clone().delete().unwrap())
}

fn delete_list(walk: Walk) -> Report {
    run(walk, |shop| shop.line.clone().delete().unwrap())
}

fn set(walk: Walk) -> Report {
    run(walk, |shop| shop.attributes.set("name", &8_u8).unwrap())
}

fn set_to_another(walk: Walk) -> Report {
    run(walk, |shop| shop.attributes.set("name", &"text".to_string()).unwrap())
}

fn get(walk: Walk) -> Report {
    run(walk, |shop| assert_eq!(shop.attributes.get::<u8>("name").unwrap(), Some(7)))
}

fn update(walk: Walk) -> Report {
    run(walk, |shop| {
        _ = shop.attributes.update("name", |old: Option<u8>| old.map(|old| old + 1)).unwrap();
    })
}

fn remove(walk: Walk) -> Report {
    run(walk, |shop| assert!(shop.attributes.remove("name").unwrap()))
}

/// The list is made in one step, and stored in another.
fn insert_list(walk: Walk) -> Report {
    let insert = |shop: &Shop| {
        let list = shop.manager.list().unwrap();
        assert!(shop.baskets.insert("bob".into(), list).unwrap().is_none());
    };
    let shop = Shop::new();
    let mut seen = vec![shop.view()];
    let list = shop.manager.list().unwrap();
    seen.push(shop.view());
    shop.baskets.insert("bob".into(), list).unwrap();
    seen.push(shop.view());
    check(walk, insert, move |found, outcome| match outcome {
        Outcome::Completed => *found == seen[2],
        _ => seen.contains(found),
    })
}

fn push_to_list(walk: Walk) -> Report {
    run(walk, |shop| shop.baskets.get("ann").unwrap().unwrap().push(&7).unwrap())
}

fn remove_list(walk: Walk) -> Report {
    run(walk, |shop| assert!(shop.baskets.remove("ann").unwrap().is_some()))
}

fn delete_outer(walk: Walk) -> Report {
    run(walk, |shop| shop.baskets.clone().delete().unwrap())
}
