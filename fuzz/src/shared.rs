use std::sync::atomic::{AtomicU32, Ordering};

use arbitrary::{Arbitrary, Unstructured};
use ipc_core::Segment;
use ipc_shared::{Array, Dict, List, Manager, Namespace, Value};

use crate::{Write, limited};

/// Where the arena's lock is, and those of the domains.
const ARENA: u64 = 128;
const DOMAINS: u64 = 16896 + 48;
const DOMAIN: u64 = 1408;

/// No process has that identity.
const NOBODY: u32 = u32::MAX;

#[derive(Arbitrary, Debug)]
enum Step {
    Write(Write),
    /// The owner of a lock has died.
    Die(u8),
    Insert(u8, u16),
    Get(u8),
    Remove(u8),
    Update(u8, u16),
    UpdateMany(u8, u8, u8),
    Swap(u8),
    PopItem,
    Retain(u8),
    Items,
    Clear,
    Push(u16),
    Pop,
    Set(u8, u16),
    InsertAt(u8),
    RemoveAt(u8),
    Sort,
    Slice(u8),
    Find(u8),
    ClearList,
    Nest(u8),
    Unnest(u8),
    Attribute(u8),
    Plain(u8),
    Bind(u8),
    Unbind(u8),
    Delete,
    Check,
    Ask,
}

struct World {
    manager: Manager,
    dict: Dict<u8, Vec<u8>>,
    list: List<Vec<u8>>,
    nested: Dict<u8, List<u64>>,
    namespace: Namespace,
    value: Value<[u64; 3]>,
    array: Array<u32>,
}

/// A manager and what it has: garbage and operations in turn.
pub fn shared(input: &[u8]) {
    let Ok(steps) = Vec::<Step>::arbitrary_take_rest(Unstructured::new(input)) else { return };
    limited(|| {
        let world = World::new().expect("there is memory");
        steps.into_iter().take(64).for_each(|step| {
            world.release();
            // Whatever it says: an error is as good as a result.
            let _ = world.run(step);
        });
        world.release();
        let _ = world.manager.check();
        let _ = world.dict.clear();
    });
}

impl World {
    fn new() -> ipc_core::Result<World> {
        let manager = Manager::with_max_memory(0)?;
        let world = World {
            dict: manager.dict()?,
            list: manager.list()?,
            nested: manager.dict()?,
            namespace: manager.namespace()?,
            value: manager.value([1; 3])?,
            array: manager.array(&[1; 5])?,
            manager,
        };
        (0..12).try_for_each(|key| world.dict.insert(key, vec![key; 20 * key as usize]).map(drop))?;
        world.dict.insert(12, vec![7; 10_000])?;
        (0..6).try_for_each(|number| world.list.push(&vec![number; 10]))?;
        world.nested.insert(0, world.manager.list()?)?;
        world.manager.bind("0", &world.dict)?;
        world.manager.bind("1", &world.list)?;
        world.manager.check()?;
        Ok(world)
    }

    /// A lock that a living process holds is waited for, whoever says so: no garbage may say that it is this one.
    fn release(&self) {
        let segment = self.manager.segment();
        let me = segment.me().expect("it takes part").word();
        for at in locks() {
            let _ = lock(segment, at).compare_exchange(me, 0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    fn run(&self, step: Step) -> ipc_core::Result<()> {
        let World { manager, dict, list, nested, namespace, value, array } = self;
        match step {
            Step::Write(write) => write.write(manager.segment(), manager.segment().len() / 8),
            Step::Die(which) => {
                let at = locks().nth(usize::from(which) % 65).expect("there are 65");
                lock(manager.segment(), at).store(NOBODY, Ordering::Relaxed);
            }
            Step::Insert(key, len) => drop(dict.insert(key, vec![4; len.into()])?),
            Step::Get(key) => drop(dict.get(&key)?),
            Step::Remove(key) => drop(dict.remove(&key)?),
            Step::Update(key, len) => drop(dict.update(&key, |old| {
                let mut new = old?;
                new.truncate(len.into());
                Some(new)
            })?),
            Step::UpdateMany(one, other, len) => dict.update_many(&[&one, &other], |values| {
                values.reverse();
                values[0] = Some(vec![5; len.into()]);
            })?,
            Step::Swap(key) => drop(dict.compare_and_swap(&key, None, Some(vec![6]))?),
            Step::PopItem => drop(dict.pop_item()?),
            Step::Retain(least) => dict.retain(|key, _| *key >= least)?,
            Step::Items => drop(dict.items()?),
            Step::Clear => dict.clear()?,
            Step::Push(len) => list.push(&vec![7; len.into()])?,
            Step::Pop => drop(list.pop()?),
            Step::Set(index, len) => drop(list.set(index.into(), &vec![8; len.into()])?),
            Step::InsertAt(index) => list.insert(index.into(), &vec![9])?,
            Step::RemoveAt(index) => drop(list.remove(index.into())?),
            Step::Sort => list.sort()?,
            Step::Slice(start) => drop(list.slice(usize::from(start)..)?),
            Step::Find(byte) => drop(list.index_of(&vec![byte; 10])?),
            Step::ClearList => list.clear()?,
            Step::Nest(key) => drop(nested.insert(key, manager.list()?)?),
            Step::Unnest(key) => {
                if let Some(list) = nested.get(&key)? {
                    list.push(&7)?;
                }
            }
            Step::Attribute(number) => {
                namespace.set("name", &number)?;
                namespace.get::<u16>("name")?;
            }
            Step::Plain(index) => {
                value.update(|value| value[0] += 1);
                array.set(index.into(), 7)?;
                array.sort()?;
            }
            Step::Bind(name) => manager.bind(&name.to_string(), list)?,
            Step::Unbind(name) => drop(manager.unbind(&name.to_string())?),
            Step::Delete => list.clone().delete()?,
            Step::Check => manager.check()?,
            Step::Ask => {
                let _ = (manager.stats()?, manager.names()?, dict.len()?, list.len()?);
                let _ = manager.find::<Dict<u8, Vec<u8>>>("0")?.len()?;
            }
        }
        Ok(())
    }
}

fn locks() -> impl Iterator<Item = u64> {
    (0..64).map(|domain| DOMAINS + domain * DOMAIN).chain([ARENA])
}

fn lock(segment: &Segment, at: u64) -> &AtomicU32 {
    segment.at(at).expect("within the segment")
}
