//! The sending end of a channel.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use ipc_core::Cause;
use ipc_core::transfer::Parcel;
use ipc_queue::raw::{Patient, Putting};

use crate::channel::{End, Waited};
use crate::claim::Claim;
use crate::error::SendRefused;
use crate::parcel::Label;
use crate::sys;

/// A handle to it.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing(pub(crate) Arc<End>);

/// Bytes of a message in the ring.
fn len_with(bytes: &[u8], has_parcel: bool) -> usize {
    if has_parcel { bytes.len() + Label::LEN } else { bytes.len() }
}

/// What stands in the way of a message.
enum Full {
    /// There is no room for its bytes.
    Ring,
    /// There is no room for its descriptors.
    Socket,
}

impl Outgoing {
    /// Sends a message of these bytes, with what is in the parcel.
    #[inline]
    pub(crate) fn send(
        &self,
        bytes: &[u8],
        mut parcel: Option<&mut Parcel>,
        patient: Patient,
    ) -> Result<(), SendRefused> {
        if self.0.has_no_receivers() {
            return Err(SendRefused::Closed);
        }
        match self.try_send(bytes, parcel.as_deref_mut(), patient)? {
            None => Ok(()),
            Some(_) => self.wait_and_send(bytes, parcel, patient),
        }
    }

    /// What stands in the way, if it cannot be done now.
    #[inline]
    fn try_send(
        &self,
        bytes: &[u8],
        parcel: Option<&mut Parcel>,
        patient: Patient,
    ) -> Result<Option<Full>, SendRefused> {
        let ring = &self.0.ring;
        let mut putting = Putting::new(ring);
        let len = len_with(bytes, parcel.is_some());
        if self.0.pipe.is_claimed_for_more(len, ring) || !putting.begin(len, patient)? {
            return Ok(Some(Full::Ring));
        }
        if let Some(parcel) = parcel {
            match self.send_parcel(parcel)? {
                Ok(label) => putting.write(bytes.len(), &label.to_bytes())?,
                Err(full) => return Ok(Some(full)),
            }
        }
        putting.write(0, bytes)?;
        let number = putting.commit();
        self.tell(number).map(|()| None)
    }

    /// Wakes who waits for the message of that number, which is there.
    #[inline]
    fn tell(&self, number: u64) -> Result<(), SendRefused> {
        let ring = &self.0.ring;
        if self.0.tell(ring.waiting_for_records()) || ring.taken() >= number {
            // It is on its way, or was received by one who is gone by now.
            return Ok(());
        }
        // Everybody is gone: nobody has it, and nobody ever will.
        Err(SendRefused::Closed)
    }

    /// While nobody else can put: sends the parcel ahead of its message.
    #[cold]
    fn send_parcel(&self, parcel: &mut Parcel) -> Result<Result<Label, Full>, SendRefused> {
        // Those of one who is killed before the message is there will not be taken for others.
        let number = self.0.pipe.parcels.load(Ordering::Relaxed).wrapping_add(1);
        self.0.pipe.parcels.store(number, Ordering::Relaxed);
        let label = Label { number, handles: parcel.handles() as u32 };
        parcel.set_bytes(number.to_le_bytes().to_vec());
        let Err(error) = parcel.send(self.0.fd()) else { return Ok(Ok(label)) };
        match error.os().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::WouldBlock) => Ok(Err(Full::Socket)),
            Some(std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset) => {
                Err(SendRefused::Closed)
            }
            // So many of this user are under way that there may be no more; some of them here.
            _ if matches!(error.cause(), Cause::TooManyHandles { .. }) && self.0.ring.has_records() => {
                Ok(Err(Full::Ring))
            }
            _ => Err(SendRefused::Fault(error)),
        }
    }

    #[cold]
    fn wait_and_send(
        &self,
        bytes: &[u8],
        mut parcel: Option<&mut Parcel>,
        patient: Patient,
    ) -> Result<(), SendRefused> {
        let Patient::Until(deadline) = patient else {
            return Err(if self.0.has_hung_up() { SendRefused::Closed } else { SendRefused::Full });
        };
        let ring = &self.0.ring;
        let mut claim = Claim::new(&self.0.pipe, ring, len_with(bytes, parcel.is_some()));
        loop {
            let (taken, memory) = (ring.taken(), ring.memory());
            let Some(full) = self.try_send(bytes, parcel.as_deref_mut(), patient)? else { return Ok(()) };
            if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Err(if self.0.has_hung_up() { SendRefused::Closed } else { SendRefused::TimedOut });
            }
            let more = || ring.taken().wrapping_sub(taken);
            // Somebody with a large message may have added memory.
            let has_changed = || more() != 0 || ring.memory() != memory;
            let waited = match full {
                Full::Ring => {
                    claim.refused();
                    self.0.wait(deadline, || self.drain(), has_changed, |_| more())
                }
                Full::Socket => self.0.wait_writable(deadline),
            };
            if waited == Waited::Closed {
                return Err(SendRefused::Closed);
            }
        }
    }

    /// Takes a token off the socket.
    fn drain(&self) -> bool {
        sys::discard(self.0.fd());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel;
    use crate::incoming::Incoming;

    fn put(sender: &Outgoing) -> u64 {
        let mut putting = Putting::new(&sender.0.ring);
        assert!(putting.begin(0, Patient::Not).unwrap());
        putting.commit()
    }

    /// Two are at once in the midst of a send.
    #[test]
    fn of_two_messages_the_one_that_was_received_is_not_handed_back() {
        let (sending, receiving) = channel::create("nothing", 4096).unwrap();
        let (sender, receiver) = (Outgoing(Arc::new(sending)), Incoming(Arc::new(receiving)));
        let first = put(&sender);
        receiver.recv(Patient::Not, |_| ()).unwrap();
        assert_eq!(receiver.look(), Waited::TimedOut, "there is no other, and that it waits is noted");
        drop(receiver);
        let second = put(&sender);
        sender.tell(first).unwrap();
        sender.0.ring.waiting_for_records().store(1, Ordering::Relaxed);
        assert!(matches!(sender.tell(second), Err(SendRefused::Closed)));
    }
}
