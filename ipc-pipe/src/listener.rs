//! Where other programs connect.
//!
//! Who connects is accepted by the kernel at once, and its handshake goes on beside those of others: one set of descriptors
//! is waited for, that of the listening socket, of all sockets in their handshake, and of a timer for the first of their
//! deadlines. So a silent peer keeps nobody from being accepted.

use std::any::type_name;
use std::fmt;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ipc_core::{Error, Result};
use ipc_queue::raw::Patient;
use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::{Errno, retry_on_intr};
use rustix::time::{Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec};

use crate::address::{Address, Peer, os};
use crate::auth::{HandshakeError, Key, MESSAGE_LIMIT, Role, Terms};
use crate::connection::{Connection, pipe};
use crate::link::Link;
use crate::refused::{AcceptError, AcceptRefused, AcceptTimeoutError, Refused, TryAcceptError};
use crate::socket::Socket;
use crate::sys::{self, Events};

/// So many handshakes go on at the same time.
const MAX_PENDING: usize = 64;

/// Waits for other programs, and lets in those that have the key.
///
/// Over a Unix socket the two then have a [`pipe`](crate::pipe) in shared memory; over TCP a stream with the same verbs,
/// but without handles in its messages. The types are compared when the two meet: what one sends is what the other
/// receives, by [`type_name`].
///
/// Without a key everybody is let in who can connect: over a path or an abstract name that is the same user, over TCP
/// anybody. With a key both sides prove that they have it, without telling it. Nothing is encrypted: over a network, who
/// can change what others send can take a connection over once it is made.
///
/// **A peer that fails**, is silent or sends garbage costs a descriptor until its deadline, and an error of `accept`;
/// it keeps nobody else from being accepted. **If the listener dies**, connections that were accepted go on; its path is
/// stale then, and the next listener takes it. A listener that ends in any other way removes its path.
///
/// ```
/// use ipc_pipe::{Listener, connect};
///
/// let listener = Listener::<String, u32>::bind("\0example-of-a-listener")?.key(b"secret");
/// let address = listener.local_address().clone();
/// let client = std::thread::spawn(move || connect::<u32, String>(address, Some(b"secret")));
///
/// let (server, peer) = listener.accept()?;
/// let client = client.join().unwrap()?;
/// client.send(7)?;
/// server.send(format!("{peer} sent {}", server.recv()?))?;
/// assert!(client.recv()?.ends_with("sent 7"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias = "SocketServer")]
pub struct Listener<S: ?Sized, R: ?Sized = S> {
    socket: Socket,
    /// What is waited for: `socket`, `timer`, and the sockets of `pending`.
    ready: OwnedFd,
    timer: OwnedFd,
    pending: Mutex<Pending>,
    key: Option<Key>,
    handshake_timeout: Duration,
    message_limit: u64,
    skips_refused: bool,
    marker: PhantomData<fn(&S) -> R>,
}

/// The handshakes that go on, the oldest first.
#[derive(Debug, Default)]
struct Pending {
    links: Vec<Waiting>,
    last_token: u64,
    /// When the timer wakes the set up.
    timer: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    token: u64,
    link: Link,
    deadline: Option<Instant>,
}

// What a descriptor in the set stands for. Links have smaller numbers, counted up.
const TIMER: u64 = u64::MAX - 1;
const SOCKET: u64 = u64::MAX;

type Accepted<S, R> = Result<(Connection<S, R>, Peer), AcceptRefused>;

/// What came of looking at one descriptor once.
enum Step<S: ?Sized, R: ?Sized> {
    /// There is nothing more to do about it now.
    Nothing,
    /// There may be.
    More,
    Accepted(Connection<S, R>, Peer),
}

impl<S: ?Sized, R: ?Sized> Listener<S, R> {
    /// A listener at that address, to which others can connect from now on. They are not let in before [`accept`] is
    /// called, so that what is set meanwhile holds for them.
    ///
    /// A path has mode 0600 from its first moment: only this user's processes can connect, and root's. It is removed
    /// when the listener is dropped, and when the process exits; one that is left of a killed listener is replaced.
    ///
    /// [`accept`]: Listener::accept
    ///
    /// # Errors
    /// The address is in use by a living listener ([`Cause::NameTaken`], over TCP that of the system); a path or name that
    /// is too long; a directory that cannot be read; no descriptor left.
    ///
    /// [`Cause::NameTaken`]: ipc_core::Cause::NameTaken
    pub fn bind(address: impl Into<Address>) -> Result<Listener<S, R>> {
        let address = address.into();
        let label = format!("listener at {address}");
        let socket = Socket::listen(address)?;
        let fail = |errno: Errno| Error::new("create", label.as_str(), os(errno));
        let ready = epoll::create(epoll::CreateFlags::CLOEXEC).and_then(sys::above_stdio).map_err(fail)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let timer = rustix::time::timerfd_create(TimerfdClockId::Monotonic, flags);
        let timer = timer.and_then(sys::above_stdio).map_err(fail)?;
        watch(&ready, &socket, SOCKET).map_err(fail)?;
        watch(&ready, &timer, TIMER).map_err(fail)?;
        Ok(Listener {
            socket,
            ready,
            timer,
            pending: Mutex::new(Pending::default()),
            key: None,
            handshake_timeout: Duration::from_secs(10),
            message_limit: MESSAGE_LIMIT,
            skips_refused: false,
            marker: PhantomData,
        })
    }

    /// Lets only those in who have the same key. The empty key is one, too.
    ///
    /// What is kept of it is wiped when the listener is gone.
    #[doc(alias = "authkey")]
    pub fn key(mut self, key: impl AsRef<[u8]>) -> Listener<S, R> {
        self.key = Some(Key::new(key.as_ref()));
        self
    }

    /// How long a peer may take for its whole handshake, counted from when it is found by one of the verbs; 10 seconds at
    /// first. To send bytes one by one does not prolong it.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Listener<S, R> {
        self.handshake_timeout = timeout;
        self
    }

    /// The longest message that is taken from a peer over TCP, in bytes; 1 GiB at first. The peer is told, so that its
    /// `send` refuses longer ones.
    #[doc(alias = "maxlength")]
    pub fn message_limit(mut self, bytes: u64) -> Listener<S, R> {
        self.message_limit = bytes;
        self
    }

    /// Whether peers that are refused are passed over in silence, and not errors of `accept`.
    pub fn skip_refused(mut self, skip: bool) -> Listener<S, R> {
        self.skips_refused = skip;
        self
    }

    /// How many peers can wait in the kernel before they are accepted; 128 at first, and never more than the system's
    /// `somaxconn`. The next have to wait when they connect.
    ///
    /// # Errors
    /// The system's.
    pub fn backlog(self, peers: u32) -> Result<Listener<S, R>> {
        self.socket.set_backlog(peers)?;
        Ok(self)
    }

    /// Where it is found: with the port, or the abstract name, that the system chose.
    #[doc(alias = "address")]
    pub fn local_address(&self) -> &Address {
        self.socket.address()
    }

    /// The next connection, waiting for one, and who is at its other end.
    ///
    /// Several threads may wait at the same time.
    ///
    /// # Errors
    /// [`AcceptError::Refused`] for a peer that was not let in, unless they are [skipped](Listener::skip_refused): call it
    /// again for the next. No memory or no descriptor left: that does not go away by itself, so do not call it again at
    /// once.
    #[doc(alias = "last_accepted")]
    pub fn accept(&self) -> Result<(Connection<S, R>, Peer), AcceptError> {
        loop {
            match self.accept_with(Patient::Until(None)) {
                Ok(accepted) => return Ok(accepted),
                Err(AcceptRefused::Refused(refused)) => return Err(AcceptError::Refused(refused)),
                Err(AcceptRefused::Fault(error)) => return Err(AcceptError::Fault(error)),
                Err(AcceptRefused::Nobody) => {}
            }
        }
    }

    /// The next connection if somebody is ready for it now. To be called when [its descriptor](Listener::as_fd) is readable:
    /// handshakes make progress within the verbs only.
    ///
    /// # Errors
    /// As [`accept`](Listener::accept), or that nobody is ready.
    pub fn try_accept(&self) -> Result<(Connection<S, R>, Peer), TryAcceptError> {
        self.accept_with(Patient::Not).map_err(AcceptRefused::try_accept)
    }

    /// The next connection, waiting for one at most that long.
    ///
    /// # Errors
    /// As [`accept`](Listener::accept), or that nobody was ready.
    pub fn accept_timeout(&self, timeout: Duration) -> Result<(Connection<S, R>, Peer), AcceptTimeoutError> {
        let patient = Patient::Until(ipc_core::deadline(timeout));
        self.accept_with(patient).map_err(AcceptRefused::accept_timeout)
    }

    /// The next connection, waiting for one at most until then.
    ///
    /// # Errors
    /// As [`accept_timeout`](Listener::accept_timeout).
    pub fn accept_deadline(&self, deadline: Instant) -> Result<(Connection<S, R>, Peer), AcceptTimeoutError> {
        self.accept_with(Patient::Until(Some(deadline))).map_err(AcceptRefused::accept_timeout)
    }

    fn accept_with(&self, patient: Patient) -> Accepted<S, R> {
        let deadline = match patient {
            Patient::Not => Some(Instant::now()),
            Patient::Until(deadline) => deadline,
        };
        loop {
            let tokens = self.wait(deadline)?;
            let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
            let result = tokens.into_iter().find_map(|token| self.look_at(token, &mut pending));
            self.set_timer(&mut pending);
            match result {
                Some(result) => return result,
                None if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                    return Err(AcceptRefused::Nobody);
                }
                None => {}
            }
        }
    }

    /// What is ready; at the deadline nothing. The set is waited for without a lock, and tells the same again as long as it
    /// is so: nothing is lost to a thread that finds something else first.
    fn wait(&self, deadline: Option<Instant>) -> Result<Vec<u64>> {
        sys::poll_one(self.ready.as_fd(), Events::IN, deadline).map_err(|errno| self.fault(errno))?;
        let mut events = Vec::with_capacity(MAX_PENDING + 2);
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        retry_on_intr(|| epoll::wait(&self.ready, spare_capacity(&mut events), Some(&now)))
            .map_err(|errno| self.fault(errno))?;
        let mut tokens: Vec<u64> = events.iter().map(|event| event.data.u64()).collect();
        // Those who came first are first, and new ones last: they may be many.
        tokens.sort_unstable();
        Ok(tokens)
    }

    /// Does what there is to do about a descriptor, until there is somebody or something to report.
    fn look_at(&self, token: u64, pending: &mut Pending) -> Option<Accepted<S, R>> {
        for _ in 0..=MAX_PENDING {
            let step = match token {
                SOCKET => self.take_new(pending),
                TIMER => self.expire(pending),
                token => match pending.links.iter().position(|waiting| waiting.token == token) {
                    Some(index) => self.advance(pending, index),
                    // Another thread was faster.
                    None => return None,
                },
            };
            match step {
                Ok(Step::Nothing) => return None,
                Ok(Step::More) => {}
                Ok(Step::Accepted(connection, peer)) => return Some(Ok((connection, peer))),
                Err(AcceptRefused::Refused(_)) if self.skips_refused => {}
                Err(refused) => return Some(Err(refused)),
            }
        }
        None
    }

    /// Begins the handshake with one that has come.
    fn take_new(&self, pending: &mut Pending) -> Result<Step<S, R>, AcceptRefused> {
        let (socket, peer) = match self.socket.accept() {
            Ok(Some(new)) => new,
            Ok(None) => return Ok(Step::Nothing),
            Err(errno) => return Err(self.fault(errno).into()),
        };
        let refuse = |why| AcceptRefused::Refused(Refused { peer, why });
        if self.key.is_none() {
            self.socket.address().check_user(peer).map_err(refuse)?;
        }
        let terms = Terms { sends: type_name::<S>(), receives: type_name::<R>(), limit: self.message_limit };
        let mut link = Link::begin(socket, peer, Role::Listener, self.key.as_ref(), terms).map_err(refuse)?;
        if link.advance().map_err(refuse)? {
            return self.finish(link);
        }
        pending.last_token += 1;
        let token = pending.last_token;
        watch(&self.ready, &link.socket, token).map_err(|errno| self.fault(errno))?;
        pending.links.push(Waiting { token, link, deadline: ipc_core::deadline(self.handshake_timeout) });
        if pending.links.len() > MAX_PENDING {
            let oldest = self.remove(pending, 0)?;
            return Err(AcceptRefused::Refused(Refused { peer: oldest.peer, why: HandshakeError::Crowded }));
        }
        Ok(Step::More)
    }

    /// Goes on with a handshake.
    fn advance(&self, pending: &mut Pending, index: usize) -> Result<Step<S, R>, AcceptRefused> {
        match pending.links[index].link.advance() {
            Ok(false) => Ok(Step::Nothing),
            Ok(true) => self.finish(self.remove(pending, index)?),
            Err(why) => {
                let peer = self.remove(pending, index)?.peer;
                Err(AcceptRefused::Refused(Refused { peer, why }))
            }
        }
    }

    /// Ends a handshake that has passed its deadline.
    fn expire(&self, pending: &mut Pending) -> Result<Step<S, R>, AcceptRefused> {
        let now = Instant::now();
        let is_late = |waiting: &Waiting| waiting.deadline.is_some_and(|deadline| deadline <= now);
        let Some(index) = pending.links.iter().position(is_late) else { return Ok(Step::Nothing) };
        // If nobody has called for long, the answer may have been there all the time.
        match self.advance(pending, index)? {
            Step::Nothing => {
                let peer = self.remove(pending, index)?.peer;
                Err(AcceptRefused::Refused(Refused { peer, why: HandshakeError::Timeout }))
            }
            step => Ok(step),
        }
    }

    fn remove(&self, pending: &mut Pending, index: usize) -> Result<Link> {
        let link = pending.links.remove(index).link;
        // Its socket may live on, as a connection.
        epoll::delete(&self.ready, &link.socket).map_err(|errno| self.fault(errno))?;
        Ok(link)
    }

    /// Makes a connection out of a handshake that went well.
    fn finish(&self, link: Link) -> Result<Step<S, R>, AcceptRefused> {
        let peer = link.peer;
        let refuse = |why| AcceptRefused::Refused(Refused { peer, why });
        if let Err(why) = link.check_types() {
            // With this, the other side finds out by itself.
            link.welcome().map_err(refuse)?;
            return Err(refuse(why));
        }
        if let Peer::Tcp(_) = peer {
            link.welcome().map_err(refuse)?;
            return Ok(Step::Accepted(link.into_stream(self.message_limit)?, peer));
        }
        let (here, there) = pipe().inspect_err(|_| link.refuse(&HandshakeError::Exhausted))?;
        link.welcome().map_err(refuse)?;
        match link.hand_over(&there) {
            Ok(()) => Ok(Step::Accepted(here, peer)),
            Err(error) if error.os().is_some_and(is_gone) => Err(refuse(HandshakeError::Closed)),
            Err(error) => Err(error.into()),
        }
    }

    /// Has the set wake up at the first deadline.
    fn set_timer(&self, pending: &mut Pending) {
        let first = pending.links.iter().filter_map(|waiting| waiting.deadline).min();
        if first == pending.timer && first.is_none_or(|first| first > Instant::now()) {
            return;
        }
        // 0 means never; a deadline that has passed must not be.
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let left = first.map_or(never, |first| {
            let left = first.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
            Timespec::try_from(left).unwrap_or(never)
        });
        let when = Itimerspec { it_interval: never, it_value: left };
        rustix::time::timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &when)
            .expect("a timer can be set");
        pending.timer = first;
    }

    fn fault(&self, errno: Errno) -> Error {
        Error::new("accept", format!("a connection to {}", self.local_address()), os(errno))
    }
}

fn is_gone(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
}

fn watch(set: &OwnedFd, fd: impl AsFd, token: u64) -> Result<(), Errno> {
    epoll::add(set, fd, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
}

impl<S: ?Sized, R: ?Sized> AsFd for Listener<S, R> {
    /// Readable when [`try_accept`](Listener::try_accept) has something to do: somebody has come, a handshake can go on, or
    /// one has passed its deadline. Level-triggered; fit for poll, epoll and the like. Do not read from it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

impl<S: ?Sized, R: ?Sized> fmt::Debug for Listener<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("address", self.local_address())
            .field("has_key", &self.key.is_some())
            .finish_non_exhaustive()
    }
}
