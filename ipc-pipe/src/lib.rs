#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

mod address;
mod auth;
mod channel;
mod claim;
mod client;
mod connection;
mod error;
mod half;
mod incoming;
mod layout;
mod link;
mod listener;
mod message;
mod outgoing;
mod parcel;
mod path;
mod refused;
mod socket;
mod stream;
mod sys;
mod turn;
mod verbs;
mod wait;

pub use ipc_core::{Cause, Error};

pub use address::{Address, Peer};
pub use auth::HandshakeError;
pub use channel::Stats;
pub use client::{Client, connect};
pub use connection::{Builder, Connection, IntoIter, Receiver, Sender, one_way, pipe};
pub use error::{
    RecvError, RecvIntoError, RecvTimeoutError, SendError, SendTimeoutError, TryRecvError, TrySendError,
};
pub use listener::Listener;
pub use message::Message;
pub use refused::{AcceptError, AcceptTimeoutError, ConnectError, Refused, TryAcceptError};
pub use wait::{Waitable, wait};
