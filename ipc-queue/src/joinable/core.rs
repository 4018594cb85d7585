//! What all handles of a queue have in common.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ipc_core::{Error, Place, Result, Segment, Spec, monotonic_coarse};
use ipc_lock::raw::{Acquired, Party, Slept, TimedOut, identity};

use crate::core::{Patient, check_capacity, make};
use crate::joinable::book::{Book, Found, Write, peek, size};
use crate::joinable::layout::{Joinable, MAX_BASE, MIN_CLASS, Numbers, Signal, VERSION};
use crate::joinable::records::{Fate, Lease, holder};
use crate::joinable::signal::Waiter;
use crate::layout::PARTICIPANTS;
use crate::memory;
use crate::refused::{GetRefused, PutRefused};
use crate::region::Region;
use crate::ring::Refused;

/// A handle without a type.
#[derive(Debug, Clone)]
pub(crate) struct Core(Place<Joinable>);

/// While nobody waits, somebody looks so often whether one who has a job has died, in milliseconds; and at so many at once,
/// since each costs some microseconds.
const LOOK: u32 = 20;
const LOOK_AT: usize = 4;

/// Why somebody is not within the lock.
enum Outside {
    TimedOut,
    Fault(Error),
}

impl Core {
    fn spec<R>(type_name: &str, f: impl FnOnce(&Spec<'_>) -> R) -> R {
        f(&Spec::new("joinable-queue", VERSION).type_name(type_name).participants(PARTICIPANTS))
    }

    /// Makes one: with a name, if there is one.
    pub(crate) fn create(type_name: &str, name: Option<&str>, capacity: Option<usize>) -> Result<Core> {
        let capacity = check_capacity("joinable-queue", name, capacity)?;
        // 64 bytes an item are a guess; it grows if they are more.
        let record = size(64).expect("a number");
        let len = capacity.saturating_mul(record).clamp(1 << MIN_CLASS, 1 << MAX_BASE);
        let base = Region::with_len(len).expect("not that large");
        let mut core = None;
        let init = |segment: &Segment| {
            let place = Place::<Joinable>::new(segment, 0)?;
            Book::init(&place, segment, capacity, base);
            core = Some(Core(place));
            Ok(())
        };
        Core::spec(type_name, |spec| make(spec, name, base, init))?;
        Ok(core.expect("made by init"))
    }

    pub(crate) fn open(type_name: &str, name: &str) -> Result<Core> {
        let len = size_of::<Joinable>() as u64;
        let segment = Core::spec(type_name, |spec| Segment::open(name, &spec.len(len)))?;
        Place::new(&segment, 0).map(Core)
    }

    pub(crate) fn receive(type_name: &str, segment: &Segment) -> Result<Core> {
        let len = size_of::<Joinable>() as u64;
        Core::spec(type_name, |spec| segment.expect(&spec.len(len)))?;
        Place::new(segment, 0).map(Core)
    }

    #[inline]
    pub(crate) fn segment(&self) -> &Segment {
        self.0.segment()
    }

    #[inline]
    pub(crate) fn shared(&self) -> &Joinable {
        &self.0
    }

    #[inline]
    pub(crate) fn me(&self) -> u32 {
        identity(self.segment()).id().word()
    }

    /// The numbers at one moment during the call.
    pub(crate) fn numbers(&self) -> Numbers {
        peek(self.shared())
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.shared().closed.load(Ordering::Acquire) != 0
    }

    pub(crate) fn capacity(&self) -> u64 {
        self.shared().capacity.load(Ordering::Relaxed)
    }

    /// Takes the lock, with the books in order.
    #[inline(always)]
    fn enter(&self, me: u32, patient: Patient) -> Result<Entered<'_>, Outside> {
        let (shared, segment) = (self.shared(), self.segment());
        let acquired = match patient {
            Patient::Until(None) => shared.lock.lock(segment, me),
            Patient::Until(Some(deadline)) => shared.lock.lock_inner(segment, me, || Some(deadline))?,
            Patient::Not => shared.lock.lock_inner(segment, me, || Some(Instant::now()))?,
        };
        let book = Book::open(shared, segment).inspect_err(|_| shared.lock.unlock())?;
        let died = acquired == Acquired::OwnerDied;
        if died {
            book.repair();
        }
        Ok(Entered { before: book.valid, all: died, book })
    }

    /// Puts items, waiting for room: at least one, and as many of `items` as there is room for then; how many.
    #[inline]
    pub(crate) fn put<'a>(
        &self,
        mut items: impl Iterator<Item = &'a [u8]>,
        patient: Patient,
    ) -> Result<u64, PutRefused> {
        let (shared, me) = (self.shared(), self.me());
        let Some(mut item) = items.next() else { return Ok(0) };
        let mut waits = Waits::new(patient);
        loop {
            let mut entered = self.enter(me, patient)?;
            waits.awake();
            if self.is_closed() {
                return Err(PutRefused::Closed);
            }
            let mut count = 0;
            let refused = loop {
                if let Err(refused) = entered.book.push(item) {
                    break refused;
                }
                count += 1;
                match items.next() {
                    Some(next) => item = next,
                    None => break Refused::Full,
                }
            };
            match refused {
                _ if count > 0 => {
                    entered.book.commit(Write::Nothing);
                    return Ok(count);
                }
                Refused::Fault(error) => return Err(PutRefused::Fault(error)),
                Refused::Full => {}
            }
            let has_room = || self.numbers().ready < self.capacity() || self.is_closed();
            // Whoever dies, there is no more room for that.
            waits.wait(self, &shared.room, me, entered, has_room, Vec::new).map_err(|late| match late {
                Late::Now => PutRefused::Full,
                Late::TimedOut => PutRefused::TimedOut,
            })?;
        }
    }

    /// Gets a job, waiting for it, and its bytes.
    #[inline]
    pub(crate) fn get(&self, patient: Patient, bytes: &mut Vec<u8>) -> Result<Lease, GetRefused> {
        let (shared, me) = (self.shared(), self.me());
        self.look(me);
        let mut waits = Waits::new(patient);
        let mut looked = false;
        loop {
            let mut entered = self.enter(me, patient)?;
            waits.awake();
            if let Some(lease) = entered.book.take(me, bytes)? {
                return Ok(lease);
            }
            // A job that somebody has may come back.
            if self.is_closed() && entered.book.now.leased == 0 {
                return Err(GetRefused::Closed);
            }
            entered.book.trim();
            if matches!(patient, Patient::Not) && !mem::replace(&mut looked, true) {
                let others_have_some = entered.book.others_have_some(me);
                drop(entered);
                if !others_have_some {
                    return Err(GetRefused::Empty);
                }
                // Somebody else may do the same right now, so there may be something in any case.
                self.recover(me, self.holders(me), patient);
                continue;
            }
            let something = || self.has_something();
            let dead = waits.wait(self, &shared.ready, me, entered, something, || self.holders(me));
            let dead = dead.map_err(|late| match late {
                Late::Now => GetRefused::Empty,
                Late::TimedOut => GetRefused::TimedOut,
            })?;
            self.take_back(me, &dead, patient);
        }
    }

    /// Whether a get would find something: a job, or the end.
    fn has_something(&self) -> bool {
        let now = self.numbers();
        now.ready > 0 || self.is_closed() && now.leased == 0
    }

    /// The same, also if what is there has to be taken back from the dead first.
    pub(crate) fn is_ready(&self) -> bool {
        self.has_something() || {
            let me = self.me();
            self.recover(me, self.holders(me), Patient::Not);
            self.has_something()
        }
    }

    /// Counts the caller among those who sleep until there is a job; not if the lock is not to be had until then.
    pub(crate) fn asleep(&self, deadline: Option<Instant>) -> Asleep<'_> {
        let (me, patient) = (self.me(), Patient::Until(deadline));
        let mut waiter = Waiter::new(self.segment(), &self.shared().ready, me, deadline);
        if let Ok(_entered) = self.enter(me, patient) {
            waiter.prepare();
        }
        Asleep { core: self, waiter }
    }

    /// Waits until everything is done; `false` if the deadline has passed before.
    pub(crate) fn join(&self, deadline: Option<Instant>) -> Result<bool> {
        let (shared, me, patient) = (self.shared(), self.me(), Patient::Until(deadline));
        let mut waits = Waits::new(patient);
        let mut rounds = None;
        loop {
            let entered = match self.enter(me, patient) {
                Ok(entered) => entered,
                Err(Outside::TimedOut) => return Ok(false),
                Err(Outside::Fault(error)) => return Err(error),
            };
            waits.awake();
            let now = entered.book.now;
            // It may have been so for a moment only.
            if now.unfinished() == 0 || *rounds.get_or_insert(now.rounds) != now.rounds {
                return Ok(true);
            }
            let is_finished = || self.numbers().rounds != now.rounds;
            match waits.wait(self, &shared.finished, me, entered, is_finished, || self.holders(me)) {
                Ok(dead) => self.take_back(me, &dead, patient),
                Err(_) => return Ok(false),
            }
        }
    }

    /// Ends a lease.
    pub(crate) fn finish(&self, lease: &Lease, fate: Fate) -> Result<()> {
        let mut entered = self.enter_patiently()?;
        entered.book.finish(lease, fate)
    }

    fn enter_patiently(&self) -> Result<Entered<'_>> {
        loop {
            match self.enter(self.me(), Patient::Until(None)) {
                Ok(entered) => return Ok(entered),
                Err(Outside::Fault(error)) => return Err(error),
                // Without a deadline it never does.
                Err(Outside::TimedOut) => {}
            }
        }
    }

    /// Nothing is put any more.
    pub(crate) fn close(&self) -> Result<()> {
        let mut entered = self.enter_patiently()?;
        self.shared().closed.store(1, Ordering::Release);
        entered.all = true;
        Ok(())
    }

    /// What was rejected: the bytes, and how often each was handed out. Removes them, if asked to.
    pub(crate) fn rejected(&self, remove: bool) -> Result<Vec<(Vec<u8>, u32)>> {
        let mut entered = self.enter_patiently()?;
        let rejected = entered.book.rejected()?;
        let read = |found: &Found| {
            let mut bytes = Vec::new();
            memory::read(self.segment(), found.bytes, &mut bytes)?;
            Ok((bytes, found.state.deliveries))
        };
        // Before any is removed: there may be no memory for one of them.
        let list = rejected.iter().map(read).collect::<Result<_>>()?;
        if remove {
            rejected.iter().for_each(|found| entered.book.remove(found));
        }
        Ok(list)
    }

    /// Who has jobs, and how many.
    pub(crate) fn leases(&self) -> impl Iterator<Item = (u32, u32)> {
        let cells = self.shared().cells.iter().map(|cell| cell.load(Ordering::Relaxed));
        cells.map(|cell| (holder(cell), cell as u32)).filter(|&(_, jobs)| jobs != 0)
    }

    /// Who else has jobs.
    fn holders(&self, me: u32) -> Vec<u32> {
        self.leases().map(|(id, _)| id).filter(|&id| id != me).collect()
    }

    /// Now and then, looks after some of those who have jobs: somebody has to while nobody waits.
    #[inline]
    fn look(&self, me: u32) {
        let now = monotonic_coarse().as_millis() as u32;
        if now.wrapping_sub(self.shared().looked.load(Ordering::Relaxed)) >= LOOK {
            self.shared().looked.store(now, Ordering::Relaxed);
            if self.numbers().leased > 0 {
                self.look_after_some(me, (now / LOOK) as usize);
            }
        }
    }

    #[cold]
    fn look_after_some(&self, me: u32, turn: usize) {
        let mut holders = self.holders(me);
        if holders.len() > LOOK_AT {
            let first = turn * LOOK_AT % holders.len();
            holders.rotate_left(first);
            holders.truncate(LOOK_AT);
        }
        self.recover(me, holders, Patient::Not);
    }

    /// Takes the jobs back of those who are dead.
    #[cold]
    fn recover(&self, me: u32, mut holders: Vec<u32>, patient: Patient) {
        holders.retain(|&id| self.segment().is_dead(id));
        self.take_back(me, &holders, patient);
    }

    fn take_back(&self, me: u32, dead: &[u32], patient: Patient) {
        if dead.is_empty() {
            return;
        }
        // If somebody was stopped within the lock, or something is wrong, whoever looks next finds it so.
        if let Ok(mut entered) = self.enter(me, patient) {
            for &id in dead {
                let _ = entered.book.take_back(id);
            }
        }
    }
}

impl From<TimedOut> for Outside {
    fn from(_: TimedOut) -> Outside {
        Outside::TimedOut
    }
}

impl From<Error> for Outside {
    fn from(error: Error) -> Outside {
        Outside::Fault(error)
    }
}

impl From<Outside> for PutRefused {
    fn from(outside: Outside) -> PutRefused {
        match outside {
            Outside::TimedOut => PutRefused::TimedOut,
            Outside::Fault(error) => PutRefused::Fault(error),
        }
    }
}

impl From<Outside> for GetRefused {
    fn from(outside: Outside) -> GetRefused {
        match outside {
            Outside::TimedOut => GetRefused::TimedOut,
            Outside::Fault(error) => GetRefused::Fault(error),
        }
    }
}

/// The lock, released when this is dropped; then those are woken who wait for what has changed.
struct Entered<'a> {
    book: Book<'a>,
    /// Items that were ready, and rounds, when it was entered.
    before: (u64, u64),
    /// Everybody has something to see.
    all: bool,
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        let Book { shared, valid: (ready_now, rounds_now), .. } = self.book;
        let Joinable { lock, ready, room, finished, .. } = shared;
        let (all, (ready_before, rounds_before)) = (self.all, self.before);
        let done = rounds_now != rounds_before;
        let everybody = u64::MAX;
        let come = if all || done && shared.closed.load(Ordering::Relaxed) != 0 {
            everybody
        } else {
            ready_now.saturating_sub(ready_before)
        };
        let gone = if all { everybody } else { ready_before.saturating_sub(ready_now) };
        let counts = [(ready, come), (room, gone), (finished, if all || done { everybody } else { 0 })];
        let due = counts.map(|(signal, count)| count != 0 && signal.is_due());
        lock.unlock();
        for ((signal, count), due) in counts.into_iter().zip(due) {
            if due {
                signal.wake(count);
            }
        }
    }
}

/// Counted as a sleeper, until it is dropped.
pub(crate) struct Asleep<'a> {
    core: &'a Core,
    waiter: Waiter<'a>,
}

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        // If the lock is not to be had, one is counted too many, which is found out when nobody wakes.
        if let Ok(_entered) = self.core.enter(self.core.me(), Patient::Not) {
            self.waiter.awake();
        }
    }
}

/// Why somebody does not wait any longer.
enum Late {
    Now,
    TimedOut,
}

/// The waits of one call.
struct Waits<'a> {
    patient: Patient,
    waiter: Option<Waiter<'a>>,
    /// Whether it has looked without sleeping since something happened.
    spun: bool,
    is_over: bool,
}

impl<'a> Waits<'a> {
    #[inline]
    fn new(patient: Patient) -> Waits<'a> {
        Waits { patient, waiter: None, spun: false, is_over: false }
    }

    /// Within the lock again.
    #[inline]
    fn awake(&mut self) {
        if let Some(waiter) = &mut self.waiter {
            waiter.awake();
        }
    }

    /// Leaves the lock and waits for a while, or until `ready`. Who out of `holders` is dead.
    #[cold]
    fn wait(
        &mut self,
        core: &'a Core,
        signal: &'a Signal,
        me: u32,
        entered: Entered<'_>,
        ready: impl Fn() -> bool,
        holders: impl FnOnce() -> Vec<u32>,
    ) -> Result<Vec<u32>, Late> {
        let Patient::Until(deadline) = self.patient else { return Err(Late::Now) };
        if self.is_over {
            return Err(Late::TimedOut);
        }
        let waiter = self.waiter.get_or_insert_with(|| Waiter::new(core.segment(), signal, me, deadline));
        if !mem::replace(&mut self.spun, true) {
            drop(entered);
            waiter.spin(ready);
            return Ok(Vec::new());
        }
        let expected = waiter.prepare();
        drop(entered);
        let (slept, dead) = waiter.sleep(expected, holders);
        self.spun = slept != Slept::Woken;
        self.is_over = slept == Slept::TimedOut;
        Ok(dead)
    }
}
