#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod channel;
mod connection;
mod error;
mod half;
mod incoming;
mod layout;
mod message;
mod outgoing;
mod parcel;
mod sys;
mod verbs;
mod wait;

pub use channel::Stats;
pub use connection::{Builder, Connection, IntoIter, Receiver, Sender, one_way, pipe};
pub use error::{
    RecvError, RecvIntoError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use message::Message;
pub use wait::{Waitable, wait};
