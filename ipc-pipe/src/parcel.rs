//! How a message says which descriptors belong to it.
//!
//! The last byte of a message with a type is [`PLAIN`] or [`LABELLED`]; in front of the latter stands the rest of a
//! [`Label`]. The descriptors are in a parcel on the socket, whose bytes are the label's number.

/// Ends a message without descriptors.
pub(crate) const PLAIN: u8 = 0;
/// Ends a label.
const LABELLED: u8 = 1;

/// What a message says of its descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Label {
    /// Each parcel has a larger one than those before it.
    pub(crate) number: u64,
    /// How many descriptors it has.
    pub(crate) handles: u32,
}

/// What was in front of a message's end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Plain,
    With(Label),
    /// No honest process ends a message so.
    Damaged,
}

impl Label {
    pub(crate) const LEN: usize = 13;

    pub(crate) fn to_bytes(self) -> [u8; Label::LEN] {
        let mut bytes = [LABELLED; Label::LEN];
        bytes[..8].copy_from_slice(&self.number.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.handles.to_le_bytes());
        bytes
    }

    /// Takes the end off a message.
    #[inline]
    pub(crate) fn take_off(message: &mut Vec<u8>) -> Ended {
        match message.last() {
            Some(&PLAIN) => {
                message.pop();
                Ended::Plain
            }
            Some(&LABELLED) => Label::split_off(message).map_or(Ended::Damaged, Ended::With),
            _ => Ended::Damaged,
        }
    }

    #[cold]
    fn split_off(message: &mut Vec<u8>) -> Option<Label> {
        let (rest, bytes) = message.split_last_chunk::<{ Label::LEN }>()?;
        let (number, bytes) = bytes.split_first_chunk::<8>()?;
        let (handles, _) = bytes.split_first_chunk::<4>()?;
        let label = Label { number: u64::from_le_bytes(*number), handles: u32::from_le_bytes(*handles) };
        let len = rest.len();
        message.truncate(len);
        Some(label)
    }
}
