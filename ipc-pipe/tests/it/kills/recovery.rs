//! Who comes after a killed process is killed as well.

use ipc_crash_test::{Outcome, Report, Step};
use ipc_pipe::Builder;

use super::{Ends, Entry, Expected, Item, Numbers, RECOVERY, Scene, Walk, item, ready};

pub(super) const CASES: &[Entry] = &[
    ("recovery: send after the send of a killed", [31, 499], send),
    ("recovery: recv after the recv of a killed", [31, 499], recv),
    ("recovery: send a descriptor after the same of a killed", [97, 1499], send_handle),
    ("recovery: recv a descriptor after the same of a killed", [97, 1499], recv_handle),
    ("recovery: recv a descriptor after the send of a killed", [97, 1499], recv_after_send),
    ("recovery: find nothing after the send of a killed", [97, 1999], find_nothing),
];

type Pipe = Scene<Ends<Item>>;

fn scene(with: bool) -> Pipe {
    let ends = Ends::new(Builder::new().ring(4096).one_way().unwrap());
    (1..5).for_each(|number| send_to(&ends, number, with));
    Scene::new(ends)
}

fn send_to(ends: &Ends<Item>, number: u64, with: bool) {
    ends.sender.send(if with { item(number) } else { (number, None) }).unwrap();
}

fn run(
    walk: Walk,
    setup: fn() -> Pipe,
    victim: fn(&Ends<Item>),
    after: fn(&Ends<Item>),
    expected: fn() -> Expected,
) -> Report {
    let body = |does: fn(&Ends<Item>)| {
        move |scene: &Pipe, step: Step<'_>| {
            let ends = ready(scene);
            step.run(|| does(ends));
        }
    };
    let test =
        walk.of(setup).victim(body(victim)).recoverer(body(after)).recovery_stride(walk.stride * RECOVERY);
    let check = move |scene: &Pipe, _: Outcome| {
        // What the victim has done, the one that came after it may not have.
        expected().check(&scene.lock, Outcome::Killed { step: 0 });
    };
    test.check(check).run()
}

fn take(ends: &Ends<Item>) {
    assert!(ends.take().is_some());
}

fn send(walk: Walk) -> Report {
    let expected = || Expected::new(1..5).sent(8).sent(9);
    run(walk, || scene(false), |ends| send_to(ends, 8, false), |ends| send_to(ends, 9, false), expected)
}

fn recv(walk: Walk) -> Report {
    run(walk, || scene(false), take, take, || Expected::new(1..5).received(2))
}

fn send_handle(walk: Walk) -> Report {
    let expected = || Expected::new(1..5).sent(8).sent(9);
    run(walk, || scene(true), |ends| send_to(ends, 8, true), |ends| send_to(ends, 9, true), expected)
}

fn recv_handle(walk: Walk) -> Report {
    run(walk, || scene(true), take, take, || Expected::new(1..5).received(2))
}

fn recv_after_send(walk: Walk) -> Report {
    let expected = || Expected::new(1..5).sent(8).received(1);
    run(walk, || scene(true), |ends| send_to(ends, 8, true), take, expected)
}

fn find_nothing(walk: Walk) -> Report {
    let setup = || Scene::new(Ends::new(Builder::new().ring(4096).one_way().unwrap()));
    let after = |ends: &Ends<Item>| drop(ends.receiver.try_recv());
    run(walk, setup, |ends| send_to(ends, 8, true), after, || Expected::new([]).sent(8))
}
