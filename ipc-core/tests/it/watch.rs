use std::fs;
use std::iter;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use ipc_core::futex::{self, Wake};
use ipc_core::transfer::{self, Parcel};
use ipc_core::{ParticipantId, Segment, Watch, deadline};
use rustix::process::Signal;

use crate::help::{
    Gate, alone, forever, fork, large, leave_descriptors, limit_descriptors, participant, spec, threads,
    until,
};

/// Sleeps on the word until it is woken, with a deadline against hangs only.
fn woken(word: &AtomicU32) {
    let long = deadline(Duration::from_secs(60));
    assert_eq!(futex::wait(word, word.load(Ordering::Relaxed), long), Wake::Woken);
}

#[test]
fn those_who_died_are_told_apart_from_those_who_live() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (one, first) = participant(&segment);
        let (two, second) = participant(&segment);
        let mut watch = Watch::new();
        let me = segment.me().unwrap();
        assert_eq!(watch.dead(&segment, [first, me, second]), []);
        one.kill();
        assert_eq!(watch.dead(&segment, [first, me, second]), [first], "a zombie is dead");
        drop(one);
        assert_eq!(watch.dead(&segment, [second, first]), [first], "and so is one that was reaped");
        two.kill();
        assert_eq!(watch.dead(&segment, [second]), [second]);
        assert_eq!(
            Watch::new().dead(&segment, [first, second]),
            [first, second],
            "also for who asks for the first time"
        );
    });
}

#[test]
fn without_descriptors_those_who_died_are_found() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (one, first) = participant(&segment);
        let (two, second) = participant(&segment);
        let mut watch = Watch::new();
        assert_eq!(watch.dead(&segment, [first]), []);
        one.kill();
        two.kill();
        // Fewer than are polled; and as many as there are, but no new one.
        for limit in [|| limit_descriptors(0), || leave_descriptors(0)] {
            let old = limit();
            let dead = (watch.dead(&segment, [first]), Watch::new().dead(&segment, [second]));
            limit_descriptors(old);
            assert_eq!(dead, (vec![first], vec![second]));
        }
    });
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn all_who_look_after_the_same_processes_share_their_descriptors() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let others = [participant(&segment), participant(&segment)];
        let ids = [others[0].1, others[1].1];
        let before = descriptors();
        let mut watches: Vec<_> = iter::repeat_with(Watch::new).take(100).collect();
        watches.iter_mut().for_each(|watch| assert_eq!(watch.dead(&segment, ids), []));
        assert!(descriptors() <= before + 4, "{} more", descriptors() - before);
        drop(watches.split_off(1));
        others[1].0.kill();
        assert_eq!(watches[0].dead(&segment, ids), [ids[1]], "who stays has them still");
        assert_eq!(Watch::new().dead(&segment, ids), [ids[1]], "who comes does not take it for alive");
        drop(watches);
        assert_eq!(descriptors(), before);
    });
}

#[test]
fn a_quarter_of_the_descriptors_is_left_to_the_program() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let others: Vec<_> = (0..12).map(|_| participant(&segment)).collect();
        let old = limit_descriptors(24);
        let mut watch = Watch::new();
        let ids = || others.iter().map(|(_, id)| *id);
        assert_eq!(watch.dead(&segment, ids()), []);
        let own: Vec<_> = (0..5).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        others[3].0.kill();
        others[11].0.kill();
        let mut dead: Vec<_> = watch.dead(&segment, ids());
        limit_descriptors(old);
        drop(own);
        dead.sort_by_key(|id| id.word());
        let mut killed = vec![others[3].1, others[11].1];
        killed.sort_by_key(|id| id.word());
        assert_eq!(dead, killed);
    });
}

#[test]
fn one_who_died_is_found_before_its_memory_is_given_back_among_many_others() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let others: Vec<_> = (0..9).map(|_| participant(&segment)).collect();
        // This process may be kept from looking for as long as that takes: then it looks at another.
        let dies_first = |_: u32| {
            let (child, id) = large(&segment, 256 << 20, 1);
            let all = || iter::once(id).chain(others.iter().map(|(_, id)| *id));
            let mut watch = Watch::new();
            assert_eq!(watch.dead(&segment, all()), []);
            child.signal(Signal::KILL);
            let dead = iter::repeat_with(|| watch.dead(&segment, all())).find(|dead| !dead.is_empty());
            assert_eq!(dead.unwrap(), [id]);
            !child.is_zombie()
        };
        assert!((0..20).any(dies_first));
    });
}

#[test]
fn one_who_has_left_holds_nothing_any_more() {
    alone(|| {
        let (here, there) = transfer::channel().unwrap();
        let (sent, seen, left) = (Gate::new(), Gate::new(), Gate::new());
        let child = fork(|| {
            let segment = Segment::anonymous(&spec()).unwrap();
            let id = segment.me().unwrap().word();
            Parcel::pack(|| postcard::to_allocvec(&(&segment, id))).unwrap().send(&there).unwrap();
            sent.open();
            seen.pass();
            drop(segment);
            left.open();
            forever()
        });
        sent.pass();
        let parcel = Parcel::receive(&here).unwrap().unwrap();
        let (segment, id): (Segment, u32) = parcel.unpack(|bytes| postcard::from_bytes(bytes)).unwrap();
        let id = ParticipantId::from_word(id).unwrap();
        let mut watch = Watch::new();
        assert_eq!(watch.dead(&segment, [id]), []);
        seen.open();
        left.pass();
        assert_eq!(watch.dead(&segment, [id]), [id]);
        drop(child);
    });
}

#[test]
fn the_thread_that_rings_is_there_only_while_somebody_waits() {
    alone(|| {
        let before = threads();
        let segment = Segment::anonymous(&spec()).unwrap();
        let (child, id) = participant(&segment);
        let word = segment.at::<AtomicU32>(8).unwrap();
        let mut one = Watch::new();
        let mut two = Watch::new();
        for watch in [&mut one, &mut two] {
            watch.dead(&segment, [id]);
            assert!(watch.wake_on_death(&segment, word));
        }
        assert_eq!(threads(), before + 1);
        drop(one);
        // Whom it is not asked about any more it forgets.
        two.dead(&segment, []);
        until(|| threads() == before);
        drop(child);
    });
}

#[test]
fn a_sleeper_is_woken_by_a_death_and_by_nothing_else() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (child, id) = participant(&segment);
        let word = segment.at::<AtomicU32>(8).unwrap();
        let asleep = segment.at::<AtomicU32>(16).unwrap();
        let sleeper = fork(|| {
            let mut watch = Watch::new();
            assert!(watch.dead(&segment, [id]).is_empty());
            assert!(watch.wake_on_death(&segment, word));
            asleep.store(1, Ordering::Release);
            woken(word);
            assert_eq!(watch.dead(&segment, [id]), [id]);
        });
        until(|| asleep.load(Ordering::Acquire) == 1);
        // In the kernel it sleeps in a futex call; nothing else in it does.
        until(|| {
            let stat = fs::read_to_string(format!("/proc/{}/stat", sleeper.pid())).unwrap();
            stat.rsplit(')').next().unwrap().trim_start().starts_with('S')
        });
        child.kill();
        sleeper.join();
    });
}

#[test]
fn a_word_outside_of_the_segment_is_not_woken_for() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let mut watch = Watch::new();
        assert!(!watch.wake_on_death(&segment, &AtomicU32::new(0)));
    });
}

#[test]
fn a_forked_child_rings_its_own_bell() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (child, id) = participant(&segment);
        let word = segment.at::<AtomicU32>(8).unwrap();
        let mut watch = Watch::new();
        watch.dead(&segment, [id]);
        let before = threads();
        assert!(watch.wake_on_death(&segment, word));
        fork(|| {
            assert_eq!(threads(), 1);
            let mut watch = Watch::new();
            watch.dead(&segment, [id]);
            assert!(watch.wake_on_death(&segment, word));
            until(|| threads() == 2);
        })
        .join();
        drop(watch);
        until(|| threads() == before);
        drop(child);
    });
}
