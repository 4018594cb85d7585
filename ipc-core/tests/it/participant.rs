use std::sync::atomic::{AtomicU32, Ordering};

use ipc_core::{Cause, ParticipantId, Segment, Watch};
use rustix::process::Signal;

use crate::help::{
    Child, Gate, alone, forever, fork, large, leave_descriptors, limit_descriptors, participant, spec,
};

#[test]
fn a_killed_process_is_dead_before_it_is_reaped() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (child, id) = participant(&segment);
        assert!(segment.is_alive(id));
        let known = segment.participant(id).unwrap();
        assert_eq!((known.pid, known.alive), (child.pid(), true));
        assert!(known.name.is_some());
        child.kill();
        assert!(!segment.is_alive(id), "a zombie is dead");
        let known = segment.participant(id).unwrap();
        assert_eq!((known.pid, known.alive, known.name), (child.pid(), false, None));
        drop(child);
        assert!(!segment.is_alive(id), "and so is one that was reaped");
    });
}

#[test]
fn without_descriptors_a_killed_process_is_dead_before_it_is_reaped() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (child, id) = participant(&segment);
        let old = leave_descriptors(0);
        let alive = segment.is_alive(id);
        child.kill();
        let dead = !segment.is_alive(id);
        limit_descriptors(old);
        assert!(alive && dead, "alive {alive}, then dead {dead}");
    });
}

#[test]
fn a_killed_process_is_dead_before_its_memory_is_given_back() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        for (threads, descriptors) in [(1, true), (4, true), (1, false)] {
            // This process may be kept from looking for as long as that takes: then it looks at another.
            let dies_first = |_: u32| {
                let (child, id) = large(&segment, 256 << 20, threads);
                assert!(segment.is_alive(id));
                let old = if descriptors { None } else { Some(leave_descriptors(0)) };
                child.signal(Signal::KILL);
                while segment.is_alive(id) {}
                old.map(limit_descriptors);
                !child.is_zombie()
            };
            assert!((0..20).any(dies_first), "{threads} threads, descriptors left: {descriptors}");
        }
    });
}

#[test]
fn a_stopped_process_is_alive() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let (child, id) = participant(&segment);
        child.signal(Signal::STOP);
        child.until_stopped();
        assert!(segment.is_alive(id));
        child.kill();
        assert!(!segment.is_alive(id));
    });
}

#[test]
fn a_process_that_exited_without_leaving_is_dead() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let word = segment.at::<AtomicU32>(0).unwrap();
        let child = fork(|| word.store(segment.me().unwrap().word(), Ordering::Release));
        child.until_zombie();
        let id = ParticipantId::from_word(word.load(Ordering::Acquire)).unwrap();
        assert!(!segment.is_alive(id));
        child.join();
        assert!(!segment.is_alive(id));
    });
}

#[test]
fn a_process_whose_first_thread_ended_is_alive() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let word = segment.at::<AtomicU32>(0).unwrap();
        let ready = Gate::new();
        let child = fork(|| {
            let id = segment.me().unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let first = std::fs::read_to_string("/proc/self/stat");
                    while !first.as_ref().unwrap().is_empty() {
                        let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
                        if stat.rsplit_once(") ").unwrap().1.starts_with('Z') {
                            break;
                        }
                        std::thread::yield_now();
                    }
                    word.store(id.word(), Ordering::Release);
                    ready.open();
                    forever()
                });
                // SAFETY: ends this thread alone; nothing of it is used again.
                unsafe { libc::syscall(libc::SYS_exit, 0) };
            });
        });
        ready.pass();
        let id = ParticipantId::from_word(word.load(Ordering::Acquire)).unwrap();
        assert!(segment.is_alive(id));
        assert_eq!(Watch::new().dead(&segment, [id]), []);
        let old = leave_descriptors(0);
        let alive = segment.is_alive(id);
        child.kill();
        let dead = !segment.is_alive(id);
        limit_descriptors(old);
        assert!(alive && dead, "without a descriptor: alive {alive}, then dead {dead}");
        assert!(!segment.is_alive(id));
    });
}

#[test]
fn a_forked_child_has_an_identity_of_its_own() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let mine = segment.me().unwrap();
        let word = segment.at::<AtomicU32>(0).unwrap();
        let child = fork(|| {
            let me = segment.me().unwrap();
            assert_ne!(me, mine);
            assert_eq!(me, segment.clone().me().unwrap());
            assert!(segment.is_alive(mine));
            assert_eq!(segment.participant(me).unwrap().pid, std::process::id());
            word.store(me.word(), Ordering::Release);
            // And so has a child of it.
            fork(|| {
                let grandchild = segment.me().unwrap();
                assert!(grandchild != me && grandchild != mine);
            })
            .join();
            assert_eq!(segment.me().unwrap(), me);
        });
        child.join();
        assert_ne!(word.load(Ordering::Acquire), mine.word());
        assert!(segment.is_alive(mine));
        assert_eq!(segment.me().unwrap(), mine);
    });
}

#[test]
fn a_forked_child_that_drops_or_exits_does_not_take_its_parent_out() {
    alone(|| {
        let mut handles = vec![Segment::anonymous(&spec()).unwrap()];
        let mine = handles[0].me().unwrap();
        fork(|| handles.clear()).join();
        assert!(handles[0].is_alive(mine));
        // The same when it took part itself.
        fork(|| {
            handles[0].me().unwrap();
            handles.clear();
        })
        .join();
        assert!(handles[0].is_alive(mine));
        assert_eq!(handles[0].participants().len(), 1, "the child left");
        let mut child = fork(|| std::process::exit(3));
        assert_eq!(child.wait().exit_status(), Some(3));
        assert!(handles[0].is_alive(mine));
    });
}

#[test]
fn who_drops_its_last_handle_has_left() {
    alone(|| {
        let segment = Segment::anonymous(&spec()).unwrap();
        let fd = std::os::fd::AsFd::as_fd(&segment).try_clone_to_owned().unwrap();
        let first = segment.me().unwrap();
        drop(segment);
        let segment: Segment = crate::help::received(fd).unwrap();
        assert_ne!(segment.me().unwrap(), first);
        assert!(!segment.is_alive(first));
        assert_eq!(segment.participant(first), None);
    });
}

#[test]
fn a_full_table_refuses_until_somebody_dies() {
    alone(|| {
        let segment = Segment::anonymous(&spec().participants(4)).unwrap();
        let others: Vec<_> = (0..3).map(|_| participant(&segment)).collect();
        fork(|| {
            let error = segment.me().unwrap_err();
            assert!(matches!(error.cause(), Cause::TooManyParticipants { capacity: 4 }), "{error}");
        })
        .join();
        let indices: std::collections::BTreeSet<_> = others.iter().map(|(_, id)| id.index()).collect();
        assert_eq!(indices.len(), 3);
        others[1].0.kill();
        let place = others[1].1;
        let (_child, id) = participant(&segment);
        assert_eq!(id.index(), place.index(), "the dead one's place");
        assert_ne!(id, place);
        assert!(!segment.is_alive(place) && segment.is_alive(id));
    });
}

#[test]
fn places_of_the_dead_do_not_run_out() {
    alone(|| {
        let segment = Segment::anonymous(&spec().participants(3)).unwrap();
        for _ in 0..200 {
            let children = [participant(&segment), participant(&segment)];
            children.iter().for_each(|(child, _)| child.kill());
            children.iter().for_each(|(_, id)| assert!(!segment.is_alive(*id)));
        }
    });
}

#[test]
fn processes_that_join_at_once_get_different_places() {
    alone(|| {
        let segment = Segment::anonymous(&spec().participants(6).len(64)).unwrap();
        for _ in 0..30 {
            let (go, done, end) = (Gate::new(), Gate::new(), Gate::new());
            let words: &[AtomicU32] = segment.slice(0, 5).unwrap();
            let children: Vec<_> = words
                .iter()
                .map(|word| {
                    let (segment, go, done, end) = (&segment, &go, &done, &end);
                    fork(move || {
                        go.pass();
                        word.store(segment.me().unwrap().word(), Ordering::Release);
                        done.open();
                        end.pass();
                    })
                })
                .collect();
            children.iter().for_each(|_| go.open());
            children.iter().for_each(|_| done.pass());
            let ids =
                words.iter().map(|word| ParticipantId::from_word(word.load(Ordering::Acquire)).unwrap());
            let places: std::collections::BTreeSet<_> = ids.map(ParticipantId::index).collect();
            assert_eq!(places.len(), 5);
            children.iter().for_each(|_| end.open());
            children.into_iter().for_each(Child::join);
        }
    });
}

#[test]
fn any_word_may_be_asked_about() {
    let segment = Segment::anonymous(&spec()).unwrap();
    let mine = segment.me().unwrap();
    assert_eq!(ParticipantId::from_word(mine.word() | 1 << 31), Some(mine));
    for word in (0..u32::MAX).step_by(99_991).chain([0, 1, 4095, 4096, u32::MAX]) {
        if let Some(id) = ParticipantId::from_word(word) {
            assert_eq!(segment.is_alive(id), id == mine);
            assert_eq!(segment.participant(id).is_some(), id == mine);
        }
    }
}
